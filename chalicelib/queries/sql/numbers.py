"""Arithmetic, rounding and mathematics, typed as Trino types them."""

# ruff: noqa: E501  (a template a line reads as a table)

from __future__ import annotations

from collections.abc import Callable

from chalicelib.queries.sql.forms import want
from chalicelib.queries.sql.types import UNKNOWN, Type, as_decimal, common, decimal, text
from chalicelib.queries.sql.values import Refused, Value, coerce, fail_when, once

NAN, LESS = "'nan'::DOUBLE", "'-inf'::DOUBLE"


def logarithm(function: str) -> str:
    return f"CASE WHEN {{0}} > 0 THEN {function}({{0}}) WHEN {{0}} = 0 THEN {LESS} WHEN {{0}} < 0 THEN {NAN} END"


BASE = fail_when("{1} < 2 OR {1} > 36", text("Radix must be between 2 and 36"))
DIGITS = "'0123456789abcdefghijklmnopqrstuvwxyz'"


def wilson(sign: str) -> str:
    """One end of Wilson's score interval: of so many successes in so many trials, with a z-score."""
    wrong = (
        ("{0} < 0", "number of successes must not be negative"),
        ("{1} <= 0", "number of trials must be positive"),
        ("{0} > {1}", "number of successes must not be larger than number of trials"),
        ("{2} < 0", "z-score must not be negative"),
    )
    refusals = " ".join(fail_when(test, text(message)) for test, message in wrong)
    share, square = "(CAST({0} AS DOUBLE) / {1})", "({2} * {2})"
    root = f"{{2}} * sqrt(({share} * (1 - {share}) + {square} / (4 * {{1}})) / {{1}})"
    return f"CASE {refusals} ELSE ({share} + {square} / (2 * {{1}}) {sign} {root}) / (1 + {square} / {{1}}) END"


SCALARS = {
    "normal_cdf(double, double, double) -> double": (
        f"CASE WHEN {{0}} IS NOT NULL AND {{1}} IS NOT NULL AND {{2}} IS NOT NULL THEN coalesce(lake_normal_cdf({{0}}, {{1}}, {{2}}), {NAN}) END"
    ),
    "inverse_normal_cdf(double, double, double) -> double": "lake_inverse_normal_cdf({0}, {1}, {2})",
    "wilson_interval_lower(bigint, bigint, double) -> double": wilson("-"),
    "wilson_interval_upper(bigint, bigint, double) -> double": wilson("+"),
    "abs(N) -> N": "abs({0})",
    "sign(double) -> double": "CASE WHEN isnan({0}) THEN {0} ELSE CAST(sign({0}) AS DOUBLE) END",
    "sign(real) -> real": "CASE WHEN isnan({0}) THEN {0} ELSE CAST(sign({0}) AS FLOAT) END",
    "sign(N) -> N": "CAST(sign({0}) AS {type})",
    "mod(I, I) -> I": "({0} % {1})",
    "mod(double, double) -> double": "({0} % {1})",
    "sqrt(double) -> double": f"CASE WHEN {{0}} < 0 THEN {NAN} ELSE sqrt({{0}}) END",
    "cbrt(double) -> double": "cbrt({0})",
    "exp(double) -> double": "exp({0})",
    "ln(double) -> double": logarithm("ln"),
    "log2(double) -> double": logarithm("log2"),
    "log10(double) -> double": logarithm("log10"),
    "log(double, double) -> double": (
        f"CASE WHEN {{0}} < 0 OR {{1}} < 0 OR isnan({{0}}) OR isnan({{1}}) THEN {NAN} "
        f"WHEN {{1}} = 0 THEN CASE WHEN {{0}} = 0 OR isinf({{0}}) THEN {NAN} WHEN {{0}} < 1 THEN 'inf'::DOUBLE WHEN {{0}} IS NOT NULL THEN {LESS} END "
        "WHEN {0} = 0 THEN CASE WHEN {1} = 'inf'::DOUBLE THEN 'nan'::DOUBLE WHEN {1} < 1 THEN 0e0 WHEN {1} IS NOT NULL THEN -0e0 END "
        "WHEN {0} > 0 AND {1} > 0 THEN ln({1}) / ln({0}) END"
    ),
    "power(double, double) -> double": "power({0}, {1})",
    "pow(double, double) -> double": "power({0}, {1})",
    "pi() -> double": "pi()",
    "e() -> double": "exp(1e0)",
    "nan() -> double": NAN,
    "infinity() -> double": "'inf'::DOUBLE",
    "is_nan(double) -> boolean": "isnan({0})",
    "is_nan(real) -> boolean": "isnan({0})",
    "is_finite(double) -> boolean": "isfinite({0})",
    "is_infinite(double) -> boolean": "isinf({0})",
    "degrees(double) -> double": "degrees({0})",
    "radians(double) -> double": "radians({0})",
    "sin(double) -> double": f"CASE WHEN isinf({{0}}) THEN {NAN} ELSE sin({{0}}) END",
    "cos(double) -> double": f"CASE WHEN isinf({{0}}) THEN {NAN} ELSE cos({{0}}) END",
    "tan(double) -> double": f"CASE WHEN isinf({{0}}) THEN {NAN} ELSE tan({{0}}) END",
    "asin(double) -> double": f"CASE WHEN abs({{0}}) > 1 THEN {NAN} ELSE asin({{0}}) END",
    "acos(double) -> double": f"CASE WHEN abs({{0}}) > 1 THEN {NAN} ELSE acos({{0}}) END",
    "atan(double) -> double": "atan({0})",
    "atan2(double, double) -> double": "atan2({0}, {1})",
    "sinh(double) -> double": "sinh({0})",
    "cosh(double) -> double": "cosh({0})",
    "tanh(double) -> double": "tanh({0})",
    "truncate(double) -> double": "trunc({0})",
    "truncate(real) -> real": "CAST(trunc({0}) AS FLOAT)",
    "width_bucket(double, double, double, bigint) -> bigint": (
        f"CASE {fail_when('{3} < 1', text('bucketCount must be greater than 0'))} "
        f"{fail_when('isnan({0})', text('operand must not be NaN'))} "
        f"{fail_when('isinf({0}) AND {3} = 9223372036854775807', text('Bucket for value Infinity is out of range'))} "
        f"{fail_when('NOT isfinite({1}) OR NOT isfinite({2})', text('bounds must be finite'))} "
        "WHEN {1} < {2} AND {0} < {1} THEN 0 WHEN {1} < {2} AND {0} >= {2} THEN {3} + 1 "
        "WHEN {1} < {2} THEN CAST(floor({3} * ({0} - {1}) / ({2} - {1})) AS BIGINT) + 1 "
        "WHEN {1} > {2} AND {0} > {1} THEN 0 WHEN {1} > {2} AND {0} <= {2} THEN {3} + 1 "
        "WHEN {1} > {2} THEN CAST(floor({3} * ({1} - {0}) / ({1} - {2})) AS BIGINT) + 1 "
        f"{fail_when('{1} = {2}', text('bounds cannot equal each other'))} END"
    ),
    "width_bucket(double, array(double)) -> bigint": (
        f"CASE {fail_when('len({1}) = 0', text('Bins cannot be an empty array'))} "
        f"{fail_when('isnan({0})', text('Operand cannot be NaN'))} "
        f"{fail_when('list_count({1}) < len({1})', text('Bin values cannot be null'))} "
        f"{fail_when('{1} <> list_sort({1})', text('Bin values are not sorted in ascending order'))} "
        "ELSE len(list_filter({1}, lambda b: b <= {0})) END"
    ),
    "bitwise_and(bigint, bigint) -> bigint": "({0} & {1})",
    "bitwise_or(bigint, bigint) -> bigint": "({0} | {1})",
    "bitwise_xor(bigint, bigint) -> bigint": "xor({0}, {1})",
    "bitwise_not(bigint) -> bigint": "(~{0})",
    "bit_count(bigint, bigint) -> bigint": (
        f"CASE {fail_when('{1} < 2 OR {1} > 64', text('Bits specified in bit_count must be between 2 and 64, inclusive'))} "
        f"{fail_when('{1} < 64 AND ({0} >= (CAST(1 AS HUGEINT) << CAST({1} - 1 AS INTEGER)) OR {0} < -(CAST(1 AS HUGEINT) << CAST({1} - 1 AS INTEGER)))', text('Number must be representable with the bits specified'))} "
        "WHEN {0} >= 0 THEN CAST(bit_count({0}) AS BIGINT) ELSE CAST(bit_count({0}) AS BIGINT) - (64 - {1}) END"
    ),
    "random() -> double": "random()",
    "rand() -> double": "random()",
    "random(bigint) -> bigint": f"CASE {fail_when('{0} <= 0', text('bound must be positive'))} ELSE CAST(floor(random() * {{0}}) AS BIGINT) END",
    "random(bigint, bigint) -> bigint": (
        f"CASE {fail_when('{0} >= {1}', text('start value must be less than stop value'))} "
        "ELSE {0} + CAST(floor(random() * ({1} - {0})) AS BIGINT) END"
    ),
    "from_base(varchar, bigint) -> bigint": (
        f"CASE WHEN {{0}} IS NULL OR {{1}} IS NULL THEN NULL {BASE} {fail_when('NOT regexp_full_match({0}, ' + repr('[+-]?[0-9a-zA-Z]+') + ')', text('Not a valid number'))} "
        f"{fail_when('list_max(list_transform(string_split(ltrim(lower({0}), ' + repr('+-') + '), ' + repr('') + '), lambda d: instr(' + DIGITS + ', d))) > {1}', text('Not a valid number of this base'))} "
        f"ELSE CAST(list_reduce(list_prepend(CAST(0 AS HUGEINT), list_transform(string_split(ltrim(lower({{0}}), '+-'), ''), lambda d: CAST(instr({DIGITS}, d) - 1 AS HUGEINT))), lambda s, d: s * {{1}} + d)"
        " * CASE WHEN left({0}, 1) = '-' THEN -1 ELSE 1 END AS BIGINT) END"
    ),
    "to_base(bigint, bigint) -> varchar": (
        f"CASE {BASE} WHEN {{0}} = 0 THEN '0' ELSE CASE WHEN {{0}} < 0 THEN '-' ELSE '' END || lower(to_base(CASE WHEN {{0}} < 0 THEN -{{0}} ELSE {{0}} END, CAST({{1}} AS INTEGER))) END"
    ),
}  # fmt: skip


def shift(name: str) -> Callable[[list[Value]], Value]:
    """bitwise_left_shift and the like, whose width is the type's."""

    def made(arguments: list[Value]) -> Value:
        want(arguments, 2)
        kind = arguments[0].type
        if not kind.integral or not arguments[1].type.integral:
            raise Refused(f"takes whole numbers, not {kind} and {arguments[1].type}")
        bits = {"tinyint": 8, "smallint": 16, "integer": 32, "bigint": 64}[kind.name]
        return Value(once([arguments[0], arguments[1]], lambda v, n: shifted(name, v.sql, n.sql, bits)), kind)

    return made


def shifted(name: str, value: str, by: str, bits: int) -> str:
    whole, duck = 2**bits, {8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", 64: "BIGINT"}[bits]
    unsigned = f"CASE WHEN {value} < 0 THEN CAST({value} AS HUGEINT) + {whole} ELSE CAST({value} AS HUGEINT) END"
    power = f"CAST(power(2e0, CAST({by} AS DOUBLE)) AS HUGEINT)"
    if name == "left":
        made = f"CASE WHEN {by} >= {bits} THEN 0 ELSE (({unsigned}) % ({whole} // {power})) * {power} END"
    elif name == "right":
        made = f"CASE WHEN {by} >= {bits} THEN 0 ELSE ({unsigned}) // {power} END"
    else:
        made = f"CASE WHEN {by} >= {bits} THEN CASE WHEN {value} < 0 THEN -1 ELSE 0 END ELSE ({value} >> CAST({by} AS {duck})) END"
    negative = fail_when(f"{by} < 0", text("the shift must not be negative"))
    signed = f"CASE WHEN n >= {whole // 2} THEN n - {whole} ELSE n END"
    return f"CASE {negative} ELSE CAST(list_extract(list_transform([CAST({made} AS HUGEINT)], lambda n: {signed}), 1) AS {duck}) END"


def rounding(function: str) -> Callable[[list[Value]], Value]:
    def made(arguments: list[Value]) -> Value:
        want(arguments, 1, 2 if function == "round" else 1)
        value = arguments[0]
        if not value.type.numeric:
            raise Refused(f"must be a number, not {value.type}")
        if len(arguments) == 2:
            return round_to(value, arguments[1])
        if value.type.integral:
            return value
        if value.type.name == "decimal":
            digits = value.type.precision - value.type.scale + (1 if value.type.scale else 0)
            kind = decimal(max(1, digits), 0)
            return Value(f"CAST({function}({value}) AS {kind.duckdb})", kind)
        return Value(f"CAST({function}({value}) AS {value.type.duckdb})", value.type)

    return made


def truncate(arguments: list[Value]) -> Value:
    want(arguments, 1, 2)
    value = arguments[0]
    if not value.type.numeric:
        raise Refused(f"must be a number, not {value.type}")
    if len(arguments) == 2:
        return truncate_to(value, arguments[1])
    if value.type.name == "decimal":
        kind = decimal(max(1, value.type.precision - value.type.scale), 0)
        return Value(f"CAST(trunc({value}) AS {kind.duckdb})", kind)
    if value.type.integral:
        return Value(f"CAST({value} AS DOUBLE)", Type("double"))
    return Value(f"CAST(trunc({value}) AS {value.type.duckdb})", value.type)


def truncate_to(value: Value, digits: Value) -> Value:
    if value.type.name != "decimal" or not isinstance(digits.constant, int):
        raise Refused("with a number of digits takes a decimal and a literal", 1)
    kept, kind = digits.constant, value.type
    if kept >= kind.scale:
        return value
    if kept <= kind.scale - kind.precision:
        return Value(f"CASE WHEN {value} IS NOT NULL THEN CAST(0 AS {kind.duckdb}) END", kind)
    step = 10 ** (kind.scale - kept)
    whole = digits_of(value, kind)
    return Value(from_digits(f"({whole} // {step} * {step})", kind), kind)


def round_to(value: Value, digits: Value) -> Value:
    if not digits.type.integral:
        raise Refused(f"the number of digits must be a whole number, not {digits.type}", 1)
    if value.type.name == "decimal":
        if not isinstance(digits.constant, int):
            raise Refused("the number of digits of a decimal must be a literal", 1)
        kind = decimal(value.type.precision + 1, value.type.scale)
        return Value(f"CAST(round({value}, {digits.constant}) AS {kind.duckdb})", kind)
    if value.type.integral and not isinstance(digits.constant, int):
        raise Refused("the number of digits of a whole number must be a literal", 1)
    if value.type.integral and isinstance(digits.constant, int):
        return round_whole(value, digits.constant)

    if digits.constant == 0:
        return Value(f"round({value})", value.type)

    def make(number: Value, places: Value) -> str:
        factor = f"power(10e0, {places})"  # Trino rounds the product, and so 1.005 to 1.0
        up = f"floor(abs({number}) * {factor} + 0.5e0) / {factor}"
        made = f"CASE WHEN {number} < 0 THEN -({up}) ELSE {up} END"
        return (
            f"CASE WHEN NOT isfinite({number}) OR NOT isfinite(abs({number}) * {factor}) THEN {number} ELSE {made} END"
        )

    return Value(f"CAST({once([value, digits], make)} AS {value.type.duckdb})", value.type)


def round_whole(value: Value, digits: int) -> Value:
    if digits >= 0:
        return value
    if digits < -19:
        return Value(f"CASE WHEN {value} IS NOT NULL THEN CAST(0 AS {value.type.duckdb}) END", value.type)
    step = 10**-digits

    def make(number: Value) -> str:
        wide = f"CAST({number} AS HUGEINT)"
        return f"CAST((({wide} + CASE WHEN {number} < 0 THEN -1 ELSE 1 END * {step // 2}) // {step}) * {step} AS {value.type.duckdb})"

    return Value(once([value], make), value.type)


def mod(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return arithmetic("%", arguments[0], arguments[1])


def arithmetic(sign: str, left: Value, right: Value) -> Value:
    """``+ - * / %`` of two numbers, typed as Trino types it. Integers divide towards zero."""
    kind = common(left.type, right.type)
    if kind is None or not (kind.numeric or kind == UNKNOWN):
        raise Refused(f"cannot apply {left.type} {sign} {right.type}")
    if kind == UNKNOWN:
        return Value("CAST(NULL AS INTEGER)", Type("integer"), None)
    if kind.name == "decimal":
        return decimal_arithmetic(sign, left, right)
    left, right = coerce(left, kind), coerce(right, kind)
    if sign in "/%" and kind.integral:
        return whole_division(sign, left, right, kind)
    made = f"({left} {sign} {right})"
    return Value(f"CAST({made} AS {kind.duckdb})" if kind.name in ("tinyint", "smallint", "real") else made, kind)


def whole_division(sign: str, left: Value, right: Value, kind: Type) -> Value:
    made = f"({left} {'//' if sign == '/' else '%'} {right})"
    return Value(f"CAST({made} AS {kind.duckdb})" if kind.name in ("tinyint", "smallint") else made, kind)


def decimal_arithmetic(sign: str, left: Value, right: Value) -> Value:
    if UNKNOWN in (left.type, right.type):
        known = right.type if left.type == UNKNOWN else left.type
        return Value(f"CAST(NULL AS {known.duckdb})", known, None)
    one, other = as_decimal(left.type), as_decimal(right.type)
    scale = max(one.scale, other.scale)
    if sign in ("+", "-"):
        kind = decimal(max(one.precision - one.scale, other.precision - other.scale) + scale + 1, scale)
        return added(sign, left, right, kind)
    if sign == "*":
        kind = decimal(one.precision + other.precision, one.scale + other.scale)
    elif sign == "/":
        return divide(left, right, decimal(one.precision + other.scale + max(0, other.scale - one.scale), scale))
    else:
        return remainder(
            left, right, decimal(min(one.precision - one.scale, other.precision - other.scale) + scale, scale)
        )
    if kind.scale > 38:
        raise Refused("the decimal result has more than 38 digits")
    return multiplied(left, right, kind)


def added(sign: str, left: Value, right: Value, kind: Type) -> Value:
    one, other = as_decimal(left.type), as_decimal(right.type)
    if kind.precision < 38:
        return Value(
            f"(CAST({left} AS {kind.duckdb}) {sign} CAST({right} AS {kind.duckdb}))"
            if kind.precision > 18
            else f"CAST({coerce(left, one)} {sign} {coerce(right, other)} AS {kind.duckdb})",
            kind,
        )
    first, second = scaled(left, one, kind.scale), scaled(right, other, kind.scale)
    return Value(from_digits(f"({first} {sign} {second})", kind), kind)


def multiplied(left: Value, right: Value, kind: Type) -> Value:
    one, other = as_decimal(left.type), as_decimal(right.type)
    if one.precision + other.precision <= 18:
        return Value(f"CAST({coerce(left, one)} * {coerce(right, other)} AS {kind.duckdb})", kind)
    return Value(from_digits(f"({digits_of(left, one)} * {digits_of(right, other)})", kind), kind)


def remainder(left: Value, right: Value, kind: Type) -> Value:
    one, other = as_decimal(left.type), as_decimal(right.type)
    scale = max(one.scale, other.scale)
    if max(one.precision - one.scale, other.precision - other.scale) + scale <= 18:
        return Value(f"CAST({coerce(left, one)} % {coerce(right, other)} AS {kind.duckdb})", kind)
    below = scaled(right, other, scale)
    first = f"({digits_of(left, one)} % {below})"  # before it is scaled, which keeps it within 38 digits
    return Value(from_digits(f"({first} * {10 ** (scale - one.scale)}::HUGEINT % {below})", kind), kind)


def scaled(value: Value, kind: Type, scale: int) -> str:
    """A decimal's digits with as many behind the point as ``scale`` says, as a whole number."""
    made = digits_of(value, kind)
    return made if scale == kind.scale else f"({made} * {10 ** (scale - kind.scale)}::HUGEINT)"


def divide(left: Value, right: Value, kind: Type) -> Value:
    """Decimals divide exactly, rounded half up to the scale of the result: whole numbers of its last digit."""
    one, other = as_decimal(left.type), as_decimal(right.type)
    power = f"{10 ** (kind.scale - one.scale + other.scale)}::HUGEINT"
    huge = Type("decimal", precision=38)

    def make(up: Value, down: Value) -> str:
        """The whole part and the rest apart, which keeps both within 38 digits."""
        rest = f"((abs({up}) % abs({down})) * {power})"
        nearest = f"CASE WHEN {rest} % abs({down}) >= abs({down}) - {rest} % abs({down}) THEN 1 ELSE 0 END"
        size = f"((abs({up}) // abs({down})) * {power} + {rest} // abs({down}) + {nearest})"
        return f"CAST({size} * sign({up}) * sign({down}) AS HUGEINT)"

    return Value(
        from_digits(once([Value(digits_of(left, one), huge), Value(digits_of(right, other), huge)], make), kind), kind
    )


def from_digits(sql: str, kind: Type) -> str:
    """The decimal whose digits a whole number (DuckDB text) is."""
    if not kind.scale:
        return f"CAST({sql} AS {kind.duckdb})"

    def make(whole: Value) -> str:
        padded = f"lpad(CAST(abs({whole}) AS VARCHAR), CAST(greatest(length(CAST(abs({whole}) AS VARCHAR)), {kind.scale + 1}) AS INTEGER), '0')"
        sign = f"CASE WHEN {whole} < 0 THEN '-' ELSE '' END"
        return f"CAST({sign} || left({padded}, -{kind.scale}) || '.' || right({padded}, {kind.scale}) AS {kind.duckdb})"

    return once([Value(sql, Type("decimal", precision=38))], make)


def digits_of(value: Value, kind: Type) -> str:
    """A decimal's digits as a whole number."""
    if value.type.integral or kind.scale == 0:
        return f"CAST({value} AS HUGEINT)"
    return f"CAST(replace(CAST({value} AS VARCHAR), '.', '') AS HUGEINT)"


BY_VALUE: dict[str, Callable[[list[Value]], Value]] = {
    "round": rounding("round"),
    "ceil": rounding("ceil"),
    "floor": rounding("floor"),
    "truncate": truncate,
    "mod": mod,
    "bitwise_left_shift": shift("left"),
    "bitwise_right_shift": shift("right"),
    "bitwise_right_shift_arithmetic": shift("arithmetic"),
}

"""Arithmetic and rounding, typed as Trino types them."""

from __future__ import annotations

from chalicelib.queries.sql.arguments import Refused, Special, want
from chalicelib.queries.sql.types import UNKNOWN, Type, as_decimal, common, decimal
from chalicelib.queries.sql.values import Value, coerce


def rounding(function: str) -> Special:
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
        if digits.constant >= 0:
            return value
        step = 10**-digits.constant
        away = f"CASE WHEN {value} < 0 THEN -1 ELSE 1 END * {step // 2}"
        return Value(f"CAST((({value} + {away}) // {step}) * {step} AS {value.type.duckdb})", value.type)
    factor = f"power(10e0, {digits})"  # Trino rounds the product, and so 1.005 to 1.0
    up = f"floor(abs({value}) * {factor} + 0.5e0) / {factor}"
    return Value(f"CAST(CASE WHEN {value} < 0 THEN -({up}) ELSE {up} END AS {value.type.duckdb})", value.type)


def mod(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return arithmetic("%", arguments[0], arguments[1])


def arithmetic(sign: str, left: Value, right: Value) -> Value:
    """``+ - * / %`` of two numbers, typed as Trino types it. Integers divide towards zero."""
    kind = common(left.type, right.type)
    if kind is None or not (kind.numeric or kind == UNKNOWN):
        raise Refused(f"cannot apply {left.type} {sign} {right.type}")
    if kind == UNKNOWN:
        return Value("CAST(NULL AS INTEGER)", Type("integer"))
    if kind.name == "decimal":
        return decimal_arithmetic(sign, left, right)
    left, right = coerce(left, kind), coerce(right, kind)
    if sign == "/" and kind.integral:
        return Value(f"({left} // {right})", kind)
    made = f"({left} {sign} {right})"
    return Value(f"CAST({made} AS {kind.duckdb})" if kind.name in ("tinyint", "smallint", "real") else made, kind)


def decimal_arithmetic(sign: str, left: Value, right: Value) -> Value:
    if UNKNOWN in (left.type, right.type):
        known = right.type if left.type == UNKNOWN else left.type
        return Value(f"CAST(NULL AS {known.duckdb})", known)
    one, other = as_decimal(left.type), as_decimal(right.type)
    scale = max(one.scale, other.scale)
    if sign in ("+", "-"):
        kind = decimal(max(one.precision - one.scale, other.precision - other.scale) + scale + 1, scale)
    elif sign == "*":
        kind = decimal(one.precision + other.precision, one.scale + other.scale)
    elif sign == "/":
        return divide(left, right, decimal(one.precision + other.scale + max(0, other.scale - one.scale), scale))
    else:
        kind = decimal(min(one.precision - one.scale, other.precision - other.scale) + scale, scale)
    if kind.scale > 38:
        raise Refused("the decimal result has more than 38 digits")
    return Value(f"CAST({coerce(left, one)} {sign} {coerce(right, other)} AS {kind.duckdb})", kind)


def divide(left: Value, right: Value, kind: Type) -> Value:
    """Decimals divide exactly, rounded half up to the scale of the result: whole numbers of its last digit."""
    one, other = as_decimal(left.type), as_decimal(right.type)
    above = f"({digits_of(left, one)} * {10 ** (kind.scale - one.scale + other.scale)}::HUGEINT)"
    below = digits_of(right, other)
    size = f"((2 * abs({above}) + abs({below})) // (2 * abs({below})))"
    made = f"CAST({size} * sign({above}) * sign({below}) AS HUGEINT)"
    shown = f"CAST({made} AS VARCHAR)"
    if kind.scale:
        long = f"greatest(length(CAST(abs({made}) AS VARCHAR)), {kind.scale + 1})"
        shown = f"lpad(CAST(abs({made}) AS VARCHAR), CAST({long} AS INTEGER), '0')"
        sign = f"CASE WHEN {made} < 0 THEN '-' ELSE '' END"
        shown = f"{sign} || left({shown}, -{kind.scale}) || '.' || right({shown}, {kind.scale})"
    return Value(f"CAST({shown} AS {kind.duckdb})", kind)


def digits_of(value: Value, kind: Type) -> str:
    """A decimal's digits as a whole number."""
    if value.type.integral:
        return f"CAST({value} AS HUGEINT)"
    if kind.scale == 0:
        return f"CAST({value} AS HUGEINT)"
    return f"CAST(replace(CAST({value} AS VARCHAR), '.', '') AS HUGEINT)"

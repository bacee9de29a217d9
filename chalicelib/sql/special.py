"""Functions whose translation depends on the value of an argument: units, formats, patterns, paths, zones.

Such an argument must be a literal or a parameter, so that what would answer differently is seen and refused.
Each takes the translated arguments and answers the call; Refused says what is wrong with argument ``at``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from chalicelib.sql.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    JSON,
    TIMESTAMP,
    UNKNOWN,
    VARCHAR,
    Type,
    array,
    as_decimal,
    common,
    decimal,
    text,
)
from chalicelib.sql.values import OPAQUE, Value, cast, coerce, fail_when, timestamp_text, utc_time, zoned

LONGEST = {"array": 1_000_000, "varchar": 1_000_000, "varbinary": 1_000_000}  # entries, bytes
UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
TIMES = ("date", "timestamp", "timestamptz")


class Refused(ValueError):
    """What is wrong, and with which argument (None: with the call)."""

    def __init__(self, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.at = at


Special = Callable[[list[Value]], Value]


def constant(arguments: list[Value], at: int, what: str) -> str:
    value = arguments[at]
    if not isinstance(value.constant, str):
        raise Refused(f"{what} must be a literal or a parameter", at)
    return value.constant


def want(arguments: list[Value], least: int, most: int | None = None) -> None:
    most = least if most is None else most
    if not least <= len(arguments) <= most:
        raise Refused(f"takes {least if least == most else f'{least} to {most}'} arguments, not {len(arguments)}")


def unit_of(arguments: list[Value], at: int = 0) -> str:
    unit = constant(arguments, at, "the unit").lower()
    if unit not in UNITS:
        raise Refused(f"'{unit}' is not a unit; there is {', '.join(UNITS)}", at)
    return unit


def moment(arguments: list[Value], at: int) -> Value:
    if arguments[at].type.name not in TIMES:
        raise Refused(f"must be a date or a timestamp, not {arguments[at].type}", at)
    return arguments[at]


def date_trunc(arguments: list[Value]) -> Value:
    want(arguments, 2)
    unit, value = unit_of(arguments), moment(arguments, 1)
    if value.type == DATE:
        if UNITS.index(unit) < UNITS.index("day"):
            raise Refused(f"'{unit}' is not a unit of a date", 0)
        return Value(f"CAST(date_trunc('{unit}', {value}) AS DATE)", DATE)
    if value.type.zoned:
        local = f"date_trunc('{unit}', {value.local})"
        return zoned(utc_time(local, value.zone), value.zone, value.type.precision)
    return Value(f"date_trunc('{unit}', {value})", value.type)


def date_add(arguments: list[Value]) -> Value:
    want(arguments, 3)
    unit, value = unit_of(arguments), moment(arguments, 2)
    if not arguments[1].type.integral:
        raise Refused(f"the number of units must be a whole number, not {arguments[1].type}", 1)
    function = {"week": "to_weeks", "quarter": "to_quarters"}.get(unit, f"to_{unit}s")
    step = f"{function}(CAST({arguments[1]} AS {'BIGINT' if unit in UNITS[:4] else 'INTEGER'}))"
    if value.type == DATE:
        if UNITS.index(unit) < UNITS.index("day"):
            raise Refused(f"'{unit}' is not a unit of a date", 0)
        return Value(f"CAST({value} + {step} AS DATE)", DATE)
    if not value.type.zoned:
        return Value(f"({value} + {step})", value.type)
    if UNITS.index(unit) < UNITS.index("day"):
        return zoned(f"({value.utc} + {step})", value.zone, value.type.precision)
    return zoned(utc_time(f"({value.local} + {step})", value.zone), value.zone, value.type.precision)


def date_diff(arguments: list[Value]) -> Value:
    want(arguments, 3)
    unit = unit_of(arguments)
    first, second = moment(arguments, 1), moment(arguments, 2)
    kind = common(first.type, second.type) or first.type
    first, second = coerce(first, kind), coerce(second, kind)
    if kind == DATE and UNITS.index(unit) < UNITS.index("day"):
        raise Refused(f"'{unit}' is not a unit of a date", 0)
    if kind.zoned and UNITS.index(unit) < UNITS.index("day"):
        return Value(f"date_sub('{unit}', {first.utc}, {second.utc})", BIGINT)
    return Value(f"date_sub('{unit}', {first.local}, {second.local})", BIGINT)


MYSQL = {
    "a": "%a", "b": "%b", "c": "%-m", "d": "%d", "e": "%-d", "f": "%f", "H": "%H", "h": "%I", "I": "%I", "i": "%M",
    "j": "%j", "k": "%-H", "l": "%-I", "M": "%B", "m": "%m", "p": "%p", "r": "%I:%M:%S %p", "S": "%S", "s": "%S",
    "T": "%H:%M:%S", "v": "%V", "W": "%A", "x": "%G", "Y": "%Y", "y": "%y", "%": "%%",
}  # fmt: skip
PARSED = set("YmdHiSsfTeckljpMbhIaWry%")


def mysql_format(pattern: str, allowed: set[str], at: int) -> str:
    """A MySQL date format as strftime's."""
    made, signs = [], iter(pattern)
    for sign in signs:
        if sign != "%":
            made.append(sign)
            continue
        letter = next(signs, "")
        if letter not in MYSQL or letter not in allowed:
            raise Refused(f"%{letter} of the date format is not supported", at)
        made.append(MYSQL[letter])
    return "".join(made)


def date_format(arguments: list[Value]) -> Value:
    want(arguments, 2)
    pattern = mysql_format(constant(arguments, 1, "the format"), set(MYSQL), 1)
    return Value(f"strftime({moment(arguments, 0).local}, {text(pattern)})", VARCHAR)


def date_parse(arguments: list[Value]) -> Value:
    want(arguments, 2)
    pattern = mysql_format(constant(arguments, 1, "the format"), PARSED, 1)
    return Value(f"strptime({require(arguments, 0, VARCHAR)}, {text(pattern)})", TIMESTAMP)


JODA = {
    "yyyy": "%Y", "yy": "%y", "y": "%Y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m", "dd": "%d", "d": "%-d",
    "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S", "SSS": "%g",
    "EEEE": "%A", "EEE": "%a", "E": "%a", "a": "%p", "DDD": "%j", "ww": "%V", "xxxx": "%G", "e": "%u",
}  # fmt: skip


def joda_format(pattern: str, at: int) -> str:
    """A Joda-Time pattern as strftime's."""
    made = []
    for part in re.finditer(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']", pattern):
        if part[0].startswith("'"):
            made.append((part[1] or "'").replace("%", "%%"))
        elif part[2]:
            if part[0] not in JODA:
                raise Refused(f"'{part[0]}' of the date format is not supported", at)
            made.append(JODA[part[0]])
        else:
            made.append(part[0].replace("%", "%%"))
    return "".join(made)


def format_datetime(arguments: list[Value]) -> Value:
    want(arguments, 2)
    pattern = joda_format(constant(arguments, 1, "the format"), 1)
    return Value(f"strftime({moment(arguments, 0).local}, {text(pattern)})", VARCHAR)


def from_unixtime(arguments: list[Value]) -> Value:
    want(arguments, 1, 2)
    seconds = require(arguments, 0, DOUBLE)
    utc = f"make_timestamp(CAST(round({seconds} * 1000) AS BIGINT) * 1000)"
    return zoned(utc, zone_of(arguments, 1) if len(arguments) == 2 else "'UTC'")


def from_iso8601_timestamp(arguments: list[Value]) -> Value:
    want(arguments, 1)
    value = require(arguments, 0, VARCHAR)
    form = r"\d{4}-\d{2}-\d{2}(T(\d{2}(:\d{2}(:\d{2}([.,]\d{1,9})?)?)?)?(Z|[+-]00:?00)?)?"
    bare = f"rtrim(regexp_replace(replace(replace({value}, 'T', ' '), ',', '.'), '(Z|[+-]00:?00)$', ''))"
    local = f"CAST(CASE WHEN length({bare}) = 13 THEN {bare} || ':00' ELSE {bare} END AS TIMESTAMP)"
    refused = fail_when(f"NOT regexp_full_match({value}, {text(form)})", f"'not an ISO 8601 time in UTC: ' || {value}")
    utc = f"CASE {refused} ELSE date_trunc('millisecond', {local}) END"
    return zoned(utc, "'UTC'")


def at_timezone(arguments: list[Value]) -> Value:
    want(arguments, 2)
    value = moment(arguments, 0)
    if value.type == DATE:
        raise Refused("must be a timestamp, not date", 0)
    value = coerce(value, Type("timestamptz", precision=value.type.precision))
    return zoned(value.utc, zone_of(arguments, 1), value.type.precision)


def with_timezone(arguments: list[Value]) -> Value:
    want(arguments, 2)
    if arguments[0].type.name not in ("timestamp", "date"):
        raise Refused(f"must be a timestamp, not {arguments[0].type}", 0)
    value, zone = arguments[0], zone_of(arguments, 1)
    return zoned(utc_time(f"CAST({value} AS TIMESTAMP)", zone), zone, value.type.precision)


def zone_of(arguments: list[Value], at: int) -> str:
    """A zone's name as DuckDB knows it. An offset, which it does not, is refused."""
    value = require(arguments, at, VARCHAR)
    if value.constant is OPAQUE:
        raise Refused("the value of the time zone is needed", at)
    if isinstance(value.constant, str):
        return zone_literal(value.constant, at)
    return value.sql


def zone_literal(name: str, at: int = 0) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*", name):
        raise Refused(f"the time zone must be a name such as Europe/Berlin, not '{name}'", at)
    return text("UTC" if name.upper() in ("UTC", "Z", "GMT") else name)


def now(_arguments: list[Value]) -> Value:
    return zoned("make_timestamp(epoch_us(date_trunc('millisecond', get_current_timestamp())))", "'UTC'")


def to_iso8601(arguments: list[Value]) -> Value:
    want(arguments, 1)
    value = arguments[0]
    if value.type == DATE:
        return cast(value, VARCHAR)
    if value.type.name not in TIMES or (value.type.zoned and value.zone != "'UTC'"):
        raise Refused("takes a date, a timestamp, or one with time zone UTC")
    shown = timestamp_text(value.local, value.type.precision)
    return Value(f"(replace({shown}, ' ', 'T'){' || ' + text('Z') if value.type.zoned else ''})", VARCHAR)


def require(arguments: list[Value], at: int, kind: Type) -> Value:
    given = arguments[at].type
    if given != kind and common(given, kind) != kind:
        raise Refused(f"must be {kind}, not {given}", at)
    return coerce(arguments[at], kind)


def pattern_of(arguments: list[Value], at: int = 1) -> str:
    """A regular expression that means the same to Java and to RE2."""
    pattern = constant(arguments, at, "the regular expression")
    for faulty, what in DIFFERENT:
        if re.search(faulty, pattern):
            raise Refused(f"{what} in a regular expression is not supported", at)
    return text(pattern)


DIFFERENT = (
    (r"(?<!\\)(\\\\)*\[[^\]]*(?<!\\)(&&|\[)", "a class within a class"),
    (r"(?<!\\)(\\\\)*\(\?(<?[=!]|>|<=|<!)", "a look-around or atomic group"),
    (r"(?<!\\)(\\\\)*\\[1-9kGZRXhHVp]", "a back reference, or \\G \\Z \\R \\X \\h \\H \\V \\p,"),
    (r"(?<!\\)(\\\\)*[*+?}]\+", "a possessive quantifier"),
    (r"\(\?[a-zA-Z]*[dxuU]", "the flags d, x, u"),
)


def regexp_like(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return Value(f"regexp_matches({require(arguments, 0, VARCHAR)}, {pattern_of(arguments)})", BOOLEAN)


def group_of(arguments: list[Value]) -> int:
    if len(arguments) < 3:
        return 0
    group = arguments[2].constant
    groups = re.compile(constant(arguments, 1, "the regular expression")).groups
    if not isinstance(group, int) or not 0 <= group <= groups:
        raise Refused(f"the group must be a number from 0 to {groups}", 2)
    return group


def regexp_extract(arguments: list[Value]) -> Value:
    want(arguments, 2, 3)
    value, pattern, group = require(arguments, 0, VARCHAR), pattern_of(arguments), group_of(arguments)
    return Value(f"list_extract(regexp_extract_all({value}, {pattern}, {group}), 1)", VARCHAR)


def regexp_extract_all(arguments: list[Value]) -> Value:
    want(arguments, 2, 3)
    value, pattern, group = require(arguments, 0, VARCHAR), pattern_of(arguments), group_of(arguments)
    return Value(f"regexp_extract_all({value}, {pattern}, {group})", array(VARCHAR))


def regexp_count(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return Value(f"len({regexp_extract_all(arguments)})", BIGINT)


def regexp_split(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return Value(f"regexp_split_to_array({require(arguments, 0, VARCHAR)}, {pattern_of(arguments)})", array(VARCHAR))


def regexp_replace(arguments: list[Value]) -> Value:
    want(arguments, 2, 3)
    replacement = constant(arguments, 2, "the replacement") if len(arguments) == 3 else ""
    if re.search(r"\$\{|\$\d\d", replacement):
        raise Refused("only $0 to $9 are supported in a replacement", 2)
    made = re.sub(r"\\(.)|\$(\d)|(\\)", java_replacement, replacement)
    value = require(arguments, 0, VARCHAR)
    return Value(f"regexp_replace({value}, {pattern_of(arguments)}, {text(made)}, 'g')", VARCHAR)


def java_replacement(found: re.Match[str]) -> str:
    if found[2]:
        return f"\\{found[2]}"
    return "\\\\" if found[1] == "\\" or found[3] else found[1]


PATH = re.compile(r"\$(\.[A-Za-z_]\w*|\[\d+\]|\[\"[^\"\\]*\"\])*")


def json_path(arguments: list[Value]) -> str:
    path = constant(arguments, 1, "the JSON path")
    if not PATH.fullmatch(path):
        raise Refused('the JSON path must be of the form $.name[0]["name"]', 1)
    return text(re.sub(r"\[(\"[^\"]*\")\]", r".\1", path))


def json_text(arguments: list[Value]) -> str:
    if arguments[0].type not in (JSON, VARCHAR, UNKNOWN):
        raise Refused(f"must be json or varchar, not {arguments[0].type}", 0)
    value = arguments[0].sql
    return f"CASE WHEN json_valid({value}) THEN CAST({value} AS JSON) END"


def json_extract(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return Value(f"json_extract({json_text(arguments)}, {json_path(arguments)})", JSON)


def json_extract_scalar(arguments: list[Value]) -> Value:
    want(arguments, 2)
    value, path = json_text(arguments), json_path(arguments)
    simple = f"json_type({value}, {path}) NOT IN ('OBJECT', 'ARRAY')"
    return Value(f"CASE WHEN {simple} THEN json_extract_string({value}, {path}) END", VARCHAR)


def json_parse(arguments: list[Value]) -> Value:
    want(arguments, 1)
    return Value(f"json({require(arguments, 0, VARCHAR)})", JSON)


def json_format(arguments: list[Value]) -> Value:
    want(arguments, 1)
    return Value(f"CAST({require(arguments, 0, JSON)} AS VARCHAR)", VARCHAR)


def json_array_length(arguments: list[Value]) -> Value:
    want(arguments, 1)
    value = json_text(arguments)
    return Value(f"CASE WHEN json_type({value}) = 'ARRAY' THEN CAST(json_array_length({value}) AS BIGINT) END", BIGINT)


def concat(arguments: list[Value]) -> Value:
    if len(arguments) < 2:
        raise Refused("takes at least 2 arguments")
    kind = arguments[0].type
    for argument in arguments[1:]:
        kind = common(kind, argument.type) or kind
    if kind.name not in ("varchar", "array", "varbinary"):
        raise Refused(f"takes varchar or arrays, not {kind}; CAST what is neither")
    for at, argument in enumerate(arguments):
        if common(argument.type, kind) != kind:
            raise Refused(f"must be {kind}, not {argument.type}", at)
    return joined([coerce(argument, kind) for argument in arguments], kind)


def joined(values: list[Value], kind: Type) -> Value:
    made = " || ".join(map(str, values))
    size = "len" if kind.name == "array" else "octet_length" if kind.name == "varbinary" else "strlen"
    growing = [f"{size}({value})" for value in values if not value.is_constant]
    limits = []
    if len(growing) > 1:  # what is put together again and again doubles each time
        limits.append(fail_when(f"{' + '.join(growing)} > {LONGEST[kind.name]}", text("|| makes too long a value")))
    if kind.name == "array":
        limits.append(f"WHEN {' OR '.join(f'{value} IS NULL' for value in values)} THEN NULL")
    return Value(f"CASE {' '.join(limits)} ELSE {made} END" if limits else f"({made})", kind)


def extreme(function: str) -> Special:
    def made(arguments: list[Value]) -> Value:
        kind = alike(arguments)
        if not kind.orderable or kind.args or kind.zoned:
            raise Refused(f"of {kind} is not supported")
        values = [coerce(argument, kind) for argument in arguments]
        missing = " OR ".join(f"{value} IS NULL" for value in values)
        return Value(f"CASE WHEN {missing} THEN NULL ELSE {function}({', '.join(map(str, values))}) END", kind)

    return made


def alike(arguments: list[Value]) -> Type:
    """The common type of all."""
    if not arguments:
        raise Refused("takes at least 1 argument")
    kind = arguments[0].type
    for at, argument in enumerate(arguments[1:], 1):
        shared = common(kind, argument.type)
        if shared is None:
            raise Refused(f"{argument.type} does not go together with {kind}", at)
        kind = shared
    return kind


def coalesce(arguments: list[Value]) -> Value:
    if len(arguments) < 2:
        raise Refused("takes at least 2 arguments")
    kind = alike(arguments)
    values = [coerce(argument, kind) for argument in arguments]
    return Value(f"coalesce({', '.join(map(str, values))})", kind)


def nullif(arguments: list[Value]) -> Value:
    want(arguments, 2)
    kind = alike(arguments)
    if kind.args:
        raise Refused(f"of {kind} is not supported")
    first, second = coerce(arguments[0], kind), coerce(arguments[1], kind)
    return Value(f"CASE WHEN {first.compared} = {second.compared} THEN NULL ELSE {arguments[0]} END", arguments[0].type)


def attempt(arguments: list[Value]) -> Value:
    want(arguments, 1)
    return Value(f"TRY({arguments[0]})", arguments[0].type)


def typeof(arguments: list[Value]) -> Value:
    want(arguments, 1)
    return Value(text(str(arguments[0].type)), VARCHAR, str(arguments[0].type))


def row(arguments: list[Value]) -> Value:
    """``ROW(…)``, or ``(a, b)``: fields without names."""
    names = tuple(f"field{at}" for at in range(len(arguments)))
    cells = ", ".join(f"'{name}': {value}" for name, value in zip(names, arguments, strict=True))
    return Value(f"{{{cells}}}", Type("row", tuple(value.type for value in arguments), names))


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


SPECIAL: dict[str, Special] = {
    "date_trunc": date_trunc,
    "date_add": date_add,
    "date_diff": date_diff,
    "date_format": date_format,
    "date_parse": date_parse,
    "format_datetime": format_datetime,
    "from_unixtime": from_unixtime,
    "from_iso8601_timestamp": from_iso8601_timestamp,
    "to_iso8601": to_iso8601,
    "at_timezone": at_timezone,
    "with_timezone": with_timezone,
    "now": now,
    "regexp_like": regexp_like,
    "regexp_extract": regexp_extract,
    "regexp_extract_all": regexp_extract_all,
    "regexp_count": regexp_count,
    "regexp_split": regexp_split,
    "regexp_replace": regexp_replace,
    "json_extract": json_extract,
    "json_extract_scalar": json_extract_scalar,
    "json_parse": json_parse,
    "json_format": json_format,
    "json_array_length": json_array_length,
    "concat": concat,
    "greatest": extreme("greatest"),
    "least": extreme("least"),
    "coalesce": coalesce,
    "nullif": nullif,
    "try": attempt,
    "typeof": typeof,
    "row": row,
    "round": rounding("round"),
    "ceil": rounding("ceil"),
    "ceiling": rounding("ceil"),
    "floor": rounding("floor"),
    "mod": mod,
}

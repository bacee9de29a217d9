"""Functions of dates and times: units, formats, zones."""

from __future__ import annotations

import re

from chalicelib.queries.sql.arguments import Refused, constant, require, want
from chalicelib.queries.sql.types import BIGINT, DATE, DOUBLE, TIMESTAMP, VARCHAR, Type, common, text
from chalicelib.queries.sql.values import OPAQUE, Value, cast, coerce, fail_when, timestamp_text, utc_time, zoned

UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
TIMES = ("date", "timestamp", "timestamptz")
MYSQL = {
    "a": "%a", "b": "%b", "c": "%-m", "d": "%d", "e": "%-d", "f": "%f", "H": "%H", "h": "%I", "I": "%I", "i": "%M",
    "j": "%j", "k": "%-H", "l": "%-I", "M": "%B", "m": "%m", "p": "%p", "r": "%I:%M:%S %p", "S": "%S", "s": "%S",
    "T": "%H:%M:%S", "v": "%V", "W": "%A", "x": "%G", "Y": "%Y", "y": "%y", "%": "%%",
}  # fmt: skip
PARSED = set("YmdHiSsfTeckljpMbhIaWry%")
JODA = {
    "yyyy": "%Y", "yy": "%y", "y": "%Y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m", "dd": "%d", "d": "%-d",
    "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S", "SSS": "%g",
    "EEEE": "%A", "EEE": "%a", "E": "%a", "a": "%p", "DDD": "%j", "ww": "%V", "xxxx": "%G", "e": "%u",
}  # fmt: skip


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


def date_format(arguments: list[Value]) -> Value:
    want(arguments, 2)
    pattern = mysql_format(constant(arguments, 1, "the format"), set(MYSQL), 1)
    return Value(f"strftime({moment(arguments, 0).local}, {text(pattern)})", VARCHAR)


def date_parse(arguments: list[Value]) -> Value:
    want(arguments, 2)
    pattern = mysql_format(constant(arguments, 1, "the format"), PARSED, 1)
    return Value(f"strptime({require(arguments, 0, VARCHAR)}, {text(pattern)})", TIMESTAMP)


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


def format_datetime(arguments: list[Value]) -> Value:
    want(arguments, 2)
    pattern = joda_format(constant(arguments, 1, "the format"), 1)
    return Value(f"strftime({moment(arguments, 0).local}, {text(pattern)})", VARCHAR)


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


def to_iso8601(arguments: list[Value]) -> Value:
    want(arguments, 1)
    value = arguments[0]
    if value.type == DATE:
        return cast(value, VARCHAR)
    if value.type.name not in TIMES or (value.type.zoned and value.zone != "'UTC'"):
        raise Refused("takes a date, a timestamp, or one with time zone UTC")
    shown = timestamp_text(value.local, value.type.precision)
    return Value(f"(replace({shown}, ' ', 'T'){' || ' + text('Z') if value.type.zoned else ''})", VARCHAR)


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

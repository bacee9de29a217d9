"""Functions of dates and times: units, formats, zones, intervals."""

# ruff: noqa: E501  (a template a line reads as a table)

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from chalicelib.queries.sql import zones
from chalicelib.queries.sql.casts import at_precision, cast, timestamp_text
from chalicelib.queries.sql.forms import constant, require, want
from chalicelib.queries.sql.suggestions import did_you_mean
from chalicelib.queries.sql.types import (
    BIGINT,
    DATE,
    DOUBLE,
    INTERVAL_DAY,
    TIMESTAMP,
    UNKNOWN,
    VARCHAR,
    Type,
    common,
    text,
)  # fmt: skip
from chalicelib.queries.sql.values import (
    OPAQUE,
    Refused,
    Value,
    coerce,
    fail_when,
    once,
    utc_time,
    zoned,
)  # fmt: skip

UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
TIMES = ("date", "timestamp", "timestamptz")
MYSQL = {
    "a": "%a", "b": "%b", "c": "%-m", "d": "%d", "e": "%-d", "f": "%f", "H": "%H", "h": "%I", "I": "%I", "i": "%M",
    "j": "%j", "k": "%-H", "l": "%-I", "M": "%B", "m": "%m", "p": "%p", "r": "%I:%M:%S %p", "S": "%S", "s": "%S",
    "T": "%H:%M:%S", "v": "%V", "W": "%A", "x": "%G", "Y": "%Y", "y": "%y", "%": "%%",
}  # fmt: skip
PARSED = set("YmdHiSsfTeckljpMbhIaWry%")
JODA = {
    "yyyy": "%Y", "yy": "%y", "y": "%Y", "YYYY": "%Y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m", "dd": "%d",
    "d": "%-d", "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S",
    "SSS": "%g", "EEEE": "%A", "EEE": "%a", "E": "%a", "a": "%p", "DDD": "%j", "ww": "%V", "xxxx": "%G", "e": "%u",
}  # fmt: skip
BY_FIELD = {
    "year": "year", "quarter": "quarter", "month": "month", "week": "week", "day": "day", "day_of_week": "isodow",
    "day_of_year": "dayofyear", "year_of_week": "isoyear",
}  # fmt: skip
LONGEST_SEQUENCE = "result of sequence function must not have more than 10000 entries"


def extractions() -> dict[str, str]:
    made: dict[str, str] = {}
    for name, function in BY_FIELD.items():
        made[f"{name}(date) -> bigint"] = f"{function}({{0}})"
        made[f"{name}(timestamp) -> bigint"] = f"{function}({{0}})"
        made[f"{name}(timestamptz) -> bigint"] = f"{function}({{0.local}})"
    for name in ("hour", "minute", "second"):
        made[f"{name}(timestamp) -> bigint"] = f"{name}({{0}})"
        made[f"{name}(timestamptz) -> bigint"] = f"{name}({{0.local}})"
        made[f"{name}(interval_day) -> bigint"] = f"CAST(epoch({{0}}) AS BIGINT) {INTERVAL_PARTS[name]}"
    made["millisecond(interval_day) -> bigint"] = "CAST(round(epoch({0}) * 1000) AS BIGINT) % 1000"
    made["day(interval_day) -> bigint"] = "CAST(trunc(epoch({0}) / 86400) AS BIGINT)"
    made["year(interval_month) -> bigint"] = "CAST(datepart('year', {0}) AS BIGINT)"
    made["month(interval_month) -> bigint"] = "CAST(datepart('month', {0}) AS BIGINT)"
    return made


INTERVAL_PARTS = {"hour": "// 3600 % 24", "minute": "// 60 % 60", "second": "% 60"}
SCALARS = {
    **extractions(),
    "millisecond(timestamp) -> bigint": "(millisecond({0}) % 1000)",
    "millisecond(timestamptz) -> bigint": "(millisecond({0.utc}) % 1000)",
    "timezone_hour(timestamptz) -> bigint": "CAST((epoch({0.local}) - epoch({0.utc})) AS BIGINT) // 3600",
    "timezone_minute(timestamptz) -> bigint": "CAST((epoch({0.local}) - epoch({0.utc})) AS BIGINT) // 60 % 60",
    "timezone(timestamptz) -> varchar": "{0.zone}",
    "last_day_of_month(date) -> date": "last_day({0})",
    "last_day_of_month(timestamp) -> date": "last_day({0})",
    "last_day_of_month(timestamptz) -> date": "last_day({0.local})",
    "date(varchar) -> date": "cast",
    "date(timestamp) -> date": "CAST({0} AS DATE)",
    "date(timestamptz) -> date": "CAST({0.local} AS DATE)",
    "date(date) -> date": "{0}",
    "to_unixtime(timestamp) -> double": "(epoch_us({0}) / 1e6)",
    "to_unixtime(timestamptz) -> double": "(epoch_us({0.utc}) / 1e6)",
    "to_milliseconds(interval_day) -> bigint": "CAST(round(epoch({0}) * 1000) AS BIGINT)",
    "from_iso8601_date(varchar) -> date": (
        "CASE " + fail_when("NOT regexp_full_match({0}, '\\d{{4}}(-\\d{{2}}){{0,2}}')", "'not an ISO 8601 date: ' || {0}")
        + " ELSE CAST({0} || substr('-01-01', length({0}) - 3) AS DATE) END"
    ),
    "current_timezone() -> varchar": "'UTC'",
}  # fmt: skip


def unit_of(arguments: Sequence[Value], at: int = 0) -> str:
    unit = constant(arguments, at, "the unit").lower()
    if unit not in UNITS:
        hint = did_you_mean(unit, UNITS) or f"; there is {', '.join(UNITS)}"
        raise Refused(f"'{unit[:40]}' is not a unit{hint}", at)
    return unit


def moment(arguments: Sequence[Value], at: int) -> Value:
    if arguments[at].type.name not in TIMES:
        raise Refused(f"must be a date or a timestamp, not {arguments[at].type}", at)
    return arguments[at]


def finer_than_day(unit: str) -> bool:
    return UNITS.index(unit) < UNITS.index("day")


def date_trunc(arguments: list[Value]) -> Value:
    want(arguments, 2)
    unit, value = unit_of(arguments), moment(arguments, 1)
    if value.type == DATE:
        if finer_than_day(unit):
            raise Refused(f"'{unit}' is not a unit of a date", 0)
        return Value(f"CAST(date_trunc('{unit}', {value}) AS DATE)", DATE)
    if not value.type.zoned:
        return Value(f"date_trunc('{unit}', {value})", value.type)
    precision = value.type.precision
    if finer_than_day(unit):  # the offset stays, also in the hour that comes twice
        utc = once([value], lambda one: f"{one.utc} - ({one.local} - date_trunc('{unit}', {one.local}))")
        return zoned(f"({utc})", value.zone, precision)
    return zoned(utc_time(f"date_trunc('{unit}', {value.local})", value.zone), value.zone, precision)


def date_add(arguments: list[Value]) -> Value:
    want(arguments, 3)
    unit, value = unit_of(arguments), moment(arguments, 2)
    if not arguments[1].type.integral:
        raise Refused(f"the number of units must be a whole number, not {arguments[1].type}", 1)
    function = {"week": "to_weeks", "quarter": "to_quarters"}.get(unit, f"to_{unit}s")
    step = f"{function}(CAST({arguments[1]} AS {'BIGINT' if unit in UNITS[:4] else 'INTEGER'}))"
    if value.type == DATE:
        if finer_than_day(unit):
            raise Refused(f"'{unit}' is not a unit of a date", 0)
        return Value(f"CAST({value} + {step} AS DATE)", DATE)
    if not value.type.zoned:
        made = f"({value} + {step})"
        return Value(at_precision(made, 3, value.type.precision) if unit == UNITS[0] else made, value.type)
    if finer_than_day(unit):
        later = f"({value.utc} + {step})"
        if unit == UNITS[0]:
            later = at_precision(later, 3, value.type.precision)
        return zoned(later, value.zone, value.type.precision)
    return zoned(utc_time(f"({value.local} + {step})", value.zone), value.zone, value.type.precision)


def date_diff(arguments: list[Value]) -> Value:
    want(arguments, 3)
    unit = unit_of(arguments)
    first, second = moment(arguments, 1), moment(arguments, 2)
    kind = common(first.type, second.type) or first.type
    first, second = coerce(first, kind), coerce(second, kind)
    if kind == DATE and finer_than_day(unit):
        raise Refused(f"'{unit}' is not a unit of a date", 0)
    if kind.zoned and finer_than_day(unit):
        return Value(f"date_sub('{unit}', {first.utc}, {second.utc})", BIGINT)
    return Value(f"date_sub('{unit}', {first.local}, {second.local})", BIGINT)


# Formats


def date_format(arguments: list[Value]) -> Value:
    want(arguments, 2)
    pattern = mysql_format(constant(arguments, 1, "the format"), set(MYSQL), 1)
    return Value(f"strftime({in_milliseconds(moment(arguments, 0))}, {text(pattern)})", VARCHAR)


def in_milliseconds(value: Value) -> str:
    """The wall clock with the digits of a second that Joda-Time knows."""
    return value.local if value.type.precision <= 3 else at_precision(value.local, value.type.precision, 3)


def date_parse(arguments: list[Value]) -> Value:
    want(arguments, 2)
    pattern = mysql_format(constant(arguments, 1, "the format"), PARSED, 1)
    return Value(parsed(require(arguments, 0, VARCHAR).sql, pattern), TIMESTAMP)


def parsed(sql: str, pattern: str) -> str:
    """strptime as Joda-Time parses: the year is 1970 where none is told, a half day without AM is the morning's."""
    used = set(re.findall(r"%-?([A-Za-z])", pattern))
    if not used & {"Y", "y", "G"}:
        sql, pattern = f"('1970 ' || {sql})", f"%Y {pattern}"
    if "I" in used and "p" not in used:
        sql, pattern = f"('AM ' || {sql})", f"%p {pattern}"
    made = f"strptime({sql}, {text(pattern)})"
    if "y" in used:  # 70 to 99 are of the last century, 69 is not
        kind = Type("timestamp", precision=3)
        return once([Value(made, kind)], lambda m: f"CASE WHEN year({m}) = 1969 THEN {m} + to_years(100) ELSE {m} END")
    return made


def mysql_format(pattern: str, allowed: set[str], at: int) -> str:
    """A MySQL date format as strftime's."""
    made, signs = [], iter(pattern)
    for sign in signs:
        if sign != "%":
            made.append(sign)
            continue
        letter = next(signs, "")
        if letter in MYSQL and letter in allowed:
            made.append(MYSQL[letter])
        elif letter in set("DUuVwX") or letter in MYSQL:
            raise Refused(f"%{letter} of the date format is not supported", at)
        else:
            made.append("%%" if letter == "" else letter)
    return "".join(made)


def format_datetime(arguments: list[Value]) -> Value:
    want(arguments, 2)
    value = moment(arguments, 0)
    pattern = joda_format(constant(arguments, 1, "the format"), 1)
    return Value(f"strftime({in_milliseconds(value)}, {text(pattern)})", VARCHAR)


def parse_datetime(arguments: list[Value]) -> Value:
    want(arguments, 2)
    written = constant(arguments, 1, "the format")
    zone = re.search(r"\s?(Z{1,2}|ZZZ+|z+)$", written)
    pattern = joda_format(written[: zone.start()] if zone else written, 1)
    value = require(arguments, 0, VARCHAR).sql
    if not zone:
        return zoned(parsed(value, pattern), "'UTC'")
    offset = r"(Z|[+-]\d\d:?\d\d)$" if zone[1] in ("Z", "ZZ") else r"([A-Za-z][\w/+-]*)$"
    if zone[1].startswith("z"):
        raise Refused("'z' of the date format is not supported", 1)
    found = f"regexp_extract({value}, {text(offset)}, 1)"
    blank_offset = text(rf"\s?{offset}")
    local = parsed(f"regexp_replace({value}, {blank_offset}, '')", pattern)
    known = f"CASE WHEN {found} IN ('Z', '') THEN 'UTC' WHEN length({found}) = 5 AND left({found}, 1) IN ('+', '-') THEN left({found}, 3) || ':' || right({found}, 2) ELSE {found} END"
    refused = fail_when(f"{found} = ''", f"'Invalid format: ' || {value}")
    return zoned(f"CASE {refused} ELSE {utc_time(local, known)} END", known)


def joda_format(pattern: str, at: int) -> str:
    """A Joda-Time pattern as strftime's."""
    made = []
    for part in re.finditer(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']", pattern):
        if part[0].startswith("'"):
            made.append((part[1] or "'").replace("%", "%%"))
        elif part[2]:
            if part[0] not in JODA:
                raise Refused(f"'{part[0][:20]}' of the date format is not supported", at)
            made.append(JODA[part[0]])
        else:
            made.append(part[0].replace("%", "%%"))
    if pattern.count("'") % 2:
        raise Refused("a quoted part of the date format does not end", at)
    return "".join(made)


def from_iso8601_timestamp(arguments: list[Value]) -> Value:
    want(arguments, 1)
    value = require(arguments, 0, VARCHAR)
    return zoned(*once_iso(value))


def once_iso(value: Value) -> tuple[str, str]:
    """Instant and zone of an ISO 8601 text; one without an offset is UTC."""
    form = r"\d{4}-\d{2}-\d{2}(T(\d{2}(:\d{2}(:\d{2}([.,]\d{1,9})?)?)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?"
    bare = f"rtrim(regexp_replace(replace(replace({value}, 'T', ' '), ',', '.'), '(Z|( \\d[\\d:.]*)[+-]\\d\\d(:?\\d\\d)?)$', '\\2'))"
    local = f"CAST(CASE WHEN length({bare}) = 13 THEN {bare} || ':00' ELSE {bare} END AS TIMESTAMP)"
    found = f"regexp_extract({value}, 'T.*([+-]\\d\\d)(:?(\\d\\d))?$', ['h', 'c', 'm'])"
    sign = f"({found}).h"
    zone = f"CASE WHEN {sign} = '' OR {sign} || ({found}).m IN ('+00', '-00', '+0000', '-0000') THEN 'UTC' ELSE {sign} || ':' || coalesce(nullif(({found}).m, ''), '00') END"
    refused = fail_when(f"NOT regexp_full_match({value}, {text(form)})", f"'not an ISO 8601 time: ' || {value}")
    minutes = f"(CASE WHEN left({sign}, 1) = '-' THEN -1 ELSE 1 END * (coalesce(TRY_CAST(substr({sign}, 2) AS INTEGER), 0) * 60 + coalesce(TRY_CAST(({found}).m AS INTEGER), 0)))"
    utc = f"CASE {refused} ELSE date_trunc('millisecond', {local}) - to_minutes({minutes}) END"
    return utc, zone


def to_iso8601(arguments: list[Value]) -> Value:
    want(arguments, 1)
    value = arguments[0]
    if value.type == DATE:
        return cast(value, VARCHAR)
    if value.type.name not in TIMES:
        raise Refused(f"takes a date or a timestamp, not {value.type}")
    shown = timestamp_text(value.local, value.type.precision)
    return Value(f"(replace({shown}, ' ', 'T'){' || ' + offset_text(value) if value.type.zoned else ''})", VARCHAR)


def offset_text(value: Value) -> str:
    """The offset of a zoned value as ISO 8601 has it: Z, +02:00."""
    if value.zone == "'UTC'":
        return "'Z'"

    def make(one: Value) -> str:
        minutes = f"CAST(epoch({one.local}) - epoch({one.utc}) AS BIGINT) // 60"
        sign = f"CASE WHEN {minutes} < 0 THEN '-' ELSE '+' END"
        return f"CASE WHEN {minutes} = 0 THEN 'Z' ELSE {sign} || printf('%02d:%02d', abs({minutes}) // 60, abs({minutes}) % 60) END"

    return once([value], make)


# Zones


def from_unixtime(arguments: list[Value]) -> Value:
    want(arguments, 1, 3)
    seconds = require(arguments, 0, DOUBLE)
    utc = f"make_timestamp(CAST(round({seconds} * 1000) AS BIGINT) * 1000)"
    if len(arguments) == 3:
        hours, minutes = arguments[1].constant, arguments[2].constant
        if not isinstance(hours, int) or not isinstance(minutes, int) or abs(hours) > 14 or abs(minutes) > 59:
            raise Refused("hours and minutes of the offset are literals", 1)
        total = hours * 60 + minutes
        return zoned(utc, zone_literal(f"{'-' if total < 0 else '+'}{abs(total) // 60:02}:{abs(total) % 60:02}", 1))
    return zoned(utc, zone_of(arguments, 1) if len(arguments) == 2 else "'UTC'")


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
    return zoned(utc_time(f"CAST({value} AS TIMESTAMP)", zone, later=True), zone, value.type.precision)


def zone_of(arguments: Sequence[Value], at: int) -> str:
    """A zone's name, or an offset."""
    if arguments[at].type.interval:
        raise Refused("the time zone must be a text", at)
    value = require(arguments, at, VARCHAR)
    if value.constant is OPAQUE:
        raise Refused("the value of the time zone is needed", at)
    if isinstance(value.constant, str):
        return zone_literal(value.constant, at)

    def known(zone: Value) -> str:
        words = f"'''' || {zone} || ''' is not a valid time zone'"
        missing = fail_when(f"lake_zone({zone}) = ''", words)
        return f"CASE {missing} ELSE lake_zone({zone}) END"

    return once([value], known)


def zone_literal(written: str, at: int | None = None) -> str:
    if key := zones.zone_key(written):
        return text(key)
    raise Refused(f"there is no time zone {written[:60]}{zones.nearest(written[:60])}", at)


def now(_arguments: Sequence[Value]) -> Value:
    return zoned("make_timestamp(epoch_us(date_trunc('millisecond', get_current_timestamp())))", "'UTC'")


# Arithmetic


def arithmetic(sign: str, left: Value, right: Value) -> Value:
    """``+ - * /`` where a date, a timestamp or an interval is on one side."""
    if sign in "*/":  # an interval is multiplied by a double
        left, right = (coerce(one, DOUBLE) if one.type.name in ("decimal", "real") else one for one in (left, right))
    first, second = left.type.name, right.type.name
    if sign == "+" and left.type.interval and second in TIMES:
        return arithmetic(sign, right, left)
    if sign in "+-" and first in TIMES and right.type.interval:
        return moved(sign, left, right)
    if sign == "-" and first in TIMES and second in TIMES:
        return difference(left, right)
    if sign in "+-" and first == second and left.type.interval:
        return Value(f"({left} {sign} {right})", left.type)
    if sign in "+-" and UNKNOWN in (left.type, right.type) and (left.type.interval or right.type.interval):
        return Value("CAST(NULL AS INTERVAL)", left.type if left.type.interval else right.type)
    if sign == "*" and left.type.interval and (right.type.integral or right.type == DOUBLE):
        return multiplied(left, right)
    if sign == "*" and right.type.interval and (left.type.integral or left.type == DOUBLE):
        return multiplied(right, left)
    if sign == "/" and left.type.interval and (right.type.integral or right.type == DOUBLE):
        zero = fail_when(f"{right} = 0", text("Division by zero")) if right.type.integral else ""
        by = Value(f"(1e0 / {right})", DOUBLE)
        made = multiplied(left, by)
        return Value(f"CASE {zero} ELSE {made} END", left.type) if zero else made
    raise Refused(f"cannot apply {left.type} {sign} {right.type}")


def multiplied(interval: Value, by: Value) -> Value:
    if interval.type == INTERVAL_DAY:
        return Value(f"to_milliseconds(CAST(trunc(round(epoch({interval}) * 1000) * {by}) AS BIGINT))", INTERVAL_DAY)
    months = f"(datepart('year', {interval}) * 12 + datepart('month', {interval}))"
    return Value(f"to_months(CAST(trunc({months} * {by}) AS INTEGER))", interval.type)


def difference(left: Value, right: Value) -> Value:
    kind = common(left.type, right.type) or left.type
    one, other = coerce(left, kind), coerce(right, kind)
    micros = f"epoch_us(CAST({one.compared} AS TIMESTAMP)) - epoch_us(CAST({other.compared} AS TIMESTAMP))"
    if kind.precision > 3:
        micros = f"CAST(round(({micros}) / 1000) AS BIGINT) * 1000"
    return Value(f"to_microseconds({micros})", INTERVAL_DAY)


def moved(sign: str, value: Value, interval: Value) -> Value:
    """A date or timestamp and an interval: days and less are exact times, months are the calendar's."""
    made = f"({value.utc if value.type.zoned else value.sql} {sign} {interval})"
    if value.type == DATE:
        if interval.type == INTERVAL_DAY:
            part = fail_when(f"epoch({interval}) % 86400 <> 0", text("Cannot add hour, minutes or seconds to a date"))
            whole = isinstance(interval.constant, int) and interval.constant % 86_400_000 == 0
            return Value(f"CAST({made} AS DATE)" if whole else f"CASE {part} ELSE CAST({made} AS DATE) END", DATE)
        return Value(f"CAST({made} AS DATE)", DATE)
    if interval.type == INTERVAL_DAY:
        kind = replace(value.type, precision=max(value.type.precision, 3))
        return zoned(made, value.zone, kind.precision) if value.type.zoned else Value(made, kind)
    if not value.type.zoned:
        return Value(made, value.type)
    return zoned(utc_time(f"({value.local} {sign} {interval})", value.zone), value.zone, value.type.precision)


BY_VALUE: dict[str, Callable[[list[Value]], Value]] = {
    "date_trunc": date_trunc,
    "date_add": date_add,
    "date_diff": date_diff,
    "date_format": date_format,
    "date_parse": date_parse,
    "format_datetime": format_datetime,
    "parse_datetime": parse_datetime,
    "from_unixtime": from_unixtime,
    "from_iso8601_timestamp": from_iso8601_timestamp,
    "to_iso8601": to_iso8601,
    "at_timezone": at_timezone,
    "with_timezone": with_timezone,
    "now": now,
}

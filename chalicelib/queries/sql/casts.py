"""``CAST`` and ``TRY_CAST``, and how a result column holds what Parquet has no type for."""

from __future__ import annotations

import re

from chalicelib.queries.sql.types import JSON, VARCHAR, Type, text
from chalicelib.queries.sql.values import Refused, Value, coerce, fail_when, once, zoned
from chalicelib.queries.sql.zones import zone_key

BLANKS = r"[ \t\n\r\f\v]*"
SIGNED = r"\s*[+-]?\d+\s*"
NUMBER_TEXT = r"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[dDfF]?|NaN|Infinity)"
DECIMAL_TEXT = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
BOOLEAN_TEXT = r"(?i)(t|true|1|f|false|0)"
DATE_TEXT = rf"{BLANKS}[+-]?\d{{4,}}-\d{{1,2}}-\d{{1,2}}{BLANKS}"
CLOCK = r"\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d{1,12})?)?"
#: The zone, whatever it is called, is the one group.
TIMESTAMP_TEXT = rf"{BLANKS}\d{{4,}}-\d{{1,2}}-\d{{1,2}}(?: (?:{CLOCK})?{BLANKS}(\S.*?)?)?{BLANKS}"
TEXT_FORMS = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint"), SIGNED),
    **dict.fromkeys(("double", "real"), rf"\s*{NUMBER_TEXT}\s*"),
    "decimal": DECIMAL_TEXT,
    "boolean": BOOLEAN_TEXT,
    "date": DATE_TEXT,
    "timestamp": TIMESTAMP_TEXT,
}
TIMES = ("date", "timestamp", "timestamptz")
BEYOND = re.compile(r"\s*([+-]|[0-9]{5,}-)")


def cast(value: Value, to: Type, trying: bool = False, length: int | None = None) -> Value:
    """``CAST(value AS to)``, or ``TRY_CAST``; ``length`` is that of ``varchar(n)``. Raises Refused."""
    if length is not None and to.name == "varchar":
        return limited(value, cast(value, to, trying), length, trying)
    made = cast_text(value, to, trying)
    if isinstance(made, Value):
        return made
    return Value(f"TRY({made})" if trying else made, to, value.constant if value.type == to else NOT_KNOWN)


NOT_KNOWN = Value("NULL", VARCHAR).constant


def limited(value: Value, made: Value, length: int, trying: bool) -> Value:
    """Text is cut to its length; anything else must fit."""
    if value.type.name in ("varchar", "unknown"):
        return Value(f"left({made}, {length})", VARCHAR)
    missing = f"WHEN length({{0}}) > {length} THEN NULL"
    words = text(f"the value cannot be represented as varchar({length})")
    refused = missing if trying else fail_when(f"length({{0}}) > {length}", words)
    return Value(once([made], lambda one: f"CASE {refused.format(one)} ELSE {one} END"), VARCHAR)


def cast_text(value: Value, to: Type, trying: bool) -> str | Value:
    source = value.type
    if source.name == "unknown" or (source == to and not to.args):
        return coerce(value, to)
    if "json" in (source.name, to.name):
        from chalicelib.queries.sql.json_functions import cast_from_json, cast_to_json

        return cast_to_json(value) if to == JSON else cast_from_json(value, to)
    if source.name == "varchar" and (to.name in TEXT_FORMS or to.zoned):
        return cast_from_text(value, to, trying)
    if source.name == "varchar" and to.name == "varbinary":
        return f"encode({value})"
    if to == VARCHAR:
        return text_of(value)
    if to.numeric and (source.numeric or source.name == "boolean"):
        return cast_number(value, to)
    if to.name == "boolean" and source.numeric:
        return f"CAST({value} AS BOOLEAN)"
    if source.name in TIMES and to.name in TIMES:
        return cast_time(value, to)
    if source.interval and source == to:
        return value
    return cast_within(value, to, trying)


def cast_within(value: Value, to: Type, trying: bool) -> str:
    """Arrays, maps and rows, part by part."""
    source = value.type
    if source.name == to.name == "array":
        element = cast(Value("e", source.args[0]), to.args[0], trying)
        return f"list_transform({value}, lambda e: {element})"
    if source.name == to.name == "map":
        key, item = (
            cast(Value(f"e.{part}", kind), wanted, trying)
            for part, kind, wanted in zip(("key", "value"), source.args, to.args, strict=True)
        )
        return f"map_from_entries(list_transform(map_entries({value}), lambda e: {{'key': {key}, 'value': {item}}}))"
    if source.name == to.name == "row" and len(source.args) == len(to.args):
        return once([value], lambda one: cast_row(one, to, trying))
    raise Refused(f"cannot cast {source} to {to}")


def cast_row(value: Value, to: Type, trying: bool) -> str:
    cells = [
        f"'f{at}': {cast(Value(f'({value}).f{at}', kind), wanted, trying)}"
        for at, (kind, wanted) in enumerate(zip(value.type.args, to.args, strict=True), 1)
    ]
    return f"CASE WHEN {value} IS NULL THEN NULL ELSE {{{', '.join(cells)}}} END"


def cast_from_text(value: Value, to: Type, trying: bool) -> str | Value:
    if to.name in TIMES and isinstance(value.constant, str) and BEYOND.match(value.constant):
        raise Refused("years before 0 and beyond 9999 are not supported")
    if to.zoned:
        return zoned_from_text(value, to, trying)

    def make(one: Value) -> str:
        form = is_moment(one) if to.name == "timestamp" else f"regexp_full_match({one}, {text(TEXT_FORMS[to.name])})"
        made = from_text(one.sql, to)
        if trying:
            return f"CASE WHEN {form} THEN {made} END"
        refused = fail_when(f"NOT {form}", f"'Cannot cast ''' || {one} || ''' to {to}'")
        return f"CASE {refused} ELSE {made} END"

    return once([value], make)


def from_text(sql: str, to: Type) -> str:
    if to.approximate:
        return f"CAST(regexp_replace(trim({sql}), '(?i)^([^n]*[0-9.])[dDfF]$', '\\1') AS {to.duckdb})"
    if to.name == "timestamp":
        made = at_precision(f"CAST({timestamp_of_text(sql)} AS TIMESTAMP)", 6, to.precision)
        up = f"to_microseconds(CAST(regexp_matches({sql}, '\\.\\d{{6}}[5-9]') AS BIGINT))"
        return f"({made} + {up})" if to.precision == 6 else made
    if to.name == "date":
        return f"CAST(trim({sql}, E' \\t\\n\\x0b\\x0c\\r') AS DATE)"
    return f"CAST({sql} AS {to.duckdb})"


def timestamp_of_text(sql: str) -> str:
    """The date and the clock of a text, without a zone and with 6 digits of a second at most."""
    bare = f"regexp_extract({sql}, '^\\s*(\\d+-\\d+-\\d+( \\d+:\\d+(:\\d+(\\.\\d{{1,6}})?)?)?)', 1)"
    return f"regexp_replace({bare}, ' (\\d+:\\d+)$', ' \\1:00')"


def is_moment(value: Value) -> str:
    """Whether a text is a date, with a clock or not, and with a zone that there is or none. Of a literal that is known
    here, so that a file of views, which has no function of ours, can hold it."""
    if isinstance(value.constant, str):
        found = re.fullmatch(TIMESTAMP_TEXT, value.constant, re.ASCII)
        return "true" if found and (not found[1] or zone_key(found[1])) else "false"
    zone = zone_text(value)
    return (
        f"CASE WHEN NOT regexp_full_match({value}, {text(TEXT_FORMS['timestamp'])}) THEN false "
        f"WHEN {zone} = '' THEN true ELSE lake_zone({zone}) <> '' END"
    )


def zone_text(value: Value) -> str:
    """What stands behind date and clock."""
    return f"regexp_extract({value}, {text(f'^{TIMESTAMP_TEXT}$')}, 1)"


def zoned_from_text(value: Value, to: Type, trying: bool) -> Value:
    from chalicelib.queries.sql.values import utc_time

    def zone_in(one: Value) -> str:
        zone = zone_text(one)
        return f"CASE WHEN {zone} = '' OR NOT {is_moment(one)} THEN 'UTC' ELSE lake_zone({zone}) END"

    def instant(one: Value) -> str:
        local = f"CAST({timestamp_of_text(one.sql)} AS TIMESTAMP)"
        utc = at_precision(utc_time(local, f"({zone_in(one)})"), 6, to.precision)
        if trying:
            return f"TRY(CASE WHEN {is_moment(one)} THEN {utc} END)"
        words = f"'Value cannot be cast to timestamp with time zone: ' || {one}"
        return f"CASE {fail_when(f'NOT {is_moment(one)}', words)} ELSE {utc} END"

    return zoned(once([value], instant), once([value], zone_in), to.precision)


def cast_number(value: Value, to: Type) -> str:
    if to.integral and value.type.approximate:
        return (
            f"CAST(trunc({value} + CASE WHEN {value} < 0 THEN -0.5e0 ELSE 0.5e0 END) AS {to.duckdb})"
            if value.type.name == "real"
            else f"CAST(round({value}) AS {to.duckdb})"
        )
    if to.name == "decimal" and value.type.name == "real":
        raise Refused(f"cannot cast real to {to}; cast it to double first")
    if to.name == "decimal" and value.type.approximate:  # by its shortest digits, as Trino does
        exact = f"CAST(CAST({value} AS HUGEINT) AS {to.duckdb})"
        shortest = f"CAST(CAST({value} AS VARCHAR) AS {to.duckdb})"
        return f"CASE WHEN abs({value}) >= 9007199254740992 AND abs({value}) < 1e18 THEN {exact} ELSE {shortest} END"
    if to.name == "decimal" and value.type.name == "boolean":
        return f"CAST(CAST({value} AS INTEGER) AS {to.duckdb})"
    return f"CAST({value} AS {to.duckdb})"


def cast_time(value: Value, to: Type) -> str | Value:
    if to.name == "date":
        return f"CAST({value.local} AS DATE)"
    if to.name == "timestamp":
        return at_precision(f"CAST({value.local} AS TIMESTAMP)", value.type.precision, to.precision)
    if value.type.zoned:
        return zoned(at_precision(value.utc, value.type.precision, to.precision), value.zone, to.precision)
    return zoned(at_precision(f"CAST({value} AS TIMESTAMP)", value.type.precision, to.precision), "'UTC'", to.precision)


def at_precision(timestamp: str, digits: int, wanted: int) -> str:
    """A timestamp rounded to fewer digits of a second, half up."""
    if wanted >= min(digits, 6):
        return timestamp
    step = 10 ** (6 - wanted)
    return f"make_timestamp(CAST(floor((epoch_us({timestamp}) + {step // 2}) / {step}) AS BIGINT) * {step})"


def text_of(value: Value) -> str:
    """``CAST(value AS varchar)``."""
    kind = value.type
    if kind.name == "decimal":
        return decimal_text(value)
    if kind.integral or kind.name in ("boolean", "date", "varchar"):
        return f"CAST({value} AS VARCHAR)"
    if kind.name == "timestamp":
        return timestamp_text(value.sql, kind.precision)
    if kind.zoned:
        return f"({timestamp_text(value.local, kind.precision)} || ' ' || {value.zone})"
    if kind.approximate:
        seven = f"CAST(printf('%.6e', {value}) AS DOUBLE)"  # digits that Trino writes of a real
        return once([value if kind.name == "double" else Value(seven, kind)], lambda one: double_text(one.sql))
    if kind.name == "interval_day":
        return once([value], lambda one: interval_day_text(one.sql))
    if kind.name == "interval_month":
        return once([value], lambda one: interval_month_text(one.sql))
    raise Refused(f"cannot cast {kind} to varchar")


def decimal_text(value: Value) -> str:
    """DuckDB writes no zero before the point of a decimal(p, p)."""
    shown = f"CAST({value} AS VARCHAR)"
    if value.type.precision > value.type.scale:
        return shown
    return f"regexp_replace({shown}, '^(-?)\\.', '\\10.')"


def timestamp_text(sql: str, precision: int) -> str:
    whole = f"strftime({sql}, '%Y-%m-%d %H:%M:%S')"
    if precision == 0:
        return whole
    return (
        f"strftime({sql}, '%Y-%m-%d %H:%M:%S.%f')"
        if precision >= 6
        else f"left(strftime({sql}, '%Y-%m-%d %H:%M:%S.%f'), {20 + precision})"
    )


def double_text(sql: str) -> str:
    """As Trino writes a double: its shortest digits, one of them before the point, and an exponent: ``3.77E1``."""
    shortest = f"CAST(abs({sql}) AS VARCHAR)"
    parts = f"string_split({shortest}, 'e')"
    whole, part = "split_part(m[1], '.', 1)", "split_part(m[1], '.', 2)"
    digits = f"ltrim({whole} || {part}, '0')"
    exponent = (
        f"coalesce(CAST(m[2] AS INTEGER), 0) + length({whole}) - 1 - (length({whole} || {part}) - length({digits}))"
    )
    tail = f"coalesce(nullif(rtrim(substr({digits}, 2), '0'), ''), '0')"
    written = f"left({digits}, 1) || '.' || {tail} || 'E' || ({exponent})"
    made = f"list_extract(list_transform([{parts}], lambda m: {written}), 1)"
    return (
        f"CASE WHEN isnan({sql}) THEN 'NaN' WHEN {sql} = 0 THEN "
        f"CASE WHEN left(CAST({sql} AS VARCHAR), 1) = '-' THEN '-0E0' ELSE '0E0' END "
        f"WHEN isinf({sql}) THEN CASE WHEN {sql} > 0 THEN 'Infinity' ELSE '-Infinity' END "
        f"ELSE CASE WHEN {sql} < 0 THEN '-' ELSE '' END || {made} END"
    )


def interval_month_text(sql: str) -> str:
    months = f"(datepart('year', {sql}) * 12 + datepart('month', {sql}))"
    sign = f"CASE WHEN {months} < 0 THEN '-' ELSE '' END"
    return f"({sign} || (abs({months}) // 12) || '-' || (abs({months}) % 12))"


def interval_day_text(sql: str) -> str:
    """As Trino shows it: ``2 03:04:05.678``."""
    ms = f"CAST(round(epoch({sql}) * 1000) AS BIGINT)"
    return (
        f"(CASE WHEN {ms} < 0 THEN '-' ELSE '' END || (abs({ms}) // 86400000) || ' ' || "
        f"printf('%02d:%02d:%02d.%03d', (abs({ms}) // 3600000) % 24, (abs({ms}) // 60000) % 60, "
        f"(abs({ms}) // 1000) % 60, abs({ms}) % 1000))"
    )


INTERVALS = ("interval_day", "interval_month")


def shown(value: Value) -> Value:
    """A value as a result column holds it: intervals, which Arrow has no like of, and JSON are text."""
    kind = value.type
    if kind == JSON:
        return Value(f"CAST({value} AS VARCHAR)", kind)
    if kind.name == "unknown":
        return Value(f"CAST({value} AS VARCHAR)", kind)
    if not kind.holds(*INTERVALS):
        return value
    return Value(once([value], lambda one: shown_within(one.sql, kind)), kind)


def shown_within(sql: str, kind: Type, depth: int = 0) -> str:
    if kind.name in INTERVALS:
        return text_of(Value(sql, kind))
    if not kind.holds(*INTERVALS):
        return sql
    inner = f"s{depth}"
    if kind.name == "array":
        return f"list_transform({sql}, lambda {inner}: {shown_within(inner, kind.args[0], depth + 1)})"
    if kind.name == "map":
        item = shown_within(f"{inner}.value", kind.args[1], depth + 1)
        cell = f"{{'key': {inner}.key, 'value': {item}}}"
        return f"map_from_entries(list_transform(map_entries({sql}), lambda {inner}: {cell}))"
    cells = [f"'f{at}': {shown_within(f'({sql}).f{at}', part, depth)}" for at, part in enumerate(kind.args, 1)]
    return f"CASE WHEN {sql} IS NULL THEN NULL ELSE {{{', '.join(cells)}}} END"

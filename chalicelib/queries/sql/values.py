"""A translated expression: its DuckDB text, its Trino type, and how it is turned into another type."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from chalicelib.queries.sql.types import VARCHAR, Type, text

NOT_CONSTANT = object()
OPAQUE = object()  # a parameter whose value is not looked at, so that the translation serves for every value
LARGEST = 400_000  # characters of one translated expression; templates repeat their arguments


FAILURE_MARK = "lake: "  # stands before the message of a failure of our own making


def fail(message: str) -> str:
    """An expression of any type that fails with ``message`` (DuckDB text) where it is reached, and that TRY catches.

    DuckDB's own error() is volatile, which TRY does not take.
    """
    return f"list_extract([NULL], CAST('{FAILURE_MARK}' || {message} AS INTEGER))"


def fail_when(condition: str, message: str) -> str:
    """A branch of CASE that fails with ``message`` (DuckDB text) when ``condition`` holds."""
    return f"WHEN {condition} THEN {fail(message)}"


class TooComplex(ValueError):
    """The translation has grown out of bounds."""


class CannotCast(ValueError):
    """There is no such cast, or none that answers as Trino does."""


@dataclass(frozen=True, slots=True)
class Value:
    """``constant`` is a literal's or parameter's Python value. A zoned value has its instant and zone apart."""

    sql: str
    type: Type
    constant: Any = NOT_CONSTANT
    instant: str = ""
    zone_name: str = ""

    def __post_init__(self) -> None:
        if len(self.sql) > LARGEST:
            raise TooComplex("the statement is too complex")

    def __str__(self) -> str:
        return self.sql

    @property
    def is_constant(self) -> bool:
        return self.constant is not NOT_CONSTANT

    @property
    def utc(self) -> str:
        """The instant of a zoned value, as a UTC timestamp."""
        return self.instant or f"({self.sql}).u"

    @property
    def zone(self) -> str:
        return self.zone_name or f"({self.sql}).z"

    @property
    def local(self) -> str:
        """The wall clock of a zoned value, date or timestamp, as a timestamp."""
        if not self.type.zoned:
            return self.sql
        return local_time(self.utc, self.zone)

    @property
    def compared(self) -> str:
        """What to compare and order by."""
        return self.utc if self.type.zoned else self.sql


def local_time(utc: str, zone: str) -> str:
    if zone == "'UTC'":
        return utc
    return f"timezone({zone}, make_timestamptz(epoch_us({utc})))"


def utc_time(local: str, zone: str) -> str:
    """The instant at which a wall clock in ``zone`` shows ``local``."""
    if zone == "'UTC'":
        return local
    return f"timezone('UTC', timezone({zone}, {local}))"


def zoned(utc: str, zone: str, precision: int = 3) -> Value:
    """A timestamp with time zone from its parts (DuckDB texts)."""
    missing = f"({utc}) IS NULL" if zone.startswith("'") else f"({utc}) IS NULL OR ({zone}) IS NULL"
    held = f"CASE WHEN {missing} THEN NULL ELSE {{'u': {utc}, 'z': {zone}}} END"
    return Value(f"({held})", Type("timestamptz", precision=precision), instant=utc, zone_name=zone)


def coerce(value: Value, to: Type) -> Value:
    """``value`` as ``to``, where Trino does so without being asked."""
    if value.type == to:
        return value
    if value.type.name == "unknown":
        return replace(value, sql=f"CAST(NULL AS {to.duckdb})", type=to)
    if to.zoned and not value.type.zoned:
        return zoned(coerce(value, Type("timestamp", precision=to.precision)).sql, "'UTC'", to.precision)
    if value.type.name == to.name and to.name in ("timestamp", "timestamptz"):
        return replace(value, type=to)
    if "timestamptz" in (str(value.type), str(to)):
        raise CannotCast(f"{value.type} to {to}")
    return Value(f"CAST({value.sql} AS {to.duckdb})", to, value.constant)


INTEGER_TEXT = r"[+-]?\d+"
NUMBER_TEXT = r"\s*[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|NaN|Infinity)\s*"
DECIMAL_TEXT = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
BOOLEAN_TEXT = r"(?i)(t|true|1|f|false|0)"
DATE_TEXT = r"\s*\d{4,}-\d{1,2}-\d{1,2}\s*"
TIMESTAMP_TEXT = r"\s*\d{4,}-\d{1,2}-\d{1,2}( \d{1,2}:\d{1,2}(:\d{1,2}(\.\d{1,6})?)?)?\s*"
TEXT_FORMS = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint"), INTEGER_TEXT),
    **dict.fromkeys(("double", "real"), NUMBER_TEXT),
    "decimal": DECIMAL_TEXT,
    "boolean": BOOLEAN_TEXT,
    "date": DATE_TEXT,
    "timestamp": TIMESTAMP_TEXT,
}


def cast(value: Value, to: Type, trying: bool = False) -> Value:
    """``CAST(value AS to)``, or ``TRY_CAST``. Raises CannotCast."""
    made = cast_text(value, to, trying)
    return made if isinstance(made, Value) else Value(f"TRY({made})" if trying else made, to, value.constant)


def cast_text(value: Value, to: Type, trying: bool) -> str | Value:
    source = value.type
    if source == to or source.name == "unknown":
        return coerce(value, to)
    if source.name == "varchar" and to.name in TEXT_FORMS:
        return cast_from_text(value, to, trying)
    if to == VARCHAR:
        return text_of(value)
    if to.numeric and (source.numeric or source.name == "boolean"):
        return cast_number(value, to)
    if to.name == "boolean" and source.numeric:
        return f"CAST({value} AS BOOLEAN)"
    if source.name in ("date", "timestamp", "timestamptz") and to.name in ("date", "timestamp", "timestamptz"):
        return cast_time(value, to)
    if source.name == to.name == "array":
        element = cast(Value("element", source.args[0]), to.args[0], trying)
        return f"list_transform({value}, lambda element: {element})"
    if source.name == to.name == "row" and len(source.args) == len(to.args):
        return cast_row(value, to, trying)
    raise CannotCast(f"{source} to {to}")


def cast_from_text(value: Value, to: Type, trying: bool) -> str:
    form = f"regexp_full_match({value}, {text(TEXT_FORMS[to.name])})"
    made = f"CAST({value} AS {to.duckdb})"
    if to.name == "timestamp":
        made = at_precision(made, 6, to.precision)
    if trying:
        return f"CASE WHEN {form} THEN {made} END"
    refused = fail_when(f"NOT {form}", f"'Cannot cast ''' || {value} || ''' to {to}'")
    return f"CASE {refused} ELSE {made} END"


def cast_number(value: Value, to: Type) -> str:
    if to.integral and value.type.name in ("double", "real"):
        return f"CAST(round({value}) AS {to.duckdb})"
    return f"CAST({value} AS {to.duckdb})"


def cast_time(value: Value, to: Type) -> str | Value:
    if to.name == "date":
        return f"CAST({value.local} AS DATE)"
    if to.name == "timestamp":
        return at_precision(f"CAST({value.local} AS TIMESTAMP)", value.type.precision, to.precision)
    if value.type.zoned:
        return zoned(at_precision(value.utc, value.type.precision, to.precision), value.zone, to.precision)
    return zoned(at_precision(f"CAST({value} AS TIMESTAMP)", value.type.precision, to.precision), "'UTC'", to.precision)


def cast_row(value: Value, to: Type, trying: bool) -> str:
    cells = [
        f"{text(name)}: {cast(Value(f'struct_extract({value}, {text(old)})', kind), wanted, trying)}"
        for name, old, kind, wanted in zip(to.fields, value.type.fields, value.type.args, to.args, strict=True)
    ]
    return f"CASE WHEN {value} IS NULL THEN NULL ELSE {{{', '.join(cells)}}} END"


def at_precision(timestamp: str, digits: int, wanted: int) -> str:
    """A timestamp rounded to fewer digits of a second, half up."""
    if wanted >= min(digits, 6):
        return timestamp
    step = 10 ** (6 - wanted)
    return f"make_timestamp(CAST(floor((epoch_us({timestamp}) + {step // 2}) / {step}) AS BIGINT) * {step})"


def text_of(value: Value) -> str:
    """``CAST(value AS varchar)``."""
    kind = value.type
    if kind.integral or kind.name in ("boolean", "date", "decimal", "varchar"):
        return f"CAST({value} AS VARCHAR)"
    if kind.name == "timestamp":
        return timestamp_text(value.sql, kind.precision)
    if kind.name == "timestamptz":
        return f"({timestamp_text(value.local, kind.precision)} || ' ' || {value.zone})"
    if kind.name in ("double", "real"):
        return double_text(value.sql)
    if kind.name == "interval_day":
        return interval_day_text(value.sql)
    if kind.name == "interval_month":
        months = f"(datepart('year', {value}) * 12 + datepart('month', {value}))"
        sign = f"CASE WHEN {months} < 0 THEN '-' ELSE '' END"
        return f"({sign} || (abs({months}) // 12) || '-' || (abs({months}) % 12))"
    raise CannotCast(f"{kind} to varchar")


def timestamp_text(sql: str, precision: int) -> str:
    whole = f"strftime({sql}, '%Y-%m-%d %H:%M:%S')"
    if precision == 0:
        return whole
    return f"({whole} || '.' || left(strftime({sql}, '%f'), {min(precision, 6)}))"


def double_text(sql: str) -> str:
    """As Java writes a double: ``1.5``, ``1.0E10``, ``1.0E-4``."""
    plain = f"abs({sql}) >= 1e-3 AND abs({sql}) < 1e7 OR {sql} = 0"
    refused = fail_when(f"NOT ({plain})", "'a double as text must lie between 0.001 and 10,000,000'")
    return (
        f"CASE WHEN isnan({sql}) THEN 'NaN' WHEN {sql} = 'inf'::DOUBLE THEN 'Infinity' "
        f"WHEN {sql} = '-inf'::DOUBLE THEN '-Infinity' {refused} "
        f"ELSE CAST({sql} AS VARCHAR) END"
    )


def interval_day_text(sql: str) -> str:
    """As Trino shows it: ``2 03:04:05.678``."""
    ms = f"CAST(round(epoch({sql}) * 1000) AS BIGINT)"
    return (
        f"(CASE WHEN {ms} < 0 THEN '-' ELSE '' END || (abs({ms}) // 86400000) || ' ' || "
        f"printf('%02d:%02d:%02d.%03d', (abs({ms}) // 3600000) % 24, (abs({ms}) // 60000) % 60, "
        f"(abs({ms}) // 1000) % 60, abs({ms}) % 1000))"
    )


def shown(value: Value) -> Value:
    """A value as a result column holds it: what Parquet has no type for becomes text."""
    kind = value.type
    if kind.name in ("timestamptz", "interval_day", "interval_month"):
        return Value(text_of(value), kind)
    if kind.name == "json":
        return Value(f"CAST({value} AS VARCHAR)", kind)
    if kind.name == "array" and kind.args[0].name in ("timestamptz", "interval_day", "interval_month"):
        return Value(f"list_transform({value}, lambda element: {text_of(Value('element', kind.args[0]))})", kind)
    if kind.name == "unknown":
        return Value("CAST(NULL AS VARCHAR)", kind)
    return value

"""Literals, parameters, CAST and the current time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, TypeVar

from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql import times
from chalicelib.queries.sql.casts import cast
from chalicelib.queries.sql.scope import Scope
from chalicelib.queries.sql.suggestions import TYPES_ELSEWHERE, did_you_mean
from chalicelib.queries.sql.translator import Translator, expression
from chalicelib.queries.sql.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    INTERVAL_DAY,
    INTERVAL_MONTH,
    JSON,
    TIMESTAMP,
    UNKNOWN,
    VARBINARY,
    VARCHAR,
    Type,
    array,
    decimal,
    map_of,
    row_of,
    text,
)  # fmt: skip
from chalicelib.queries.sql.values import Value, as_text, utc_time, zoned

PARAMETER = "$lake_{}"  # how the translation names the n-th parameter, from 0
LARGEST_INTEGER = 2**63 - 1
MILLISECONDS = {"DAY": 86_400_000, "HOUR": 3_600_000, "MINUTE": 60_000, "SECOND": 1000}
WHOLE, SECONDS = r"([0-9]+)", r"([0-9]+(?:\.[0-9]+)?)"
INTERVAL_PATTERNS = {
    ("DAY", "HOUR"): f"{WHOLE} {WHOLE}", ("DAY", "MINUTE"): f"{WHOLE} {WHOLE}:{WHOLE}",
    ("DAY", "SECOND"): f"{WHOLE} {WHOLE}:{WHOLE}:{SECONDS}", ("HOUR", "MINUTE"): f"{WHOLE}:{WHOLE}",
    ("HOUR", "SECOND"): f"{WHOLE}:{WHOLE}:{SECONDS}", ("MINUTE", "SECOND"): f"{WHOLE}:{SECONDS}",
}  # fmt: skip
PLAIN_TYPES = {
    "boolean": "boolean", "tinyint": "tinyint", "smallint": "smallint", "integer": "integer", "int": "integer",
    "bigint": "bigint", "real": "real", "double": "double", "varbinary": "varbinary", "date": "date", "json": "json",
    "interval day to second": "interval_day", "interval year to month": "interval_month", "unknown": "unknown",
}  # fmt: skip
NOT_HERE = frozenset(
    ("char", "time", "time with time zone", "ipaddress", "uuid", "hyperloglog", "qdigest", "tdigest", "geometry",
     "p4hyperloglog", "color", "number", "float")
)  # fmt: skip
T = TypeVar("T")


@expression(s.Text)
def string(_translator: Translator, node: s.Text, _scope: Scope) -> Value:
    return as_text(node.value)


@expression(s.Number)
def number(translator: Translator, node: s.Number, _scope: Scope) -> Value:
    written = node.value
    if node.kind == "integer":
        digits = written.lstrip("0") or "0"
        if len(digits) > 19 or int(digits) > LARGEST_INTEGER:
            translator.refuse(node, f"{digits[:40]} does not fit bigint")
        found = int(digits)
        return Value(digits, INTEGER if found < 2**31 else BIGINT, found)
    if node.kind == "decimal":
        whole, _, part = written.partition(".")
        length = len(whole.lstrip("0")) + len(part)
        if length > 38:
            translator.refuse(node, f"{written[:60]} has more than 38 digits")
        kind = decimal(max(1, length), len(part))
        return Value(f"CAST({text(written)} AS {kind.duckdb})", kind, Decimal(written))
    if len(written) > 400:
        translator.refuse(node, "the number is too long")
    return Value(f"CAST({text(written)} AS DOUBLE)", DOUBLE, float(written))


@expression(s.Truth)
def truth(_translator: Translator, node: s.Truth, _scope: Scope) -> Value:
    return Value("true" if node.value else "false", BOOLEAN, node.value)


@expression(s.Null)
def null(_translator: Translator, _node: s.Null, _scope: Scope) -> Value:
    return Value("NULL", UNKNOWN, None)


@expression(s.Binary)
def binary(translator: Translator, node: s.Binary, _scope: Scope) -> Value:
    digits = "".join(node.digits.split())
    if not re.fullmatch(r"([0-9A-Fa-f]{2})*", digits):
        translator.refuse(node, "a binary literal holds pairs of hexadecimal digits")
    return Value(f"unhex({text(digits)})", VARBINARY)


@expression(s.Parameter)
def parameter(translator: Translator, node: s.Parameter, _scope: Scope) -> Value:
    kind, known = translator.parameters[node.place]
    if kind == UNKNOWN:
        return Value("NULL", UNKNOWN, None)
    translator.bound.add(node.place)
    name = PARAMETER.format(node.place)
    if kind.zoned:
        return zoned(f"CAST({name} AS TIMESTAMP)", "'UTC'", kind.precision)
    return Value(f"CAST({name} AS {kind.duckdb})", kind, known)


@expression(s.IntervalText)
def interval(translator: Translator, node: s.IntervalText, _scope: Scope) -> Value:
    sign = -1 if node.value.startswith("-") != node.negative else 1
    written = re.sub(r"^[+-]", "", node.value)
    if node.unit in ("YEAR", "MONTH"):
        pattern = r"([0-9]{1,6})-([0-9]{1,6})" if node.to else r"([0-9]{1,9})()"
        match = re.fullmatch(pattern, written)
        if not match or node.to not in (None, "MONTH") or (node.to and node.unit != "YEAR"):
            translator.refuse(node, f"'{node.value[:40]}' is not such an interval")
        months = int(match[1]) * (12 if node.unit == "YEAR" else 1) + int(match[2] or 0)
        return Value(f"to_months({sign * months})", INTERVAL_MONTH, sign * months)
    pattern = INTERVAL_PATTERNS.get((node.unit, node.to), "") if node.to else SECONDS
    match = re.fullmatch(pattern, written) if pattern and len(written) < 40 else None
    if not match or (node.unit != "SECOND" and not node.to and "." in written):
        translator.refuse(node, f"'{node.value[:40]}' is not such an interval")
    units = list(MILLISECONDS)
    first = units.index(node.unit)
    total = sum(Decimal(part) * MILLISECONDS[units[first + at]] for at, part in enumerate(match.groups()))
    if total > LARGEST_INTEGER // 1000:
        translator.refuse(node, "the interval is too long")
    return Value(f"to_milliseconds({sign * int(total)})", INTERVAL_DAY, sign * int(total))


@expression(s.TypedText)
def typed_literal(translator: Translator, node: s.TypedText, _scope: Scope) -> Value:
    written, name = node.value, node.type.name
    if name in ("timestamp", "timestamp with time zone"):
        return timestamp_literal(translator, node, written)
    to = type_of(translator, node.type)
    if to == DATE:
        return date_literal(translator, node, written)
    if name == "decimal" and not node.type.numbers:
        return decimal_literal(translator, node, written)
    if to == JSON:
        from chalicelib.queries.sql.json_functions import json_literal

        return json_literal(translator, node, written)
    if to == VARCHAR:
        return as_text(written)
    return cast(as_text(written), to)


def date_literal(translator: Translator, node: s.Node, written: str) -> Value:
    match = re.fullmatch(r"\s*([0-9]{4,5})-([0-9]{1,2})-([0-9]{1,2})\s*", written)
    if not match:
        return (
            cast(as_text(written), DATE)
            if re.fullmatch(r"\s*-?[0-9]{4,6}-[0-9]{1,2}-[0-9]{1,2}\s*", written)
            else not_such(translator, node, written)
        )
    day = f"{match[1]}-{match[2].zfill(2)}-{match[3].zfill(2)}"
    known = (
        read(translator, node, written, lambda: date.fromisoformat(day))
        if len(match[1]) == 4 and match[1] != "0000"
        else None
    )
    return Value(f"DATE {text(day)}", DATE, known) if known else Value(f"DATE {text(day)}", DATE)


def decimal_literal(translator: Translator, node: s.Node, written: str) -> Value:
    match = re.fullmatch(r"([+-]?)([0-9]*)\.?([0-9]*)", written.replace("_", ""))
    if not match or not (match[2] or match[3]) or len(written) > 80:
        not_such(translator, node, written)
    whole, part = match[2].lstrip("0"), match[3]
    if len(whole) + len(part) > 38:
        translator.refuse(node, f"{written} has more than 38 digits")
    kind = decimal(max(1, len(whole) + len(part)), len(part))
    plain = f"{match[1].replace('+', '')}{whole or '0'}{'.' + part if part else ''}"
    return Value(f"CAST({text(plain)} AS {kind.duckdb})", kind, Decimal(plain))


def timestamp_literal(translator: Translator, node: s.Node, written: str) -> Value:
    match = re.fullmatch(
        r"([+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2})"
        r"( ([0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.([0-9]{1,12}))?)?)?[ \t\n\v\f\r]*(.+)?)?",
        written,
    )
    if not match:
        not_such(translator, node, written)
    if match[6] and len(match[6]) > 6:
        translator.refuse(node, "a timestamp has at most 6 digits of a second here")
    year, month, day = (part.zfill(2) for part in match[1].rsplit("-", 2))
    clock = ":".join(part.zfill(2) if at < 2 else part for at, part in enumerate((match[3] or "00:00:00").split(":")))
    if len(year) > 4 or year.startswith(("-", "+")):
        translator.refuse(node, "years before 0 and beyond 9999 are not supported")
    local = f"{year}-{month}-{day} {clock if clock.count(':') == 2 else clock + ':00'}"
    if len(year) == 4 and year != "0000":
        read(translator, node, written, lambda: datetime.fromisoformat(to_micros(local)))
    made = Value(f"TIMESTAMP {text(local)}", replace(TIMESTAMP, precision=len(match[6] or "")))
    if not match[7]:
        return made
    zone = times.zone_literal(match[7])
    return zoned(utc_time(made.sql, zone), zone, made.type.precision)


def to_micros(local: str) -> str:
    whole, _, part = local.partition(".")
    day, _, clock = whole.partition(" ")
    clock = ":".join(piece.zfill(2) for piece in clock.split(":"))
    return f"{day} {clock}.{(part + '000000')[:6]}"


def read(translator: Translator, node: s.Node, written: str, reader: Callable[[], T]) -> T:
    try:
        return reader()
    except (ValueError, InvalidOperation):
        not_such(translator, node, written)


def not_such(translator: Translator, node: s.Node, written: str) -> NoReturn:
    what = node.type.name if isinstance(node, s.TypedText) else "such a"
    translator.refuse(node, f"'{written[:60]}' is not a {what} literal")


@expression(s.CurrentTime)
def current_time(translator: Translator, node: s.CurrentTime, _scope: Scope) -> Value:
    translator.volatile = True
    if node.name == "current_date":
        return Value("CAST(get_current_timestamp() AS DATE)", DATE)
    if node.name not in ("current_timestamp", "localtimestamp"):
        translator.refuse(node, f"{node.name} is not supported")
    made = times.now([])
    return Value(made.utc, TIMESTAMP) if node.name == "localtimestamp" else made


@expression(s.Cast)
def conversion(translator: Translator, node: s.Cast, scope: Scope) -> Value:
    to = type_of(translator, node.type)
    value = translator.value(node.value, scope)
    if isinstance(node.value, s.Null) and to.name == "unknown":
        return value
    return cast(value, to, node.trying, length_of(translator, node.type))


def length_of(translator: Translator, kind: s.TypeName) -> int | None:
    """``n`` of ``varchar(n)``."""
    if kind.name != "varchar" or not kind.numbers:
        return None
    if not 0 <= kind.numbers[0] < 2**31:
        translator.refuse(kind, f"varchar({kind.numbers[0]}) is not a type")
    return kind.numbers[0]


def type_of(translator: Translator, kind: s.TypeName) -> Type:
    """The type that a CAST names."""
    name, numbers = kind.name, kind.numbers
    if kind.args and name not in ("array", "map", "row"):
        translator.refuse(kind, f"{name} takes no types")
    if name in PLAIN_TYPES and not numbers:
        return Type(PLAIN_TYPES[name])
    if name == "varchar" and len(numbers) < 2:
        return VARCHAR
    if name in ("decimal", "numeric", "dec") and len(numbers) < 3:
        precision, scale = ([*numbers, 0] if numbers else [38, 0])[:2]
        if not 1 <= precision <= 38 or scale > precision:
            translator.refuse(kind, f"decimal({precision},{scale}) is not a type: at most 38 digits")
        return decimal(precision, scale)
    if name in ("timestamp", "timestamp with time zone") and len(numbers) < 2:
        digits = numbers[0] if numbers else 3
        if digits > 6:
            translator.refuse(kind, "a timestamp has at most 6 digits of a second here")
        return Type("timestamp" if name == "timestamp" else "timestamptz", precision=digits)
    inner = tuple(type_of(translator, part) for part in kind.args)
    if name == "array" and len(inner) == 1:
        return array(inner[0])
    if name == "map" and len(inner) == 2:
        return map_of(*inner)
    if name == "row" and inner:
        return row_of(inner, [field or "" for field in kind.fields])
    if name in NOT_HERE:
        translator.refuse(kind, f"the type {name} is not supported")
    hint = did_you_mean(name, [*PLAIN_TYPES, "varchar", "decimal", "timestamp", "array", "map", "row"], TYPES_ELSEWHERE)
    return translator.refuse(kind, f"there is no such type as {name}{hint}")


def type_of_value(given: Any) -> Type | None:
    """The type of a bound parameter: that of the literal one would write for it."""
    if given is None:
        return UNKNOWN
    if isinstance(given, bool):
        return BOOLEAN
    if isinstance(given, int):
        return INTEGER if abs(given) < 2**31 else BIGINT if -(2**63) <= given < 2**63 else None
    if isinstance(given, float):
        return DOUBLE
    if isinstance(given, str):
        return VARCHAR
    if isinstance(given, Decimal) and given.is_finite():
        return decimal_of(given)
    if isinstance(given, datetime):
        digits = 6 if given.microsecond % 1000 else 3
        return Type("timestamptz" if given.tzinfo else "timestamp", precision=digits)
    return DATE if isinstance(given, date) else None


def decimal_of(given: Decimal) -> Type | None:
    parts = given.as_tuple()
    scale = max(0, -int(parts.exponent))
    precision = max(len(parts.digits) + max(0, int(parts.exponent)), scale, 1)
    return decimal(precision, scale) if precision <= 38 else None

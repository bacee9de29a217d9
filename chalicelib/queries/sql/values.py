"""A translated expression: its DuckDB text, its Trino type, and what is made of it without being asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

from chalicelib.queries.sql.types import Type, common, text

NOT_CONSTANT = object()
OPAQUE = object()  # a parameter whose value is not looked at, so that the translation serves for every value
LARGEST = 100_000  # characters of one translated expression
SHORT = 48  # characters of a text that may be written out more than once
FAILURE_MARK = "lake: "  # stands before the message of a failure of our own making


class Refused(ValueError):
    """What is wrong, and with which argument of a call (None: with all of it)."""

    def __init__(self, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.at = at


def fail(message: str) -> str:
    """An expression of any type that fails with ``message`` (DuckDB text) where it is reached, and that TRY catches.

    DuckDB's own error() is volatile, which TRY does not take.
    """
    return f"list_extract([NULL], CAST('{FAILURE_MARK}' || {message} AS INTEGER))"


def fail_when(condition: str, message: str) -> str:
    """A branch of CASE that fails with ``message`` (DuckDB text) when ``condition`` holds."""
    return f"WHEN {condition} THEN {fail(message)}"


@dataclass(frozen=True, slots=True)
class Value:
    """``constant`` is a literal's or parameter's Python value. A zoned value has its instant and zone apart."""

    sql: str
    type: Type
    constant: Any = NOT_CONSTANT
    instant: str = ""
    zone_name: str = ""
    exact: bool = False  # a double or real that was a whole number or a decimal, and so is never NaN

    def __post_init__(self) -> None:
        if len(self.sql) > LARGEST:
            raise Refused("the statement is too complex")

    def __str__(self) -> str:
        return self.sql

    @property
    def is_constant(self) -> bool:
        return self.constant is not NOT_CONSTANT

    @property
    def known(self) -> bool:
        """Whether its value can be looked at now."""
        return self.constant is not NOT_CONSTANT and self.constant is not OPAQUE

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
        """What to compare, order and tell apart by."""
        return compared(self.sql, self.type) if not self.type.zoned else self.utc


def compared(sql: str, kind: Type) -> str:
    """What DuckDB tells apart as Trino does: of a time with a zone the instant, however deep it lies."""
    if kind.zoned:
        return f"({sql}).u"
    if not kind.holds("timestamptz"):
        return sql
    if kind.name == "array":
        return f"list_transform({sql}, lambda e: {compared('e', kind.args[0])})"
    if kind.name == "row":
        cells = [f"f{at}: {compared(f'({sql}).f{at}', part)}" for at, part in enumerate(kind.args, 1)]
        return f"{{{', '.join(cells)}}}"
    raise Refused(f"{kind} cannot be compared here")


def once(values: Sequence[Value], make: Callable[..., str], *, always: bool = False) -> str:
    """The text that ``make`` makes of the values, in which each may stand any number of times.

    A long text is not repeated: it is evaluated once, under a name, so that a translation grows no faster than the
    statement. What is short (a column, a literal) is written out, which DuckDB understands better.
    """
    if not always and all(len(value.sql) <= SHORT for value in values):
        return make(*values)
    kept = [
        None if value.type.name == "function" or (len(value.sql) <= SHORT and not always) else value for value in values
    ]
    held = [value for value in kept if value is not None]
    name = f"l{crc32('|'.join(value.sql for value in held).encode()):08x}"
    places = iter(range(1, len(held) + 1))
    inside = [
        value if one is None else Value(f"{name}.f{next(places)}", value.type, value.constant)
        for one, value in zip(kept, values, strict=True)
    ]
    cells = ", ".join(f"'f{at}': {value}" for at, value in enumerate(held, 1))
    return f"list_extract(list_transform([{{{cells}}}], lambda {name}: {make(*inside)}), 1)"


def filled(template: str, arguments: Sequence[Value], **more: str) -> str:
    """A template of a function with its arguments; one that stands in it several times is evaluated once."""
    repeated = any(len(re.findall(rf"\{{{at}\b", template)) > 1 for at in range(len(arguments)))
    if not repeated or all(len(value.sql) <= SHORT for value in arguments):
        return template.format(*arguments, **more)
    return once(arguments, lambda *inside: template.format(*inside, **more))


def local_time(utc: str, zone: str) -> str:
    """The wall clock in ``zone`` (DuckDB text of a name, or of an offset such as +02:00) at an instant."""
    if zone == "'UTC'":
        return utc
    if zone.startswith("'"):
        minutes = offset_minutes(zone.strip("'"))
        if minutes is not None:
            return f"({utc} + to_minutes({minutes}))"
        return f"timezone({zone}, make_timestamptz(epoch_us({utc})))"
    by_name = f"timezone({zone}, make_timestamptz(epoch_us({utc})))"
    return f"CASE WHEN {is_offset(zone)} THEN {utc} + {offset_of(zone)} ELSE {by_name} END"


def utc_time(local: str, zone: str, *, later: bool = False) -> str:
    """The instant at which a wall clock in ``zone`` shows ``local``: the earlier of two, or the ``later``."""
    named = f"timezone('UTC', timezone({zone}, {local}))" if later else earlier(local, zone)
    if zone == "'UTC'":
        return local
    if zone.startswith("'"):
        minutes = offset_minutes(zone.strip("'"))
        if minutes is not None:
            return f"({local} - to_minutes({minutes}))"
        return named
    return f"CASE WHEN {is_offset(zone)} THEN {local} - {offset_of(zone)} ELSE {named} END"


def earlier(local: str, zone: str) -> str:
    def make(clock: Value) -> str:
        later = f"timezone('UTC', timezone({zone}, {clock}))"
        before = f"({later} - to_hours(1))"
        return f"CASE WHEN {local_at(before, zone)} = {clock} THEN {before} ELSE {later} END"

    return once([Value(local, Type("timestamp", precision=6))], make)


def local_at(utc: str, zone: str) -> str:
    return f"timezone({zone}, make_timestamptz(epoch_us({utc})))"


def is_offset(zone: str) -> str:
    return f"left({zone}, 1) IN ('+', '-')"


def offset_of(zone: str) -> str:
    """The interval that an offset's text (``-03:30``) means."""
    minutes = f"TRY_CAST(substr({zone}, 2, 2) AS INTEGER) * 60 + TRY_CAST(substr({zone}, 5, 2) AS INTEGER)"
    return f"to_minutes(CASE WHEN left({zone}, 1) = '-' THEN -1 ELSE 1 END * ({minutes}))"


def offset_minutes(zone: str) -> int | None:
    """The minutes of an offset such as +02:00; None for a zone's name."""
    match = re.fullmatch(r"([+-])([0-9][0-9]):([0-9][0-9])", zone)
    if not match:
        return None
    return (-1 if match[1] == "-" else 1) * (int(match[2]) * 60 + int(match[3]))


def zoned(utc: str, zone: str, precision: int = 3) -> Value:
    """A timestamp with time zone from its parts (DuckDB texts)."""
    if len(utc) > SHORT or len(zone) > SHORT:
        held = once([Value(utc, Type("timestamp")), Value(zone, Type("varchar"))], lambda u, z: pair(u.sql, z.sql))
        return Value(f"({held})", Type("timestamptz", precision=precision), instant=utc, zone_name=zone)
    return Value(f"({pair(utc, zone)})", Type("timestamptz", precision=precision), instant=utc, zone_name=zone)


def pair(utc: str, zone: str) -> str:
    known = f"timezone({zone}, make_timestamptz(0))"  # fails for a zone that there is not
    valid = f"CASE WHEN {is_offset(zone)} THEN {offset_of(zone)} IS NULL ELSE {known} IS NULL END"
    missing = f"({utc}) IS NULL" if zone.startswith("'") else f"({utc}) IS NULL OR {valid}"
    return f"CASE WHEN {missing} THEN NULL ELSE {{'u': {utc}, 'z': {zone}}} END"


def coerce(value: Value, to: Type) -> Value:
    """``value`` as ``to``, where Trino does so without being asked."""
    if value.type == to:
        return value if value.type.fields == to.fields else replace(value, type=to)
    if value.type.name == "unknown":
        return Value(f"CAST(NULL AS {to.duckdb})", to, None)
    if to.zoned and not value.type.zoned:
        return zoned(coerce(value, Type("timestamp", precision=to.precision)).sql, "'UTC'", to.precision)
    if value.type.name == to.name and to.name in ("timestamp", "timestamptz"):
        return replace(value, type=to)
    if value.type.args and value.type.holds("date", "timestamp") and to.holds("timestamptz"):
        raise Refused(f"{value.type} is not taken as {to}; write CAST")
    exact = to.approximate and (value.exact or not value.type.approximate)
    return Value(f"CAST({value.sql} AS {to.duckdb})", to, value.constant, exact=exact)


def alike(values: Sequence[Value]) -> Type:
    """The common type of all. Raises Refused."""
    if not values:
        raise Refused("takes at least 1 argument")
    kind = values[0].type
    for at, value in enumerate(values[1:], 1):
        shared = common(kind, value.type)
        if shared is None:
            raise Refused(f"{value.type} does not go together with {kind}", at)
        kind = shared
    return kind


def as_text(value: str) -> Value:
    return Value(text(value), Type("varchar"), value)

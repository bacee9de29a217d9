"""Athena's results as Python values.

Athena answers every value as text. Arrays, maps and rows come back as
``[a, b]``, ``{k=v}`` and ``{a=1, b=2}`` without quotes: with the type known they are read exactly, but for text
elements that themselves hold ``, `` or ``=``; ``CAST(x AS JSON)`` in the query is exact for those too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chalicelib.types import BY_NAME, ZONED, Shape, parse, split_at_depth, whole_microseconds


def reader(kind: str | Shape) -> Callable[[str], Any]:
    """What turns Athena's text into a Python value of a Trino type (``bigint``, ``array(varchar)``…)."""
    shape = parse(kind) if isinstance(kind, str) else kind
    if shape.name in ("timestamp", ZONED):
        return read_timestamp_zoned if shape.name == ZONED else read_timestamp
    if shape.name == "decimal":
        return Decimal
    parts = [reader(part) for part in shape.parts]
    if shape.name == "array" and parts:
        return lambda text: [none_or(parts[0], part) for part in parts_of(text, "[]")]
    if shape.name == "map" and len(parts) == 2:
        return lambda text: dict(map_entry(parts[0], parts[1], part) for part in parts_of(text, "{}"))
    if shape.name == "row":
        return row_reader(shape.fields, parts)
    return BY_NAME[shape.name].read if shape.name in BY_NAME else str


def map_entry(key: Callable[[str], Any], value: Callable[[str], Any], text: str) -> tuple[Any, Any]:
    """One entry of a map, as Athena prints it."""
    name, _, held = text.partition("=")
    return key(name), none_or(value, held)


def row_reader(fields: Sequence[str], parts: Sequence[Callable[[str], Any]]) -> Callable[[str], Any]:
    """A row of named fields becomes a dict, one without names a list."""

    def read(text: str) -> Any:
        values = [part.partition("=")[2] if "=" in part else part for part in parts_of(text, "{}")]
        typed = [none_or(part, value) for part, value in zip(parts, values, strict=False)]
        return dict(zip(fields, typed, strict=False)) if fields else typed

    return read


def none_or(read: Callable[[str], Any], text: str) -> Any:
    """A nested value, or None for the word null."""
    return None if text == "null" else read(text)


def parts_of(text: str, brackets: str) -> list[str]:
    """The parts of an array, a map or a row, as Athena prints them."""
    inner = text.removeprefix(brackets[0]).removesuffix(brackets[1])
    return list(split_at_depth(inner, quote="")) if inner else []


def read_timestamp(text: str) -> datetime:
    """A timestamp as Athena prints it."""
    return datetime.fromisoformat(whole_microseconds(text))


def read_timestamp_zoned(text: str) -> datetime:
    """``2026-11-20 10:15:30.123 Europe/Berlin`` or ``… +01:00``."""
    day, clock, zone = text.split(" ", 2)
    return datetime.fromisoformat(whole_microseconds(f"{day} {clock}")).replace(tzinfo=read_zone(zone))


def read_zone(text: str) -> Any:
    """A time zone as Athena prints it: UTC, an offset or a name."""
    if text in ("UTC", "Z"):
        return UTC
    match = re.fullmatch(r"([+-])(\d\d):(\d\d)", text)
    if match:
        minutes = int(match[2]) * 60 + int(match[3])
        return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))
    try:
        return ZoneInfo(text)
    except ZoneInfoNotFoundError:
        return UTC

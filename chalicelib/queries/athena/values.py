"""Athena's results as Python values.

Athena answers every value as text. Arrays, maps and rows come back as
``[a, b]``, ``{k=v}`` and ``{a=1, b=2}`` without quotes: with the type known they are read exactly, but for text
elements that themselves hold ``, `` or ``=``; ``CAST(x AS JSON)`` in the query is exact for those too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def reader(kind: str) -> Callable[[str], Any]:
    """What turns Athena's text into a Python value of the Trino type ``kind`` (``bigint``, ``array(varchar)``…)."""
    name, arguments = split_type(kind)
    if name in SIMPLE:
        return SIMPLE[name]
    if name == "timestamp" or name.startswith("timestamp("):
        return read_timestamp_zoned if kind.endswith("with time zone") else read_timestamp
    if name == "array":
        element = reader(arguments[0]) if arguments else str
        return lambda text: [none_or(element, part) for part in parts_of(text, "[]")]
    if name == "map":
        key, value = (reader(each) for each in arguments) if len(arguments) == 2 else (str, str)
        return lambda text: {key(k): none_or(value, v) for k, _, v in (p.partition("=") for p in parts_of(text, "{}"))}
    if name == "row":
        return row_reader(arguments)
    return str


def row_reader(fields: list[str]) -> Callable[[str], Any]:
    """A row of named fields becomes a dict, one without names a list."""
    named = [re.fullmatch(r'("(?:[^"]|"")*"|\w+) (.+)', field) for field in fields]
    kinds = [reader(match[2] if match else field) for match, field in zip(named, fields, strict=True)]

    def read(text: str) -> Any:
        values = [part.partition("=")[2] if "=" in part else part for part in parts_of(text, "{}")]
        typed = [none_or(kind, value) for kind, value in zip(kinds, values, strict=False)]
        names = [match[1].strip('"') for match in named if match]
        return dict(zip(names, typed, strict=False)) if len(names) == len(fields) and names else typed

    return read


def none_or(read: Callable[[str], Any], text: str) -> Any:
    return None if text == "null" else read(text)


def split_type(kind: str) -> tuple[str, list[str]]:
    """``("map", ["varchar", "array(bigint)"])`` of ``map(varchar, array(bigint))``."""
    match = re.fullmatch(r"(array|map|row|decimal|varchar|char)\((.*)\)", kind)
    if not match:
        return kind, []
    return match[1], list(split_at_depth(match[2]))


def parts_of(text: str, brackets: str) -> list[str]:
    inner = text.removeprefix(brackets[0]).removesuffix(brackets[1])
    return list(split_at_depth(inner)) if inner else []


def split_at_depth(text: str) -> Iterator[str]:
    """Split at commas that stand in no bracket."""
    depth, start = 0, 0
    for place, mark in enumerate(text):
        if mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
        elif mark == "," and depth == 0:
            yield text[start:place].strip()
            start = place + 1
    yield text[start:].strip()


def read_timestamp(text: str) -> datetime:
    return datetime.fromisoformat(whole_microseconds(text))


def read_timestamp_zoned(text: str) -> datetime:
    """``2026-11-20 10:15:30.123 Europe/Berlin`` or ``… +01:00``."""
    day, clock, zone = text.split(" ", 2)
    return datetime.fromisoformat(whole_microseconds(f"{day} {clock}")).replace(tzinfo=read_zone(zone))


def read_zone(text: str) -> Any:
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


def whole_microseconds(text: str) -> str:
    """Python reads three or six digits of a second; Trino may write up to twelve."""
    head, point, digits = text.partition(".")
    return f"{head}.{digits[:6]:0<6}" if point else head


def read_time(text: str) -> time:
    return time.fromisoformat(whole_microseconds(text))


SIMPLE: dict[str, Callable[[str], Any]] = {
    "boolean": lambda text: text == "true",
    "tinyint": int,
    "smallint": int,
    "integer": int,
    "int": int,
    "bigint": int,
    "real": float,
    "float": float,
    "double": float,
    "decimal": Decimal,
    "varchar": str,
    "char": str,
    "string": str,
    "json": json.loads,
    "date": date.fromisoformat,
    "time": read_time,
    "varbinary": lambda text: bytes.fromhex(text.replace(" ", "")),
    "unknown": lambda _: None,
}

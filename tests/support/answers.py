"""Answers of the two engines in one form, so that they can be compared: Trino's over its own protocol, and the lake's.

A value becomes what its Trino type says: numbers are numbers, text is text, moments are text in milliseconds, JSON is
what it holds, a row is a tuple, a map a list of pairs in a fixed order.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.queries.engine import ResultColumn
from tests.support import trino

WITHOUT_LENGTH = re.compile(r"\bvarchar\(\d+\)")
PRECISION = re.compile(r"\b(timestamp|time)\(\d+\)")
WHOLE = ("tinyint", "smallint", "integer", "bigint")
NESTED = ("array", "row", "map")
FRACTIONS = ("double", "real")


@dataclass(frozen=True)
class Table:
    """What a statement answered: names and types of its columns, and its rows in the order they came."""

    names: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]


def of_trino(answer: trino.Answer) -> Table:
    rows = [
        tuple(from_trino(cell, column.signature) for cell, column in zip(row, answer.columns, strict=True))
        for row in answer.rows
    ]
    return Table([each.name for each in answer.columns], [plain_type(each.type) for each in answer.columns], rows)


def of_lake(columns: Iterable[ResultColumn], rows: Iterable[Sequence[Any]], like: trino.Answer) -> Table:
    """The lake's answer, its values read by the types of Trino's answer where there are as many columns."""
    listed = list(columns)
    names, types = [each.name for each in listed], [plain_type(each.type) for each in listed]
    if len(like.columns) != len(listed):
        return Table(names, types, [tuple(row) for row in rows])
    kinds = [each.signature for each in like.columns]
    return Table(names, types, [tuple(map(from_lake, row, kinds)) for row in rows])


def plain_type(kind: str) -> str:
    """A type without lengths of text, and moments in milliseconds, as Athena has them."""
    return PRECISION.sub(r"\1(3)", WITHOUT_LENGTH.sub("varchar", kind)).replace(", ", ",").lower()


def from_trino(cell: Any, signature: Mapping[str, Any]) -> Any:
    if cell is None:
        return None
    kind, inner = signature["rawType"], signature["arguments"]
    if kind == "array":
        return [from_trino(each, inner[0]["value"]) for each in cell]
    if kind == "map":
        key, value = inner[0]["value"], inner[1]["value"]
        if key["rawType"] in NESTED:  # keys are text in the protocol
            return in_order((name, from_trino(each, value)) for name, each in cell.items())
        return in_order((from_trino(name, key), from_trino(each, value)) for name, each in cell.items())
    if kind == "row":
        return tuple(from_trino(each, part["value"]["typeSignature"]) for each, part in zip(cell, inner, strict=True))
    if kind == "varbinary":
        return base64.b64decode(cell).hex()
    if kind in FRACTIONS:
        return fraction(float(cell), kind)
    if kind in WHOLE:
        return int(cell)
    if kind == "boolean":
        return cell if isinstance(cell, bool) else cell == "true"
    if kind == "json":
        return document(cell)
    if kind == "decimal":
        return Decimal(cell)
    return in_milliseconds(cell) if kind.startswith(("timestamp", "time")) else cell


def from_lake(value: Any, signature: Mapping[str, Any]) -> Any:
    if value is None:
        return None
    kind, inner = signature["rawType"], signature["arguments"]
    if kind == "array" and isinstance(value, list):
        return [from_lake(each, inner[0]["value"]) for each in value]
    if kind == "map" and isinstance(value, dict | list):
        key, item = inner[0]["value"], inner[1]["value"]
        pairs = value.items() if isinstance(value, dict) else value
        if key["rawType"] in NESTED:
            return in_order((f"[{', '.join(map(str, name))}]", from_lake(each, item)) for name, each in pairs)
        return in_order((from_lake(name, key), from_lake(each, item)) for name, each in pairs)
    if kind == "row":
        cells = list(value.values()) if isinstance(value, dict) else list(value)
        return tuple(from_lake(each, part["value"]["typeSignature"]) for each, part in zip(cells, inner, strict=True))
    if isinstance(value, bytes):
        return value.hex()
    if kind in FRACTIONS and isinstance(value, float):
        return fraction(value, kind)
    if kind == "json" and isinstance(value, str):
        return document(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if kind.startswith("timestamp") and isinstance(value, str):
        return in_milliseconds(value)
    if isinstance(value, timedelta):
        return interval(value)
    return value


def fraction(value: float, kind: str) -> float:
    """A real has the digits of four bytes, however it was written."""
    return float(struct.unpack("f", struct.pack("f", value))[0]) if kind == "real" else value


def document(text: str) -> Any:
    """What JSON holds; text that is none, as json_array_get answers, stays text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def in_order(pairs: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    return sorted(pairs, key=repr)


def moment(value: datetime) -> str:
    text = value.replace(tzinfo=None).isoformat(" ", "milliseconds")
    if value.tzinfo is None:
        return text
    zone = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else str(value.tzinfo)
    return f"{text} {re.sub('^UTC(?=[+-])', '', zone)}"


def in_milliseconds(text: str) -> str:
    """``2026-11-20 10:15:30`` with three digits behind the point, whatever it has."""
    found = re.fullmatch(r"(.*?\d\d:\d\d:\d\d)(?:\.(\d+))?(.*)", text)
    return f"{found[1]}.{(found[2] or '')[:3]:0<3}{found[3]}" if found else text


def interval(value: timedelta) -> str:
    sign, rest = ("-", -value) if value < timedelta(0) else ("", value)
    hours, seconds = divmod(rest.seconds, 3600)
    return f"{sign}{rest.days} {hours:02}:{seconds // 60:02}:{seconds % 60:02}.{rest.microseconds // 1000:03}"


def difference(lake: Table, trino_: Table, *, ordered: bool) -> str | None:
    """What the two say differently, or None."""
    if lake.names != trino_.names:
        return f"columns are named {lake.names}; in Trino {trino_.names}"
    if lake.types != trino_.types:
        return f"columns have the types {lake.types}; in Trino {trino_.types}"
    if len(lake.rows) != len(trino_.rows):
        return f"{len(lake.rows)} rows; in Trino {len(trino_.rows)}"
    mine, theirs = (lake.rows, trino_.rows) if ordered else (sorted(lake.rows, key=rank), sorted(trino_.rows, key=rank))
    for number, (one, other) in enumerate(zip(mine, theirs, strict=True), 1):
        if not same(one, other):
            return f"row {number} is {one}; in Trino {other}"
    return None


def rank(row: tuple[Any, ...]) -> str:
    """An order for rows that nobody ordered; doubles count by their first digits, for both sum in their own order."""
    return repr([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row])


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or one == other or math.isclose(one, other, rel_tol=1e-9)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)

"""Every type of a column, once: as Trino names it, as DuckDB and Arrow hold it, as Athena's text of a value is read.

Trino's names are those of results (``bigint``, ``timestamp(3) with time zone``, ``row(p integer, q varchar)``);
Hive's are those of ``tables.py``, Glue and Athena's metadata (``string``, ``array<string>``). A name with parts is
read by :func:`parse`. pyarrow is imported by the one function that answers its types: the API does without it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

ZONED = "timestamp with time zone"
STORED_TIMESTAMP = "timestamp[ms]"  # UTC without a zone in the lake's own files: Athena and DuckDB both read timestamp
WITH_PARTS = re.compile(r"(array|map|row|decimal|varchar|char|time|timestamp)\((.*)\)( with time zone)?", re.DOTALL)
FIELD = re.compile(r'("(?:[^"]|"")*"|[^\s"(),]+)\s+(.+)', re.DOTALL)


def whole_microseconds(text: str) -> str:
    """Python reads three or six digits of a second; Trino may write up to twelve."""
    head, point, digits = text.partition(".")
    return f"{head}.{digits[:6]:0<6}" if point else head


@dataclass(frozen=True, slots=True)
class PlainType:
    """A type without parts. ``read`` makes a Python value of Athena's text; ``arrow`` is pyarrow's alias."""

    trino: str
    hive: str
    duckdb: str
    arrow: str
    read: Callable[[str], Any]


PLAIN = (
    PlainType("boolean", "boolean", "BOOLEAN", "bool", lambda text: text == "true"),
    PlainType("tinyint", "tinyint", "TINYINT", "int8", int),
    PlainType("smallint", "smallint", "SMALLINT", "int16", int),
    PlainType("integer", "int", "INTEGER", "int32", int),
    PlainType("bigint", "bigint", "BIGINT", "int64", int),
    PlainType("real", "float", "FLOAT", "float", float),
    PlainType("double", "double", "DOUBLE", "double", float),
    PlainType("varchar", "string", "VARCHAR", "string", str),
    PlainType("char", "char", "VARCHAR", "string", str),
    PlainType("varbinary", "binary", "BLOB", "binary", lambda text: bytes.fromhex(text.replace(" ", ""))),
    PlainType("date", "date", "DATE", "date32[day]", date.fromisoformat),
    PlainType("time", "time", "TIME", "string", lambda text: time.fromisoformat(whole_microseconds(text))),
    PlainType("json", "json", "JSON", "string", json.loads),
    PlainType("interval day to second", "interval_day_time", "INTERVAL", "string", str),
    PlainType("interval year to month", "interval_year_month", "INTERVAL", "string", str),
    PlainType("unknown", "void", '"NULL"', "string", lambda _: None),
)
BY_NAME = {name: kind for kind in PLAIN for name in (kind.hive, kind.trino)}
TRINO = {kind.hive: kind.trino for kind in PLAIN} | {"timestamp": "timestamp(3)", ZONED: f"timestamp(3){ZONED[9:]}",
                                                     "time": "time(3)"}  # fmt: skip


def declared_name(hive: str) -> str:
    """The Trino name of a column's type by its name in ``tables.py``: ``array(varchar)`` of ``array<string>``."""
    if match := re.fullmatch(r"array<(.*)>", hive):
        return f"array({declared_name(match[1])})"
    return TRINO[hive]


@dataclass(frozen=True, slots=True)
class Shape:
    """A type's name and its parts: an array's element, a map's key and value, a row's fields.

    ``name`` is ``timestamp`` or ``timestamp with time zone`` without the digits; ``fields`` are a row's names, empty
    where it has none; ``numbers`` a decimal's precision and scale, or the digits of a second.
    """

    name: str
    parts: tuple[Shape, ...] = ()
    fields: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()


@lru_cache(1024)
def parse(kind: str) -> Shape:
    """The shape of a type by its Trino name; what cannot be read is a plain type of that name."""
    match = WITH_PARTS.fullmatch(kind.strip())
    if not match:
        return Shape(kind.strip())
    name, parts = match[1] + (match[3] or ""), list(split_at_depth(match[2]))
    if name in ("array", "map"):
        return Shape(name, tuple(parse(part) for part in parts))
    if name == "row":
        return row_shape(parts)
    return Shape(name, numbers=tuple(int(part) for part in parts if part.isdigit()))


def row_shape(parts: list[str]) -> Shape:
    """The shape of a row type, with or without names of its fields."""
    named = [FIELD.fullmatch(part) for part in parts]
    if not all(named):
        return Shape("row", tuple(parse(part) for part in parts))
    matches = [match for match in named if match]
    return Shape("row", tuple(parse(match[2]) for match in matches), tuple(unquoted(match[1]) for match in matches))


def unquoted(name: str) -> str:
    """A name without its double quotes."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def split_at_depth(text: str, quote: str = '"') -> Iterator[str]:
    """Split at commas that stand in no bracket, nor between two marks ``quote``."""
    depth, start, quoted = 0, 0, False
    for place, mark in enumerate(text):
        if mark == quote:
            quoted = not quoted
        elif quoted:
            continue
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
        elif mark == "," and depth == 0:
            yield text[start:place].strip()
            start = place + 1
    yield text[start:].strip()


def unique(names: Iterable[str]) -> Iterator[str]:
    """Names of columns with a number behind those that came before: readers of Parquet trip over equal ones."""
    seen: set[str] = set()
    for name in names:
        number, free = 1, name
        while free in seen:
            number += 1
            free = f"{name}_{number}"
        seen.add(free)
        yield free


def result_arrow(kind: str | Shape) -> pa.DataType:
    """The Arrow type of a result's column, which both engines write: by its Trino name or shape.

    Instants with a zone are UTC instants; what Arrow has no type for is text.
    """
    import pyarrow as pa

    shape = parse(kind) if isinstance(kind, str) else kind
    parts = [result_arrow(part) for part in shape.parts]
    if shape.name == "array" and parts:
        return pa.list_(parts[0])
    if shape.name == "map" and len(parts) == 2:
        return pa.map_(parts[0], parts[1])
    if shape.name == "row":
        names = shape.fields or [f"field{place}" for place in range(len(parts))]
        return pa.struct([pa.field(name, part) for name, part in zip(unique(names), parts, strict=True)])
    if shape.name == "decimal":
        return pa.decimal128(*(shape.numbers or (38, 0)))
    if shape.name == "timestamp":
        return pa.timestamp("us")
    if shape.name == ZONED:
        return pa.timestamp("us", "UTC")
    return pa.type_for_alias(BY_NAME[shape.name].arrow if shape.name in BY_NAME else "string")


def stored_arrow(hive: str) -> pa.DataType:
    """The Arrow type of a column of the lake's own files, by its name in ``tables.py``."""
    import pyarrow as pa

    if match := re.fullmatch(r"array<(.*)>", hive):
        return pa.list_(stored_arrow(match[1]))
    return pa.type_for_alias(STORED_TIMESTAMP if hive == "timestamp" else BY_NAME[hive].arrow)

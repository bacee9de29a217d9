"""Trino's types: their names, what coerces to what, and how DuckDB holds a value of each.

A ``timestamp with time zone`` is an instant and a zone; DuckDB's keeps no zone. It is held as a struct of the
instant (UTC) and the zone's name, so that ``hour(ended_at AT TIME ZONE 'Europe/Berlin')`` is the listener's hour.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

INTEGERS = ("tinyint", "smallint", "integer", "bigint")
DIGITS = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19}
APPROXIMATE = ("real", "double")
MOST_DIGITS = 38


@dataclass(frozen=True, slots=True)
class Type:
    """A type. ``args`` are element, key and value, or field types; ``fields`` the names of a row's fields.

    ("" for one without); types that differ in names alone are equal. ``precision`` and ``scale`` belong to decimal; a
    timestamp's ``precision`` is its digits of a second.
    """

    name: str
    args: tuple[Type, ...] = ()
    fields: tuple[str, ...] = field(default=(), compare=False)
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        if self.name == "decimal":
            return f"decimal({self.precision},{self.scale})"
        if self.name == "timestamp":
            return f"timestamp({self.precision})"
        if self.name == "timestamptz":
            return f"timestamp({self.precision}) with time zone"
        if self.name == "row":
            parts = [f"{shown_name(name)}{kind}" for name, kind in zip(self.fields, self.args, strict=True)]
            return f"row({', '.join(parts)})"
        if self.args:
            return f"{self.name}({', '.join(map(str, self.args))})"
        return WORDS.get(self.name, self.name)

    @property
    def numeric(self) -> bool:
        return self.name in INTEGERS or self.name in APPROXIMATE or self.name == "decimal"

    @property
    def integral(self) -> bool:
        return self.name in INTEGERS

    @property
    def zoned(self) -> bool:
        return self.name == "timestamptz"

    @property
    def approximate(self) -> bool:
        return self.name in APPROXIMATE

    @property
    def interval(self) -> bool:
        return self.name.startswith("interval")

    @property
    def orderable(self) -> bool:
        if self.name in ("array", "row"):
            return all(kind.orderable for kind in self.args)
        return self.name not in ("map", "json", "function")

    @property
    def comparable(self) -> bool:
        return self.name != "function" and all(kind.comparable for kind in self.args)

    def holds(self, *names: str) -> bool:
        """Whether a value of this type is, or has within it, one of the types named."""
        return self.name in names or any(kind.holds(*names) for kind in self.args)

    @property
    def duckdb(self) -> str:
        """The type that holds it in DuckDB."""
        if self.name == "decimal":
            return f"DECIMAL({self.precision}, {self.scale})"
        if self.name == "array":
            return f"{self.args[0].duckdb}[]"
        if self.name == "map":
            return f"MAP({self.args[0].duckdb}, {self.args[1].duckdb})"
        if self.name == "row":
            return f"STRUCT({', '.join(f'f{at} {kind.duckdb}' for at, kind in enumerate(self.args, 1))})"
        return DUCKDB[self.name]


WORDS = {"interval_day": "interval day to second", "interval_month": "interval year to month"}
DUCKDB = {
    "unknown": '"NULL"',
    "boolean": "BOOLEAN",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double": "DOUBLE",
    "varchar": "VARCHAR",
    "varbinary": "BLOB",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "STRUCT(u TIMESTAMP, z VARCHAR)",
    "interval_day": "INTERVAL",
    "interval_month": "INTERVAL",
    "json": "JSON",
}

UNKNOWN = Type("unknown")
BOOLEAN = Type("boolean")
SMALLINT = Type("smallint")
INTEGER = Type("integer")
BIGINT = Type("bigint")
REAL = Type("real")
DOUBLE = Type("double")
VARCHAR = Type("varchar")
VARBINARY = Type("varbinary")
DATE = Type("date")
TIMESTAMP = Type("timestamp", precision=3)
TIMESTAMPTZ = Type("timestamptz", precision=3)
INTERVAL_DAY = Type("interval_day")
INTERVAL_MONTH = Type("interval_month")
JSON = Type("json")

DECLARED = {
    "string": VARCHAR,
    "int": INTEGER,
    "bigint": BIGINT,
    "double": DOUBLE,
    "boolean": BOOLEAN,
    "timestamp": TIMESTAMP,
    "date": DATE,
}


def array(element: Type) -> Type:
    return Type("array", (element,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", (key, value))


def decimal(precision: int, scale: int) -> Type:
    return Type("decimal", precision=min(precision, MOST_DIGITS), scale=scale)


def declared(name: str) -> Type:
    """The type of a column as ``tables.py`` names it."""
    if match := re.fullmatch(r"array<(.*)>", name):
        return array(declared(match[1]))
    return DECLARED[name]


def of_duckdb(name: str) -> Type:
    """The type of a column that DuckDB found in a file that nobody declared; varchar where there is no likeness."""
    if name.endswith("[]"):
        return array(of_duckdb(name[:-2]))
    if match := re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", name):
        return decimal(int(match[1]), int(match[2]))
    return FOUND.get(name, VARCHAR)


FOUND = {
    **{held: Type(name) for name, held in DUCKDB.items() if name not in ("unknown", "timestamp", "timestamptz")},
    "TIMESTAMP": TIMESTAMP,
    "UTINYINT": SMALLINT,
    "USMALLINT": INTEGER,
    "UINTEGER": BIGINT,
}


def as_decimal(kind: Type) -> Type:
    return decimal(DIGITS[kind.name], 0) if kind.integral else kind


def common(one: Type, other: Type) -> Type | None:
    """The type to which both coerce without being asked, as Trino finds it; None when there is none."""
    if one == other:
        return one if one.fields == other.fields and not one.args else common_structure(one, other) if one.args else one
    if other.name == "unknown":
        return one
    if one.name == "unknown":
        return other
    if one.numeric and other.numeric:
        return common_number(one, other)
    if one.name == other.name and one.name in ("timestamp", "timestamptz"):
        return max(one, other, key=lambda kind: kind.precision)
    if {one.name, other.name} <= {"date", "timestamp", "timestamptz"}:
        return max(one, other, key=lambda kind: ("date", "timestamp", "timestamptz").index(kind.name))
    if one.name == other.name and one.args and len(one.args) == len(other.args):
        return common_structure(one, other)
    return None


def common_number(one: Type, other: Type) -> Type:
    if one.integral and other.integral:
        return max(one, other, key=lambda kind: INTEGERS.index(kind.name))
    if "double" in (one.name, other.name):
        return DOUBLE
    if "real" in (one.name, other.name):
        return REAL
    first, second = as_decimal(one), as_decimal(other)
    scale = max(first.scale, second.scale)
    return decimal(max(first.precision - first.scale, second.precision - second.scale) + scale, scale)


def common_structure(one: Type, other: Type) -> Type | None:
    args = [common(first, second) for first, second in zip(one.args, other.args, strict=True)]
    if any(kind is None for kind in args):
        return None
    names = tuple(a if a == b else "" for a, b in zip(one.fields, other.fields, strict=True))
    return Type(one.name, tuple(kind for kind in args if kind), names)


def coerces(one: Type, to: Type) -> bool:
    """Whether a value of ``one`` is taken where ``to`` is wanted."""
    return common(one, to) == to or (one.name == to.name and one.name in ("timestamp", "timestamptz"))


def row_of(kinds: Sequence[Type], names: Sequence[str] = ()) -> Type:
    """A row; its fields are held as f1, f2 … whatever they are called."""
    return Type("row", tuple(kinds), tuple(names) or ("",) * len(kinds))


def shown_name(name: str) -> str:
    """A row field's name as Trino shows it in a type."""
    if not name:
        return ""
    return f"{name if re.fullmatch('[A-Za-z_][A-Za-z_0-9]*', name) else quote(name)} "


def quote(name: str) -> str:
    """A name as DuckDB reads it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string literal of DuckDB (and of Trino)."""
    return "'" + value.replace("'", "''") + "'"

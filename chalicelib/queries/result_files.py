"""A query's result as a Parquet file, the same from both engines: the columns' types are those of chalicelib/types.py.

An instant with a time zone is stored as the instant, in UTC. Where every value of a column has the same zone the file
says so, and readers of Arrow show that zone's clock; where they differ it says UTC.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chalicelib.errors import QueryFailed
from chalicelib.types import ZONED, Shape, parse, result_arrow, unique

FIRST_DAY, LAST_DAY = date(1, 1, 2), date(9999, 12, 30)  # a day less than Python's, for every zone's clock


class ResultFile:
    """One Parquet file being written; use it as a context manager. ``sink`` is a path or an open file."""

    def __init__(self, sink: Any, columns: Sequence[tuple[str, str]]) -> None:
        self._shapes = [parse(kind) for _, kind in columns]
        types = map(result_arrow, self._shapes)
        self.schema = pa.schema(list(zip(unique(name for name, _ in columns), types, strict=True)))
        self._zones: dict[int, set[str]] = {at: set() for at, shape in enumerate(self._shapes) if shape.name == ZONED}
        self._writer = pq.ParquetWriter(
            sink, self.schema, compression="zstd", compression_level=1, store_schema=False, write_statistics=False
        )

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._writer.add_key_value_metadata({"ARROW:schema": base64.b64encode(self._zoned_schema().serialize())})
        self._writer.close()

    def batch_of_arrays(self, arrays: Sequence[pa.Array]) -> pa.RecordBatch:
        """Columns as DuckDB has them, as the file has them."""
        for at, zones in self._zones.items():
            zones.update(zones_of(arrays[at]))
        cells = [fit(array, shape) for array, shape in zip(arrays, self._shapes, strict=True)]
        for cell in cells:
            check_years(cell)
        return pa.RecordBatch.from_arrays(cells, schema=self.schema)

    def batch_of_values(self, columns: Sequence[Sequence[Any]]) -> pa.RecordBatch:
        """Columns of Python values, as the file has them."""
        for at, zones in self._zones.items():
            zones.update({zone_name(moment) for moment in columns[at] if moment is not None})
        cells = [
            pa.array([fitted(value, shape) for value in column], field.type)
            for column, shape, field in zip(columns, self._shapes, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(cells, schema=self.schema)

    def write(self, rows: pa.Table | pa.RecordBatch) -> None:
        """One row group."""
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def note(self, name: bytes, text: str) -> None:
        """A word about the file, kept in its footer."""
        self._writer.add_key_value_metadata({name: text})

    def _zoned_schema(self) -> pa.Schema:
        """The schema with the zones that were met."""
        fields = [
            field.with_type(pa.timestamp("us", common_zone(self._zones[at]))) if at in self._zones else field
            for at, field in enumerate(self.schema)
        ]
        return pa.schema(fields)


def common_zone(zones: set[str]) -> str:
    """The one zone of all; UTC where there are several, or one that Python does not know."""
    zone = next(iter(zones)) if len(zones) == 1 else "UTC"
    try:
        return zone if zone[:1] in "+-" or ZoneInfo(zone) else "UTC"
    except (KeyError, ValueError):
        return "UTC"


def zone_name(moment: datetime) -> str:
    """A zone by the name that Arrow knows it by: ``Europe/Berlin`` or ``+02:00``."""
    return str(moment.tzinfo).removeprefix("UTC") or "UTC"


def zones_of(moments: pa.Array) -> set[str]:
    """The time zones in a column of moments as DuckDB has them."""
    return {name for name in pc.unique(parts_of(moments)[1]).to_pylist() if name is not None}


def parts_of(moments: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Wall clock or instant, and zone: of a struct of both or of text (``2026-11-20 10:15:30 Asia/Tokyo``)."""
    if pa.types.is_struct(moments.type):
        return pc.struct_field(moments, "u"), pc.struct_field(moments, "z")
    parts = pc.extract_regex(moments, r"^(?P<clock>.*) (?P<zone>\S+)$")
    return pc.struct_field(parts, "clock"), pc.struct_field(parts, "zone")


def fit(array: pa.Array, shape: Shape) -> pa.Array:
    """A column as an engine has it, of the type that a result's file has for ``shape``."""
    wanted = result_arrow(shape)
    if array.type == wanted:
        return array
    if shape.name == ZONED:
        return instants(array)
    if shape.parts:
        return pa.array([fitted(value, shape) for value in array.to_pylist()], wanted)
    return array.cast(wanted)


def check_years(array: pa.Array) -> None:
    """Raise QueryFailed for dates that no reader of the result could show: before the year 1 or beyond 9999."""
    kind = array.type
    if pa.types.is_nested(kind):
        for part in array.flatten() if pa.types.is_struct(kind) else [array.values]:
            check_years(part)
    elif pa.types.is_date(kind):
        check_days(array.cast(pa.int32()), 1)
    elif pa.types.is_timestamp(kind):
        check_days(array.cast(pa.timestamp("us")).cast(pa.int64()), 86_400_000_000)


def check_days(ticks: pa.Array, of_a_day: int) -> None:
    """The same of the ticks since 1970. (To compare with a Python value, Arrow would import pandas: a third of a second
    and 50 MB in each process.)"""
    found = pc.min_max(ticks).as_py()
    first, last = ((day - date(1970, 1, 1)).days * of_a_day for day in (FIRST_DAY, LAST_DAY))
    if found["min"] is not None and not first <= found["min"] <= found["max"] <= last:
        raise QueryFailed("a date of the result lies before the year 1 or beyond 9999; it cannot be shown")


def instants(moments: pa.Array) -> pa.Array:
    """Moments with a zone, as DuckDB has them, as instants."""
    clocks, zones = parts_of(moments)
    if not pa.types.is_struct(moments.type) and pc.unique(zones.drop_null()).to_pylist() not in ([], ["UTC"]):
        texts = moments.to_pylist()
        return pa.array([None if text is None else zoned_moment(text) for text in texts], pa.timestamp("us", "UTC"))
    return clocks.cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))


def zoned_moment(text: str) -> datetime:
    """``2026-11-20 10:15:30.123 Europe/Berlin`` as a datetime with that zone."""
    moment, _, zone = text.rpartition(" ")
    if zone[:1] in "+-":
        return datetime.fromisoformat(f"{moment}{zone}")
    return datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone))


def fitted(value: Any, shape: Shape) -> Any:
    """A Python value as Arrow takes it: pairs for a map, a dict for a row, an instant for a moment with a zone."""
    if value is None:
        return None
    return FITTED[shape.name](value, shape) if shape.name in FITTED else value


def fitted_moment(value: Any, _shape: Shape) -> Any:
    """A moment with a zone as Arrow takes it."""
    if isinstance(value, str):
        return zoned_moment(value)
    if isinstance(value, dict):  # as DuckDB holds it inside a map or a row: the instant and the zone
        return value["u"].replace(tzinfo=UTC)
    return value


def fitted_map(value: Any, shape: Shape) -> list[tuple[Any, Any]]:
    """A map as Arrow takes it: pairs of key and value."""
    pairs = value.items() if isinstance(value, dict) else value
    return [(fitted(key, shape.parts[0]), fitted(held, shape.parts[1])) for key, held in pairs]


def fitted_row(value: Any, shape: Shape) -> dict[str, Any]:
    """A row as Arrow takes it: its fields by name."""
    values = list(value.values()) if isinstance(value, dict) else list(value)
    names = [field.name for field in result_arrow(shape)]
    return {name: fitted(held, part) for name, held, part in zip(names, values, shape.parts, strict=True)}


FITTED: dict[str, Callable[[Any, Shape], Any]] = {
    "array": lambda value, shape: [fitted(item, shape.parts[0]) for item in value],
    "map": fitted_map,
    "row": fitted_row,
    ZONED: fitted_moment,
}


def python_rows(table: pa.Table, columns: Sequence[tuple[str, str]]) -> list[tuple[Any, ...]]:
    """The rows of a result's table as Python values."""
    cells = [values(part, parse(kind)) for part, (_, kind) in zip(table.columns, columns, strict=True)]
    return list(zip(*cells, strict=True))


def values(column: pa.ChunkedArray | pa.Array, shape: Shape) -> list[Any]:
    """A column's values, nested ones as they are shown."""
    found: list[Any] = column.to_pylist()
    if shape.parts:
        return [shown(value, shape) for value in found]
    return found


def shown(value: Any, shape: Shape) -> Any:
    """Arrow's pairs as a dict again, at any depth."""
    if value is None or not shape.parts:
        return value
    if shape.name == "map":
        return {shown_key(shown(key, shape.parts[0])): shown(held, shape.parts[1]) for key, held in value}
    if shape.name == "array":
        return [shown(item, shape.parts[0]) for item in value]
    return {name: shown(held, part) for (name, held), part in zip(value.items(), shape.parts, strict=True)}


def shown_key(key: Any) -> Any:
    """A key of a map, hashable: arrays, and the values of rows, as tuples; a map as the tuple of its entries."""
    if isinstance(key, dict):
        return tuple((shown_key(name), shown_key(held)) for name, held in key.items())
    return tuple(map(shown_key, key)) if isinstance(key, list) else key

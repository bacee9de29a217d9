"""Results as Parquet: written as they come, read a page at a time, in memory that depends on neither's size."""

from __future__ import annotations

import base64
import binascii
import json
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from chalicelib.errors import PageTokenInvalid
from chalicelib.queries.engine import ResultColumn, RowPage

GROUP_ROWS = 16_384  # rows of a row group: what reading one page may have to decode
GROUP_BYTES = 8_000_000  # bytes of a row group
FETCH_ROWS = 16_384
LARGEST_PAGE = 100_000  # rows
CACHED_BYTES = 32_000_000  # bytes of row groups kept decoded
KEPT_BYTES = 500_000
MOST_GROUPS = 64
MOST_STARTS = 1_000


@dataclass(frozen=True, slots=True)
class Written:
    """What a result came to; ``only`` is its one row group, when it has no more."""

    rows: int
    bytes: int
    truncated: bool
    only: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    """When to stop writing a result: rows, bytes, or when ``stopped`` says so."""

    rows: int
    bytes: int
    stopped: Callable[[], bool]


def write_result(batches: Any, schema: pa.Schema, path: Path, caps: Caps) -> Written:
    """Write Arrow batches to ``path`` until they end or a cap is reached."""
    rows, truncated, groups, last = 0, False, 0, None
    with path.open("wb") as sink:
        with pq.ParquetWriter(sink, schema, compression="zstd", compression_level=1, store_schema=True) as writer:
            for batch in regrouped(batches, schema):
                if rows + batch.num_rows > caps.rows:
                    batch, truncated = batch.slice(0, caps.rows - rows), True
                if batch.num_rows:
                    writer.write_table(batch, row_group_size=batch.num_rows)
                    rows, groups, last = rows + batch.num_rows, groups + 1, batch
                if sink.tell() > caps.bytes:
                    truncated = True
                if truncated or caps.stopped():
                    break
        return Written(rows, sink.tell(), truncated, last if groups == 1 else None)


def regrouped(batches: Any, schema: pa.Schema) -> Iterator[pa.Table]:
    """The batches with the declared names and types, joined and cut to the size of row groups."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        for part in slices(conformed(batch, schema)):
            held.append(part)
            rows, size = rows + part.num_rows, size + part.nbytes
            if rows >= GROUP_ROWS or size >= GROUP_BYTES:
                yield pa.Table.from_batches(held, schema)
                held, rows, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held, schema)


def slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch whose rows are long, in parts of bounded bytes."""
    step = max(1, GROUP_BYTES * batch.num_rows // max(1, batch.nbytes))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def conformed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def result_schema(columns: Sequence[ResultColumn], found: pa.Schema) -> pa.Schema:
    """The Arrow types of a result: those that its Trino types name; where they name none, what was found."""
    return pa.schema(
        [
            pa.field(column.name, ARROW.get(column.type.partition("(")[0], field.type))
            for column, field in zip(columns, found, strict=True)
        ]
    )


ARROW: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double": pa.float64(),
    "varchar": pa.string(),
    "date": pa.date32(),
}


class ResultReader:
    """Reads pages of results. The row groups read last stay decoded, within ``most_bytes``: pages follow each other.

    A result never changes once it is written. Safe for threads: the worst of a race is a group read twice.
    """

    def __init__(self, most_bytes: int = CACHED_BYTES) -> None:
        self._most_bytes = most_bytes
        self._starts: dict[Path, list[int]] = {}
        self._groups: OrderedDict[tuple[Path, int], pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def page(self, path: Path, columns: Sequence[ResultColumn], start: int, limit: int) -> list[tuple[Any, ...]]:
        """Rows ``start`` to ``start + limit`` of a result, as Python values."""
        starts = self._starts.get(path) or self._read_starts(path)
        rows: list[tuple[Any, ...]] = []
        group = bisect_right(starts, start) - 1
        while group < len(starts) - 1 and starts[group] < start + limit:
            low = max(0, start - starts[group])
            table = self._group(path, group).slice(low, start + limit - starts[group] - low)
            rows += python_rows(table, columns)
            group += 1
        return rows

    def keep(self, path: Path, written: Written) -> None:
        """Hold on to a small result that was written this moment: it will be asked for in the next."""
        if written.only is not None and written.only.nbytes < KEPT_BYTES:
            with self._lock:
                self._hold_starts(path, [0, written.rows])
                self._hold_group((path, 0), written.only)

    def _read_starts(self, path: Path) -> list[int]:
        """Where each row group starts, and where the last one ends."""
        footer = pq.read_metadata(path)
        starts = list(accumulate((footer.row_group(at).num_rows for at in range(footer.num_row_groups)), initial=0))
        with self._lock:
            self._hold_starts(path, starts)
        return starts

    def _group(self, path: Path, group: int) -> pa.Table:
        with self._lock:
            table = self._groups.get((path, group))
            if table is not None:
                self._groups.move_to_end((path, group))
                return table
        with pq.ParquetFile(path) as file:
            table = file.read_row_group(group, use_threads=False)
        with self._lock:
            self._hold_group((path, group), table)
        return table

    def _hold_starts(self, path: Path, starts: list[int]) -> None:
        if len(self._starts) >= MOST_STARTS:
            self._starts.clear()
        self._starts[path] = starts

    def _hold_group(self, place: tuple[Path, int], table: pa.Table) -> None:
        self._groups[place] = table
        while len(self._groups) > 1 and sum(held.nbytes for held in self._groups.values()) > self._most_bytes:
            self._groups.popitem(last=False)
        while len(self._groups) > MOST_GROUPS:
            self._groups.popitem(last=False)


def python_rows(table: pa.Table, columns: Sequence[ResultColumn]) -> list[tuple[Any, ...]]:
    cells = [values(part, column.type) for part, column in zip(table.columns, columns, strict=True)]
    return list(zip(*cells, strict=True))


def values(column: pa.ChunkedArray, type_name: str) -> list[Any]:
    found: list[Any] = column.to_pylist()
    if type_name.endswith("with time zone"):
        return [None if value is None else zoned_moment(value) for value in found]
    if type_name.startswith("map("):
        return [None if value is None else dict(value) for value in found]
    return found


def zoned_moment(text: str) -> datetime:
    """``2026-11-20 10:15:30.123 Europe/Berlin`` as a datetime with that zone."""
    moment, _, zone = text.rpartition(" ")
    return datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone))


def page_token(query_id: str, start: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([query_id, start]).encode()).decode().rstrip("=")


def token_start(token: str, query_id: str, rows: int) -> int:
    """Where the page of a token starts. Raises PageTokenInvalid for one that this query did not give."""
    try:
        owner, start = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError, binascii.Error):
        raise PageTokenInvalid("the page token is not one of ours") from None
    if owner != query_id or type(start) is not int or not 0 < start <= rows:
        raise PageTokenInvalid("the page token belongs to another query")
    return start


def pages(path: Path, columns: tuple[ResultColumn, ...], truncated: bool) -> Iterator[RowPage]:
    """The whole result, a row group at a time; one empty page where there are no rows."""
    with pq.ParquetFile(path) as file:
        if file.metadata.num_row_groups == 0:
            yield RowPage(columns, [], None, truncated)
        for group in range(file.metadata.num_row_groups):
            table = file.read_row_group(group, use_threads=False)
            yield RowPage(columns, python_rows(table, columns), None, truncated)

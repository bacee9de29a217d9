"""Results as Parquet: written as they come, read a page at a time, in memory that depends on neither's size."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chalicelib.errors import NotFound, PageTokenInvalid, QueryFailed, StorageFailed
from chalicelib.queries.engine import ResultColumn, RowPage
from chalicelib.queries.result_files import ResultFile, python_rows

GROUP_ROWS = 16_384  # rows of a row group: what reading one page may have to decode
GROUP_BYTES = 8_000_000  # bytes of a row group
FETCH_ROWS = 16_384
GRANT = 16_000_000  # bytes that are asked for at a time
OVERHEAD = 1.25  # bytes of a file, at most, for one of Arrow's
LEAST_ROWS = 100  # of a part of a row group that is cut where a file may get no longer
FOOTER, FOOTER_COLUMN = 16_384, 256  # bytes of a file besides its pages: in all, and for each column of a group
LARGEST_PAGE = 100_000  # rows
PAGE_BYTES = 16_000_000  # bytes of decoded rows above which a page ends
PAGE_VALUES = 200_000  # values of a page, those inside arrays, maps and rows too: each is an object here
LARGEST_ROW = 1_000_000  # values of one row that a page may hold
CACHED_GROUPS = 4  # row groups kept decoded
MOST_STARTS = 1_000
LARGEST_READ = 4 * GROUP_BYTES  # bytes of one row, decoded, that a page may hold
LONG_GROUPS = b"lake.long_groups"  # in a result's footer: its row groups that hold one row above LARGEST_READ


@dataclass(frozen=True, slots=True)
class Written:
    """What a result came to."""

    rows: int
    bytes: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be written: rows, bytes of the file, and bytes of all results together.

    ``granted`` of the latter may be written at once; ``more`` asks for so many more and answers how many it gets.
    """

    rows: int
    bytes: int
    granted: int
    more: Callable[[int, int], int]


class MeteredFile(io.RawIOBase):
    """A file that never gets longer than it may, at no moment."""

    def __init__(self, path: Path, caps: Caps) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0)
        self._caps = caps
        self._granted = caps.granted
        self.length = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.length

    def write(self, data: Any) -> int:
        """Raises ResultTooLarge, and StorageFailed where all results together leave no room."""
        view = memoryview(data).cast("B")
        if self.length + len(view) > self._caps.bytes:
            raise ResultTooLarge(f"it is larger than QUERY_BYTES allows ({self._caps.bytes:,} bytes)")
        if (needed := self.length + len(view) - self._granted) > 0:
            more = self._caps.more(needed, max(needed, GRANT))
            if more < needed:
                raise StorageFailed("RESULTS_BYTES leaves no room for this result: narrow it, or raise the setting")
            self._granted += more
        while view:
            written = self._file.write(view) or 0
            self.length, view = self.length + written, view[written:]
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class ResultTooLarge(Exception):
    """A file would be longer than it may be."""


def write_result(batches: Iterable[pa.RecordBatch], columns: Sequence[ResultColumn], path: Path, caps: Caps) -> Written:
    """Write DuckDB's batches to ``path`` until they end or a cap is reached."""
    rows, truncated = 0, False
    sizes: list[int] = []
    with MeteredFile(path, caps) as sink:
        with ResultFile(sink, named(columns)) as file:
            for group in regrouped(file.batch_of_arrays(batch.columns) for batch in batches):
                left = group.slice(0, caps.rows - rows)
                truncated = left.num_rows < group.num_rows
                while left.num_rows and (fit := rows_that_fit(left, caps.bytes - sink.tell(), len(sizes))):
                    part, left = left.slice(0, fit), left.slice(fit)
                    file.write(part)
                    rows += part.num_rows
                    sizes.append(part.nbytes)
                if truncated := truncated or left.num_rows > 0:
                    break
            file.note(LONG_GROUPS, ",".join(str(at) for at, size in enumerate(sizes) if size > LARGEST_READ))
        return Written(rows, sink.tell(), truncated)


def rows_that_fit(group: pa.Table, left: int, groups: int) -> int:
    """How many rows of a group surely fit into ``left`` bytes of a file, with the footer of ``groups`` others."""
    room = left - FOOTER - FOOTER_COLUMN * group.num_columns * (groups + 1)
    if group.nbytes * OVERHEAD <= room:
        return int(group.num_rows)
    rows = int(room / OVERHEAD * group.num_rows / group.nbytes)
    return rows if rows >= min(LEAST_ROWS, group.num_rows) else 0


def named(columns: Sequence[ResultColumn]) -> list[tuple[str, str]]:
    """Names and types of a result's columns."""
    return [(column.name, column.type) for column in columns]


def regrouped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The batches joined and cut to the size of row groups."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        for part in slices(batch):
            held.append(part)
            rows, size = rows + part.num_rows, size + part.nbytes
            if rows >= GROUP_ROWS or size >= GROUP_BYTES:
                yield pa.Table.from_batches(held)
                held, rows, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held)


def slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch whose rows are long, in parts of bounded bytes."""
    step = max(1, GROUP_BYTES * batch.num_rows // max(1, batch.nbytes))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def page(path: Path, columns: Sequence[ResultColumn], start: int, limit: int) -> list[tuple[Any, ...]]:
    """Rows ``start`` to ``start + limit`` of a result as Python values; fewer where they are long or wide.

    Raises QueryFailed for a row that is too long for a page.
    """
    starts = group_starts(path)
    long = long_groups(path)
    rows: list[tuple[Any, ...]] = []
    size, values, group = 0, 0, bisect_right(starts, start) - 1
    while group < len(starts) - 1 and starts[group] < start + limit and size < PAGE_BYTES and values < PAGE_VALUES:
        if group in long:
            if rows:
                break
            raise too_large_for_a_page()
        low = max(0, start - starts[group])
        wanted = row_group(path, group).slice(low, start + limit - starts[group] - low)
        table = first_rows(wanted, PAGE_VALUES - values)
        if rows and values + values_in(table) > PAGE_VALUES:
            break
        rows += python_rows(table, named(columns))
        size, values = size + table.nbytes, values + values_in(table)
        if table.num_rows < wanted.num_rows:
            break
        group += 1
    return rows


def too_large_for_a_page() -> QueryFailed:
    """The refusal of a row that the service would have to hold."""
    return QueryFailed("a row of this result is too large for a page: GET its download instead")


def first_rows(table: pa.Table, values: int, largest_row: float = LARGEST_ROW) -> pa.Table:
    """As many of the first rows as hold so many values, at least one. Raises QueryFailed for a row that holds too many
    by itself."""
    while table.num_rows > 1 and (held := values_in(table)) > values:
        table = table.slice(0, max(1, min(table.num_rows // 2, table.num_rows * values // held)))
    if table.num_rows == 1 and values_in(table) > largest_row:
        raise too_large_for_a_page()
    return table


def values_in(table: pa.Table) -> int:
    """How many Python values a table's rows are, those inside arrays, maps and rows too."""
    return sum(values_of(chunk) for column in table.columns for chunk in column.chunks)


def values_of(array: pa.Array) -> int:
    """How many values a column is; of what nulls hide too."""
    kind = array.type
    if pa.types.is_struct(kind):
        return len(array) + sum(values_of(part) for part in array.flatten())
    if pa.types.is_list(kind) or pa.types.is_map(kind):
        start, end = (array.offsets[at].as_py() for at in (0, -1)) if len(array) else (0, 0)
        return len(array) + values_of(array.values.slice(start, end - start))
    return len(array)


@lru_cache(MOST_STARTS)
def group_starts(path: Path) -> tuple[int, ...]:
    """Where each row group of a result starts, and where the last one ends. A result never changes."""
    found = footer(path)
    return tuple(accumulate((found.row_group(at).num_rows for at in range(found.num_row_groups)), initial=0))


@lru_cache(MOST_STARTS)
def long_groups(path: Path) -> frozenset[int]:
    """The row groups that are one row, too long for a page."""
    noted = (footer(path).metadata or {}).get(LONG_GROUPS, b"").decode()
    return frozenset(int(group) for group in noted.split(",") if group)


@lru_cache(CACHED_GROUPS)
def footer(path: Path) -> pq.FileMetaData:
    """What a result's file says of itself."""
    return pq.read_metadata(path)


@lru_cache(CACHED_GROUPS)
def row_group(path: Path, group: int) -> pa.Table:
    """One row group, decoded: pages follow each other."""
    with pq.ParquetFile(path, metadata=footer(path)) as file:
        return file.read_row_group(group, use_threads=False)


def page_token(query_id: str, start: int) -> str:
    """The page token of a result: whose it is, and the row at which the page begins."""
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


def pages(
    path: Path, columns: tuple[ResultColumn, ...], truncated: bool, *, bounded: bool = False
) -> Iterator[RowPage]:
    """The whole result, a part of a row group at a time; one empty page where there are no rows.

    ``bounded``: raises QueryFailed for a row that is too long for a page, at once where its bytes are.
    """
    if bounded and long_groups(path):
        raise too_large_for_a_page()
    return parts_of(path, columns, truncated, LARGEST_ROW if bounded else math.inf)


def parts_of(path: Path, columns: tuple[ResultColumn, ...], truncated: bool, largest_row: float) -> Iterator[RowPage]:
    """See :func:`pages`."""
    with pq.ParquetFile(path) as file:
        if file.metadata.num_row_groups == 0:
            yield RowPage(columns, [], None, truncated)
        for group in range(file.metadata.num_row_groups):
            left = file.read_row_group(group, use_threads=False)
            while left.num_rows:
                if not path.exists():  # whoever reads slowly must not keep what has made room for others
                    raise NotFound("the result was removed while it was read; run the query again")
                table = first_rows(left, PAGE_VALUES, largest_row)
                left = left.slice(table.num_rows)
                yield RowPage(columns, python_rows(table, named(columns)), None, truncated)

"""Parquet files of the tables: their schema from tables.py, and one way of writing them.

Files are laid out for engines that skip what a query does not need: Hive partitions by month, rows sorted, zstd,
dictionaries large enough that id columns keep theirs, statistics, row groups of bounded size. The same rows under
the same name give the same bytes, so that writing twice, or twice at once, changes nothing.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chalicelib.files import scratch_folder
from chalicelib.lake import Lake, partition_prefix
from chalicelib.tables import Table
from chalicelib.types import stored_arrow

ROW_GROUP = 131_072  # rows
LARGEST_DICTIONARY = 32 * 1024 * 1024  # bytes; above it a column falls back to plain encoding
COMPRESSION_LEVEL = 1  # zstd
SPILL = 4 * 1024 * 1024  # bytes of a file that are held in memory while it is written


def arrow_schema(table: Table) -> pa.Schema:
    """The physical columns of ``table``. All may be null in a file, so that old and new files read as one."""
    return pa.schema([pa.field(column.name, stored_arrow(column.type)) for column in table.physical_columns])


def write_table(lake: Lake, generation: str, table: Table, rows: pa.Table, name: str) -> list[str]:
    """Write ``rows`` as ``month=YYYY-MM/<name>.parquet``, one file a month; answers the keys in order.

    ``rows`` must have exactly :func:`arrow_schema` and no null in ``table.partition_by``. Each file appears whole
    or not at all; a file of the same name is replaced.
    """
    keys = []
    for month, part in by_month(rows, table.partition_by):
        key = f"{partition_prefix(generation, table.history, month)}{name}.parquet"
        lake.store.write(key, parquet_bytes(table, part), content_type="application/vnd.apache.parquet")
        keys.append(key)
    return keys


def by_month(rows: pa.Table, column: str) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each month (``YYYY-MM``, UTC) of a timestamp column, months ascending."""
    if rows.num_rows == 0:
        return
    moments = rows.column(column)
    if moments.null_count:
        raise ValueError(f"{moments.null_count} rows have no {column} to partition by")
    bounds = pc.min_max(moments)
    first, last = month_of(bounds["min"]), month_of(bounds["max"])
    if first == last:
        yield month_name(first), rows
        return
    numbers = pc.add(pc.multiply(pc.year(moments), 12), pc.month(moments))
    for number in sorted(pc.unique(numbers).to_pylist()):
        yield month_name(number), rows.filter(pc.equal(numbers, number))


def month_of(moment: pa.Scalar) -> int:
    """Months since the year 0, as a number that sorts and splits again."""
    return int(pc.year(moment).as_py()) * 12 + int(pc.month(moment).as_py())


def month_name(number: int) -> str:
    """``2026-11`` for a month counted from the year 0."""
    return f"{(number - 1) // 12:04d}-{(number - 1) % 12 + 1:02d}"


def sort_columns(table: Table) -> tuple[str, ...]:
    """Rows lie by key; where time is what queries ask for (plays, runs), by that time first."""
    first = () if table.partition_by == "observed_at" else (table.partition_by,)
    last = ("observed_at",) if any(column.name == "observed_at" for column in table.physical_columns) else ()
    return (*first, *table.key, *last)


def sort_rows(table: Table, rows: pa.Table) -> pa.Table:
    """The rows in the order in which the table's files are sorted."""
    order = [(name, "ascending") for name in sort_columns(table)]
    return rows.take(pc.sort_indices(rows, sort_keys=order))


def parquet_bytes(table: Table, rows: pa.Table) -> bytes:
    """``rows``, sorted, as one Parquet file."""
    return parquet_of_sorted(table, sort_rows(table, rows))


def parquet_of_sorted(table: Table, rows: pa.Table) -> bytes:
    """Sorted rows as one Parquet file; they may have columns that are declared no more."""
    sink = io.BytesIO()
    with parquet_writer(table, sink, rows.schema) as writer:
        writer.write_table(rows, row_group_size=ROW_GROUP)
    return sink.getvalue()


def parquet_writer(table: Table, sink: io.IOBase, schema: pa.Schema | None = None) -> pq.ParquetWriter:
    """A writer of one of the table's files: zstd, dictionaries but for unique keys, statistics."""
    unique = table.key if len(table.key) == 1 else ()
    schema = schema or arrow_schema(table)
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=[name for name in schema.names if name not in unique],
        dictionary_pagesize_limit=LARGEST_DICTIONARY,
        write_statistics=True,
        store_schema=False,
    )


class Scratch:
    """A folder for files that are still written, made when the first one needs it."""

    def __init__(self) -> None:
        self._folder = ExitStack()
        self._path: Path | None = None

    def path(self) -> Path:
        """The folder, made when it is first needed."""
        if self._path is None:
            self._path = self._folder.enter_context(scratch_folder())
        return self._path

    def remove(self) -> None:
        """Delete the folder and what lies in it."""
        self._folder.close()
        self._path = None


class Spool(io.RawIOBase):
    """A file being written: in memory, and in ``scratch`` once it is longer than ``spill`` bytes.

    A Parquet writer holds it from C++, where Python's collector does not look: it must not lead back to the writer.
    """

    def __init__(self, scratch: Scratch, spill: int) -> None:
        self._scratch, self._spill = scratch, spill
        self._file: BinaryIO = io.BytesIO()
        self.path: Path | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self._file.closed:  # a writer that was given up still writes its footer
            return len(data)
        written = self._file.write(data)
        if self.path is None and self._file.tell() > self._spill:
            self._move()
        return written

    def tell(self) -> int:
        return self._file.tell()

    def content(self) -> bytes | Path:
        """All that was written, or where it is."""
        if self.path is None:
            return cast(io.BytesIO, self._file).getvalue()
        self._file.close()
        return self.path

    def close(self) -> None:
        self._file.close()
        super().close()

    def _move(self) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._scratch.path(), suffix=".parquet")
        self.path = Path(name)
        disk = os.fdopen(descriptor, "wb")
        disk.write(cast(io.BytesIO, self._file).getbuffer())
        self._file = disk


class TableFiles:
    """The files of one name, gathered (compressed) over many batches of sorted rows; use it as a context manager.

    Each batch becomes row groups of its own, so that what must be held uncompressed is one batch. Files longer than
    ``spill`` bytes are held on the disk.
    """

    def __init__(self, generation: str, name: str, spill: int = SPILL) -> None:
        self.generation = generation
        self.name = name
        self.rows: dict[str, int] = {}
        self._spill = spill
        self._open: dict[str, tuple[pq.ParquetWriter, Spool]] = {}
        self._scratch = Scratch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _writer, spool in self._open.values():
            spool.close()
        self._open.clear()
        self._scratch.remove()

    def add(self, table: Table, rows: pa.Table) -> None:
        """Add rows that are sorted by :func:`sort_columns`."""
        self.rows[table.name] = self.rows.get(table.name, 0) + rows.num_rows
        for month, part in by_month(rows, table.partition_by):
            key = f"{partition_prefix(self.generation, table.history, month)}{self.name}.parquet"
            if key not in self._open:
                spool = Spool(self._scratch, self._spill)
                self._open[key] = (parquet_writer(table, spool), spool)
            self._open[key][0].write_table(part, row_group_size=ROW_GROUP)

    def finish(self) -> dict[str, bytes | Path]:
        """Each file's key and content, in the order of the keys; a path may be moved away."""
        for writer, _ in self._open.values():
            writer.close()
        return {key: self._open[key][1].content() for key in sorted(self._open)}

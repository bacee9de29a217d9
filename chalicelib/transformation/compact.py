"""Few large files instead of many small ones, without a moment at which a row is missing.

One merge reads some files of a partition, writes down what it is about to replace
(``state/compactions/<generation>/<table>/<month>-<digest>.json``), writes the merged file, and leaves the old files
to queries under way; a later run deletes them once they have been replaced for ``GRACE``. The merged file is named
after what it was made of, so that dying anywhere, or two merges at once, at worst leaves a row stored twice: the
tables answer one row per key all the same, and the next merge drops what is equal. Files that appear or change
meanwhile are not touched.

Months before the previous one are merged into the table's partition ``month=earlier``: whoever looks up tracks reads
all of them, and lists three folders instead of one for each month there ever was. Listens keep their months, for
queries ask for some of them (see plays/resolutions.py).

Of observations that changed nothing the last is kept; of plays, and of tables whose history is open to queries, the
first too.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chalicelib.clock import Clock, now
from chalicelib.errors import InvalidRequest, NotFound, WriteConflict
from chalicelib.lake import (
    EARLIER,
    TRANSFORMED,
    Lake,
    ObjectInfo,
    first_month_apart,
    partition_prefix,
    table_prefix,
)
from chalicelib.log import StepProgress
from chalicelib.parquet import arrow_schema, parquet_of_sorted, sort_rows
from chalicelib.tables import BY_NAME, PHYSICAL, PLAYS, PLAYS_RESOLVED, TABLES, Table
from chalicelib.transformation.backlog import forget_files
from chalicelib.transformation.compaction_notes import MERGE_NOTE, Merge, MergeNote, note_key, notes, replaced

log = logging.getLogger(__name__)
GRACE = timedelta(hours=1)  # twice the longest time limit of a query
HEALS = "`.venv/bin/lake transform --all` builds the tables anew"
LARGEST_MERGE = 64 * 1024 * 1024  # bytes of files read together: bounds memory; larger files are left as they are


@dataclass(slots=True)
class Compaction:
    """What a compaction did."""

    partitions: int = 0
    files_merged: int = 0
    files_written: int = 0
    rows_read: int = 0
    rows_written: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    files_deleted: int = 0
    left: list[str] = field(default_factory=list)  # partitions whose files do not fit together, and why
    damaged: list[str] = field(default_factory=list)  # keys of files that cannot be read

    def __str__(self) -> str:
        damaged = [f"{key} is damaged and left as it is: {HEALS}" for key in self.damaged]
        return "; ".join([self._merged(), f"{self.files_deleted} replaced files deleted", *self.left, *damaged])

    def _merged(self) -> str:
        if not self.files_merged:
            return "nothing to merge"
        return (
            f"merged {self.files_merged} files into {self.files_written} in {self.partitions} partitions "
            f"({self.bytes_read:,} to {self.bytes_written:,} bytes, {self.rows_read:,} to {self.rows_written:,} rows)"
        )


def compact(
    lake: Lake,
    tables: Sequence[str] | None = None,
    *,
    min_files: int = 2,
    old_months: bool = False,
    grace: timedelta = GRACE,
    clock: Clock = now,
    progress: StepProgress | None = None,
) -> Compaction:
    """Merge the files of every partition that has at least ``min_files``, of all tables or those named.

    ``old_months``: put months before the previous one together, however few files they have.
    Raises InvalidRequest for a name that is no table. Safe to interrupt, to repeat and to run beside anything.
    """
    done = Compaction()
    generation = lake.generation()
    apart = first_month_apart(clock()) if old_months else ""
    found = list(partitions(lake, generation, chosen(tables), apart))
    before = clock() - grace
    forget_files(lake, [key for each in found for key in replaced_before(each.merges, each.files, before)])
    for number, partition in enumerate(found):
        if progress:
            progress(number, len(found), f"{partition.table.history} {partition.month}")
        compact_partition(lake, partition, min_files, before, done)
    return done


def chosen(names: Sequence[str] | None) -> list[Table]:
    """The tables meant; plays_resolved is none of them: plays/resolutions.py replaces its files itself."""
    known = {**PHYSICAL, **BY_NAME}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise InvalidRequest(f"there is no table {unknown[0]}; GET /tables lists them", table=unknown[0])
    tables = [known[name] for name in names] if names else list(TABLES)
    return [table for table in tables if table is not PLAYS_RESOLVED]


@dataclass(frozen=True, slots=True)
class CompactedPartition:
    """One month of one physical table, or all earlier ones: the files that belong there when they were listed, and the
    merges noted right after."""

    generation: str
    table: Table
    month: str
    files: list[ObjectInfo]
    merges: list[Merge]

    @property
    def folder(self) -> str:
        """What the keys of its files begin with once they are merged."""
        return partition_prefix(self.generation, self.table.history, self.month)


def partitions(lake: Lake, generation: str, tables: Sequence[Table], apart: str) -> Iterator[CompactedPartition]:
    """The partitions of the tables, with their files and the merges noted for them; what is older than the month
    ``apart`` is one, and what such a merge has replaced belongs to it."""
    for table in tables:
        infos = list(lake.store.list(table_prefix(generation, table.history)))
        files: dict[str, list[ObjectInfo]] = {}
        merges: dict[str, list[Merge]] = {}
        moved: dict[str, str] = {}
        for noted in readable_merges(lake, generation, table.history):
            month = month_for(table, noted.merged, apart)
            merges.setdefault(month, []).append(noted)
            moved |= dict.fromkeys(noted.replaces, month)
        for info in infos:
            if month := moved.get(info.key) or month_for(table, info.key, apart):
                files.setdefault(month, []).append(info)
        for month in sorted(files):
            yield CompactedPartition(generation, table, month, files[month], merges.get(month, []))


def month_for(table: Table, key: str, apart: str) -> str:
    """The partition that a file belongs in by now; empty for what is no file of a partition."""
    month = re.search(r"/month=(\d{4}-\d\d|earlier)/[^/]+\.parquet$", key)
    if month is None:
        return ""
    return EARLIER if table is not PLAYS and (month[1] == EARLIER or month[1] < apart) else month[1]


def readable_merges(lake: Lake, generation: str, physical: str) -> Iterator[Merge]:
    """The merges of a physical table; notes that are damaged, which hold for nothing, are deleted."""
    for info, note in notes(lake, generation, physical):
        if note:
            yield Merge(note.merged, note.replaces, info)
        else:
            delete_unchanged(lake, info.key, info.etag)


def compact_partition(
    lake: Lake, partition: CompactedPartition, min_files: int, replaced_before: datetime, done: Compaction
) -> None:
    """Delete what has been replaced long enough, and merge what there is enough of."""
    done.files_deleted += delete_replaced(lake, partition.merges, partition.files, replaced_before)
    gone = replaced(partition.merges, {info.key: info.size for info in partition.files})
    live = [info for info in partition.files if info.key not in gone and info.size <= LARGEST_MERGE]
    if len(live) < min_files and not any(is_elsewhere(partition, [info]) for info in live):
        return
    done.partitions += 1
    for group in groups(live):
        if is_elsewhere(partition, group) or len(group) > 1:
            merge(lake, partition, group, done)


def is_elsewhere(partition: CompactedPartition, files: list[ObjectInfo]) -> bool:
    """Whether some of the files do not lie where they belong by now."""
    return not all(info.key.startswith(partition.folder) for info in files)


def groups(files: list[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    """Files in the order of their keys, as many together as memory allows."""
    group: list[ObjectInfo] = []
    for info in files:
        if group and sum(each.size for each in group) + info.size > LARGEST_MERGE:
            yield group
            group = []
        group.append(info)
    if group:
        yield group


def merge(lake: Lake, partition: CompactedPartition, files: list[ObjectInfo], done: Compaction) -> None:
    """One file out of several."""
    table = partition.table
    try:
        read = {info: rows for info in files if (rows := read_whole(lake, info, done)) is not None}
    except NotFound:
        return  # somebody else has merged them
    files, parts = list(read), list(read.values())
    if len(files) < 2 and not is_elsewhere(partition, files):
        return
    try:
        rows = pa.concat_tables(as_declared(table, parts))
    except pa.ArrowException as error:
        done.left.append(f"{table.history} {partition.month}: {error}")
        return
    kept = without_repeats(table, rows)
    content = parquet_of_sorted(table, kept)
    digest = hashlib.blake2b(json.dumps([[i.key, i.etag] for i in files]).encode(), digest_size=8).hexdigest()
    merged = f"{partition.folder}compact-{digest}.parquet"
    note = MergeNote(merged, {info.key: (info.size, info.etag) for info in files})
    MERGE_NOTE.write(lake.store, note_key(partition.generation, table.history, partition.month, digest), note)
    lake.store.write(merged, content, content_type="application/vnd.apache.parquet")
    done.files_merged += len(files)
    done.files_written += 1
    done.rows_read += rows.num_rows
    done.rows_written += kept.num_rows
    done.bytes_read += sum(info.size for info in files)
    done.bytes_written += len(content)


def read_whole(lake: Lake, info: ObjectInfo, done: Compaction) -> pa.Table | None:
    """The rows of a file; None where it is damaged, which ``done`` says then."""
    content = lake.store.read(info.key)
    try:
        return pq.ParquetFile(io.BytesIO(content)).read()
    except UNREADABLE as error:
        log.warning("%s is damaged (%s): %s", info.key, first_line(error), HEALS)
        done.damaged.append(info.key)
        return None


UNREADABLE = (pa.ArrowException, OSError, ValueError)  # what pyarrow raises for what is no whole Parquet file


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).splitlines() or [""])[0]


def damaged_files(lake: Lake) -> Iterator[str]:
    """Keys of the files of the tables in force whose footers cannot be read."""
    for info in lake.store.list(f"{TRANSFORMED}{lake.generation()}/"):
        if info.key.endswith(".parquet"):
            try:
                with lake.store.open(info.key) as stream:
                    pq.ParquetFile(stream)
            except NotFound:  # merged into another file meanwhile
                continue
            except UNREADABLE:
                yield info.key


def as_declared(table: Table, parts: Sequence[pa.Table]) -> list[pa.Table]:
    """Files of any earlier declaration with today's columns; columns that are declared no more are kept behind them."""
    columns = {column.name: column for column in arrow_schema(table)}
    for part in parts:
        for column in part.schema:
            columns.setdefault(column.name, column.with_nullable(True))
    schema = pa.schema(list(columns.values()))
    return [pa.Table.from_arrays([column_of(part, column) for column in schema], schema=schema) for part in parts]


def column_of(part: pa.Table, column: pa.Field) -> pa.ChunkedArray:
    """A column of a file as the type that is declared today; null where the file has none."""
    if column.name not in part.column_names:
        return pa.chunked_array([pa.nulls(part.num_rows, column.type)])
    return part.column(column.name).cast(column.type)


def without_repeats(table: Table, rows: pa.Table) -> pa.Table:
    """Sorted rows without observations that changed nothing."""
    rows = sort_rows(table, rows)
    timed = "observed_at" in rows.column_names
    content = [name for name in rows.column_names if name != "observed_at"]
    same = equal_to_previous(rows, content)
    if timed:
        exact = pc.and_(same, equal_to_previous(rows, ["observed_at"]))
        rows = rows.filter(pc.invert(exact))
        same = equal_to_previous(rows, content)
    elif rows.num_rows:
        return rows.filter(pc.invert(same))
    same_as_next = pa.concat_arrays([same.slice(1), pa.array([False])]) if len(same) else same
    keeps_first = table.shows_history or table is PLAYS  # when the API told a play first and last tells it apart
    dropped = pc.and_(same, same_as_next) if keeps_first else same_as_next
    return rows.filter(pc.invert(dropped))


def equal_to_previous(rows: pa.Table, names: Sequence[str]) -> pa.Array:
    """For each row: whether it says in ``names`` what the row before says; null is equal to null."""
    if rows.num_rows == 0:
        return pa.array([], pa.bool_())
    same = pa.array([True] * (rows.num_rows - 1), pa.bool_())
    for name in names:
        column = comparable(rows.column(name).combine_chunks())
        this, before = column.slice(1), column.slice(0, len(column) - 1)
        both_null = pc.and_(pc.is_null(this), pc.is_null(before))
        same = pc.and_(same, pc.or_(both_null, pc.fill_null(pc.equal(this, before), False)))
    return pa.concat_arrays([pa.array([False]), same])


def comparable(column: pa.Array) -> pa.Array:
    """Lists of texts as one text each: Arrow compares no lists."""
    return pc.binary_join(column, "\x1f") if pa.types.is_list(column.type) else column


def delete_replaced(lake: Lake, merges: Sequence[Merge], files: Sequence[ObjectInfo], before: datetime) -> int:
    """Delete files that were replaced long enough ago and are still what was read; answers how many."""
    deleted = sum(delete_unchanged(lake, key, etag) for key, etag in replaced_before(merges, files, before).items())
    modified = {info.key: info.modified for info in files}
    ended = [each.note.key for each in merges if modified.get(each.merged, each.note.modified) <= before]
    if ended:
        lake.store.delete(ended)
    return deleted


def replaced_before(merges: Sequence[Merge], files: Sequence[ObjectInfo], before: datetime) -> dict[str, str]:
    """Of the files those whose rows a merged file has had since ``before``: what their etags were when it read them."""
    there = {info.key: info for info in files}
    return {
        key: etag
        for each in merges
        if each.merged in there and there[each.merged].modified <= before
        for key, (_, etag) in each.replaces.items()
        if key in there and key != each.merged
    }


def delete_unchanged(lake: Lake, key: str, etag: str) -> bool:
    """Delete a file unless it has been written again since it was read."""
    try:
        lake.store.delete([key], if_match=etag)
    except WriteConflict:
        return False
    return True

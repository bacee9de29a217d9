"""DuckDB, locked down: it reads the lake's tables and nothing else, within bounds of memory, threads and disk.

The guard (``chalicelib.queries.sql``) decides what may run. What is set here holds even if a statement slipped
through it: no file outside the tables' folder, no network, no extension, no environment, no change of these settings,
and only statements that DuckDB's own parser calls a query.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa

from chalicelib.errors import QueryRefused
from chalicelib.files import make_folder
from chalicelib.lake import TRANSFORMED
from chalicelib.queries.embedded.listing import File, FileListing, ListedFiles
from chalicelib.queries.embedded.tasks import Start
from chalicelib.queries.sql import Checked, check
from chalicelib.queries.sql.python_functions import FUNCTIONS, called_in
from chalicelib.queries.sql.types import declared, quote, text
from chalicelib.settings import Settings
from chalicelib.tables import BY_NAME, EXCLUSIONS, PHYSICAL, Column
from chalicelib.views import physical_tables, reads, view_sql

READ_ONLY = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
#: The month of the folder that a file lies in, as Athena shows it in the history of a table.
PARTITION = "nullif(regexp_extract(filename, '/month=([^/]+)/[^/]*$', 1), '')"
#: A digest of the columns of each of some files, in whatever order they lie.
SHAPES = (
    "SELECT file_name, md5(CAST(list_sort(list("
    "concat_ws('|', name, type, converted_type, logical_type, num_children))) AS VARCHAR)) "
    "FROM parquet_schema([{0}]) GROUP BY file_name"
)
SPILL = 4  # times its memory that a query may spill to disk


@dataclass(frozen=True, slots=True)
class DuckBounds:
    """What one session may use: bytes of memory, threads, and a folder to spill to."""

    memory: int
    threads: int
    scratch: Path


class Duck:
    """One connection with a database of its own, for one thread at a time (``interrupt`` may come from any)."""

    def __init__(self, tables: Path, bounds: DuckBounds, listing: FileListing) -> None:
        self.listing = listing
        self._folder = str(tables)
        self._versions: dict[str, str] = {}
        self._without_files: set[str] = set()  # physical tables, as they were read last
        self._shapes: dict[str, dict[File, str]] = {}  # of physical tables: a digest of each file's columns
        self._reader: pa.RecordBatchReader | None = None
        self._registered: set[str] = set()
        self._connection = connect(tables, bounds)

    def refresh(self, names: Sequence[str]) -> int:
        """Make the views of ``names`` (user-facing tables) see the files that are there now; answers their bytes."""
        size = 0
        for name in names:
            for physical in reads(name):
                files = self.listing.files(physical)
                self._refresh_physical(physical, files)
                size += files.bytes
            if name in BY_NAME:
                self._refresh_view(name)
        return size

    def has_other_files(self, names: Sequence[str]) -> bool:
        """Whether the tables' files are others than those that :meth:`refresh` saw."""
        physical = {each for name in names for each in reads(name)}
        return any(self.listing.files(name).version != self._versions.get(name) for name in physical)

    def files(self, names: Sequence[str]) -> list[File]:
        """The files that user-facing tables are read from."""
        return [file for name in names for physical in reads(name) for file in self.listing.files(physical).files]

    def run(self, sql: str, values: Mapping[str, Any]) -> Any:
        """A relation with the rows of one read-only statement."""
        statements = self._connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type not in READ_ONLY:
            raise QueryRefused("only one statement that reads is allowed")
        self._register(sql)
        named = {name: values[name] for name in statements[0].named_parameters}  # a time zone became part of it
        return self._connection.sql(statements[0], params=named or None)

    def _register(self, sql: str) -> None:
        """Have the functions that a statement calls and DuckDB has not."""
        for name in called_in(sql):
            if name not in self._registered:
                added = FUNCTIONS[name]
                self._connection.create_function(name, added.function, list(added.takes), added.gives)
                self._registered.add(name)

    def batches(self, checked: Checked, rows: int) -> Iterable[pa.RecordBatch]:
        """The rows of a checked statement, ``rows`` at a time, as DuckDB makes them."""
        relation = self.run(checked.duckdb, checked.values)
        if checked.kind != "explain":
            self._reader = relation.to_arrow_reader(rows)
            return cast(Iterable[pa.RecordBatch], self._reader)
        plan = "\n".join(str(row[-1]) for row in relation.fetchall()).replace(self._folder, "")
        return cast(Iterable[pa.RecordBatch], pa.table({"Query Plan": plan.splitlines()}).to_batches())

    def finish(self) -> None:
        """Let go of a statement whose rows were not read to their end: the connection runs no other meanwhile."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def columns_of(self, files: ListedFiles) -> list[tuple[str, str]]:
        """Name and DuckDB type of the columns of all files together."""
        return self._described(reading(files))

    def _described(self, source: str) -> list[tuple[str, str]]:
        found = self._connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        return [(str(row[0]), str(row[1])) for row in found if row[0] != "filename"]

    def interrupt(self) -> None:
        """Have the statement going on fail, where DuckDB heeds it. From any thread."""
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()

    def _refresh_physical(self, physical: str, files: ListedFiles) -> None:
        if self._versions.get(physical) != files.version:
            self._replace_view(physical, self._scan(physical, files))
            self._versions[physical] = files.version
            (self._without_files.discard if files.files else self._without_files.add)(physical)

    def _refresh_view(self, name: str) -> None:
        all_kept = EXCLUSIONS.history in self._without_files.intersection(reads(name))
        version = "all kept" if all_kept else "as declared"
        if BY_NAME[name].held:
            version = " ".join([version, *(self._versions[physical] for physical in reads(name))])
        if self._versions.get(name) != version:
            rows = translated_view(name, all_kept)
            self._replace_view(name, self._held(name, rows) if BY_NAME[name].held else rows)
            self._versions[name] = version

    def _held(self, name: str, rows: str) -> str:
        """The query that reads a table's rows from memory, in which they are now; where they do not fit, ``rows``."""
        held = quote(f"{name} in memory")
        self._versions.pop(name, None)  # which is true of what is dropped here
        self._connection.execute(f"DROP TABLE IF EXISTS {held}")
        try:
            self._connection.execute(f"CREATE TABLE {held} AS {rows}")
        except duckdb.OutOfMemoryException:
            return rows
        return f"SELECT * FROM {held}"

    def _scan(self, physical: str, files: ListedFiles) -> str:
        """The query that reads a table's files under its declared columns, whenever they were written."""
        columns = stored_columns(physical)
        source = reading(files, alike=self._are_alike(physical, files))
        found = dict(self._described(source)) if files.files else {}
        if not columns:
            return f"SELECT * EXCLUDE (filename) FROM {source}"
        cells = ", ".join(stored_cell(column, found) for column in columns)
        if not files.files:
            return f"SELECT {cells}, CAST(NULL AS VARCHAR) AS month WHERE false"
        return f"SELECT {cells}, {PARTITION} AS month FROM {source}"

    def _are_alike(self, physical: str, files: ListedFiles) -> bool:
        """Whether all files of a table have the same columns. A file is looked into once."""
        known = self._shapes.get(physical, {})
        new = [file for file in files.files if file not in known]
        found = dict(self._connection.execute(SHAPES.format(paths(new))).fetchall()) if new else {}
        shapes = {file: known.get(file) or str(found[file.path]) for file in files.files}
        self._shapes[physical] = shapes
        return len(set(shapes.values())) == 1

    def _replace_view(self, name: str, query: str) -> None:
        self._connection.execute(f"CREATE OR REPLACE VIEW {quote(name)} AS {query}")


def connect(tables: Path, bounds: DuckBounds) -> duckdb.DuckDBPyConnection:
    """A connection to DuckDB, locked down to the tables' folder and within the bounds."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": str(bounds.threads),
            "memory_limit": f"{bounds.memory}B",
            "temp_directory": str(bounds.scratch),
            "max_temp_directory_size": f"{bounds.memory * SPILL}B",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "false",
            "preserve_insertion_order": "false",
            "disabled_optimizers": "common_subexpressions",  # it takes the failing part of an expression out of TRY
        },
    )
    for statement in (
        "SET TimeZone = 'UTC'",
        "SET parquet_metadata_cache = true",
        f"SET allowed_directories = [{text(str(tables) + os.sep)}]",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(statement)
    return connection


def stored_columns(physical: str) -> tuple[Column, ...]:
    """The declared columns of a physical table; none for one that is not declared."""
    return PHYSICAL[physical].physical_columns if physical in PHYSICAL else ()


def stored_cell(column: Column, found: Mapping[str, str]) -> str:
    """A declared column as the files have it: widened where an older file is narrower, null where it has none."""
    wanted = declared(column.type).duckdb
    if column.name not in found:
        return f"CAST(NULL AS {wanted}) AS {quote(column.name)}"
    if found[column.name] == wanted:
        return quote(column.name)
    return f"CAST({quote(column.name)} AS {wanted}) AS {quote(column.name)}"


def reading(files: ListedFiles, *, alike: bool = False) -> str:
    """DuckDB's call that reads a table's files. Where all of them have the same columns it looks into one for those,
    instead of all of them before each query."""
    how = f"union_by_name = {'false' if alike else 'true'}, hive_partitioning = false, filename = true"
    return f"read_parquet([{paths(typical_first(files.files))}], {how})"


def typical_first(files: Sequence[File]) -> list[File]:
    """Files with one of about their mean size before the others: DuckDB takes each for as long as the first one, and
    chooses by that which side of a join it keeps in memory. (By time, the first is often a month that just began.)"""
    if not files:
        return []
    mean = sum(file.size for file in files) / len(files)
    typical = min(files, key=lambda file: max(file.size, mean) / max(1, min(file.size, mean)))
    return [typical, *(file for file in files if file is not typical)]


def paths(files: Iterable[File]) -> str:
    """The paths of files as the elements of a list."""
    return ", ".join(text(file.path) for file in files)


@cache
def translated_view(name: str, all_kept: bool) -> str:
    """The DuckDB text of a user-facing table's view, whose columns have their names."""
    checked = check(view_sql(BY_NAME[name], files_pruned=True, all_kept=all_kept), physical_tables())
    heads = ", ".join(quote(column.name) for column in checked.columns)
    return f"SELECT * FROM ({checked.duckdb}) AS named({heads})"


def open_duck(start: Start) -> Duck:
    """The database of a process of the engine."""
    from chalicelib.stores import open_lake

    lake = open_lake(start.settings)
    scratch = Path(start.scratch)
    with suppress(OSError):  # where nothing can be written, whoever has to spill fails
        make_folder(scratch.parent)  # DuckDB makes the last folder only
    bounds = DuckBounds(
        memory=memory_share(start.settings), threads=max(1, min(4, os.cpu_count() or 1)), scratch=scratch
    )
    return Duck(Path(lake.store.location(TRANSFORMED)).absolute(), bounds, FileListing(lake))


def memory_share(settings: Settings) -> int:
    """What DuckDB manages of QUERY_MEMORY in each slot; the rest is for what it does not count."""
    total = settings.query_memory
    return max(64 * 10**6, total // max(settings.query_slots, 2))

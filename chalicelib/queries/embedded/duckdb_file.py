"""A DuckDB file of the lake's tables and reports as views, for tools that know DuckDB and nothing of the lake.

The views hold no rows. Each reads the Parquet files that are there when it is asked, of the generation that
``state/generation.json`` names at that moment: a run, a rebuild or a compaction changes what they answer without
anybody writing the file again. Each stands alone, so that it answers whatever the file is attached as.

What a table's files may lack (columns that came later, any file at all) a file without rows has, in
``state/duckdb/``: the pattern that finds a table's files finds it too, because DuckDB refuses one that finds none.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from chalicelib.errors import InvalidRequest, StorageFailed
from chalicelib.files import scratch_folder
from chalicelib.lake import GENERATION_KEY, STATE, Lake
from chalicelib.parquet import arrow_schema, parquet_of_sorted
from chalicelib.queries.embedded.duck import PARTITION
from chalicelib.queries.sql import check
from chalicelib.queries.sql.types import declared, quote, text
from chalicelib.records import RecordKind
from chalicelib.reports.catalogue import reports
from chalicelib.tables import BY_NAME, PHYSICAL
from chalicelib.views import physical_tables, reads, user_tables, view_sql

DEFAULT_NAME = "lake.duckdb"  # in the lake's folder
OLDEST_READER = "v0.10.2"  # of DuckDB: the file is written so that it and all later ones open it
SEEDS = f"{STATE}duckdb/"
WRITTEN_KEY = f"{SEEDS}written.json"
ANY_FOLDER = "[st]*/*"  # of state/duckdb/ and of transformed/<generation>/
ANY_FILE = "[!._]*.parquet"
#: Members of the lake's records, in DuckDB's SQL; its functions for JSON are not part of every build.
GENERATION_NAMED = """regexp_extract(content, '"generation": *"(g[0-9]+)"', 1)"""
MERGED = """regexp_extract(content, '"merged": *"([^"]+)"', 1)"""
REPLACED = """regexp_extract_all(content, '"(transformed/[^"]+)": *\\[', 1)"""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A DuckDB file of this lake: where it lies, and what was written into it."""

    path: str
    relative: bool
    digest: str


@dataclass(frozen=True, slots=True)
class WrittenFiles:
    """Every DuckDB file of this lake."""

    files: list[WrittenFile] = field(default_factory=list)


WRITTEN = RecordKind(WrittenFiles, "the list of DuckDB files", "`lake duckdb` writes one anew", derived=True)


def default_path(lake: Lake) -> Path:
    """Where the file lies unless somebody says otherwise."""
    return folder_of(lake) / DEFAULT_NAME


def write_duckdb(lake: Lake, path: Path, *, relative: bool = False) -> None:
    """Write the file, or write it anew. ``relative``: its views find the lake from the folder in which it lies, which
    has to be the working directory of whoever asks them.

    Raises InvalidRequest for a path at which something else lies, StorageFailed.
    """
    path = path.absolute()
    refuse_others_file(path)
    seed(lake)
    statements = list(file_statements(lake, root_from(lake, path.parent, relative=relative)))
    try:
        write_statements(path, statements, relative=relative)
    except OSError as error:
        raise StorageFailed.not_writable(str(path), error) from error
    note(lake, WrittenFile(str(path), relative, digest_of(statements)))


def keep_current(lake: Lake) -> list[str]:
    """Write those of the lake's DuckDB files anew that would be others now (a newer release, another report); answers
    their paths. What was deleted is forgotten."""
    known = WRITTEN.read(lake.store, WRITTEN_KEY)
    renewed = []
    for each in known.files if known else []:
        path = Path(each.path)
        if not path.is_file():
            forget(lake, each)
            continue
        statements = file_statements(lake, root_from(lake, path.parent, relative=each.relative))
        if digest_of(statements) != each.digest:
            write_duckdb(lake, path, relative=each.relative)
            renewed.append(each.path)
    return renewed


# --- what stands in it --------------------------------------------------------------------------------------------


def file_statements(lake: Lake, root: str) -> Iterator[str]:
    """The statements that make the file's views, with the words of the catalogue."""
    for name, columns in sorted(user_tables().items()):
        yield f"CREATE VIEW {quote(name)} AS {table_query(name, root)}"
        yield f"COMMENT ON VIEW {quote(name)} IS {text(description(name))}"
        for column in columns:
            yield f"COMMENT ON COLUMN {quote(name)}.{quote(column.name)} IS {text(column.description)}"
    yield "CREATE SCHEMA reports"
    for report in reports(lake):
        if not report.parameters and not report.fault:
            name = f"reports.{quote(report.name)}"
            yield f"CREATE VIEW {name} AS {report_query(report.sql, root)}"
            yield f"COMMENT ON VIEW {name} IS {text(report.description)}"


def description(name: str) -> str:
    """What a table is, in a line."""
    return BY_NAME[name].description if name in BY_NAME else f"Every observation behind {PHYSICAL[name].name}"


def table_query(name: str, root: str) -> str:
    """A user-facing table in DuckDB's SQL, which needs nothing else."""
    if name not in BY_NAME:
        return f"{scan(name, root)} AND {not_merged(name, root)}"
    checked = check(view_sql(BY_NAME[name]), physical_tables())
    heads = ", ".join(quote(column.name) for column in checked.columns)
    stored = {physical: scan(physical, root) for physical in reads(name)}
    return f"{with_parts(stored)} SELECT * FROM ({checked.duckdb}) AS named({heads})"


def report_query(sql: str, root: str) -> str:
    """A report without parameters in DuckDB's SQL, which needs nothing else."""
    checked = check(sql, user_tables())
    heads = ", ".join(quote(column.name) for column in checked.columns)
    tables = {name: table_query(name, root) for name in checked.tables}
    return f"{with_parts(tables)} SELECT * FROM ({checked.duckdb}) AS named({heads})"


def with_parts(parts: dict[str, str]) -> str:
    """The ``WITH`` of queries by name. Not materialized: each reader takes the columns that it needs."""
    return "WITH " + ", ".join(f"{quote(name)} AS NOT MATERIALIZED ({query})" for name, query in parts.items())


def scan(physical: str, root: str) -> str:
    """The rows of a physical table's files in the generation in force, under its declared columns."""
    cells = [
        f"CAST({quote(column.name)} AS {declared(column.type).duckdb}) AS {quote(column.name)}"
        for column in PHYSICAL[physical].physical_columns
    ]
    generation = f"regexp_extract({key_of_file(physical)}, '^transformed/(g[0-9]+)/', 1)"
    named = f"SELECT {GENERATION_NAMED} FROM read_text({text(f'{escaped(root)}{GENERATION_KEY}')})"
    return (
        f"SELECT {', '.join(cells)}, {PARTITION} AS month FROM read_parquet({pattern(physical, root)}, "
        f"union_by_name = true, hive_partitioning = false, filename = true) WHERE {generation} = ({named})"
    )


def not_merged(physical: str, root: str) -> str:
    """That a compaction has not put another file in the place of a row's. One row per key hides what is stored twice;
    a table of everything that was observed does not."""
    notes = f"read_text({text(f'{escaped(root)}{STATE}[cd]*/*/*/*.json')})"
    there = f"SELECT {key_of_file(physical, 'file')} FROM glob({pattern(physical, root)})"
    return f"{key_of_file(physical)} NOT IN (SELECT unnest({REPLACED}) FROM {notes} WHERE {MERGED} IN ({there}))"


def pattern(physical: str, root: str) -> str:
    """What finds a physical table's files, as a literal."""
    return text(f"{escaped(root)}{ANY_FOLDER}/{physical}/**/{ANY_FILE}")


def key_of_file(physical: str, path: str = "filename") -> str:
    """The key in the lake of the file at a path, however the system writes paths."""
    return f"regexp_extract(replace({path}, '\\', '/'), 'transformed/g[0-9]+/{physical}/.*$')"


# --- where it finds the lake --------------------------------------------------------------------------------------


def folder_of(lake: Lake) -> Path:
    """The lake's folder."""
    return Path(lake.store.location("")).absolute()


def root_from(lake: Lake, folder: Path, *, relative: bool) -> str:
    """What the paths in the file begin with, a slash at the end."""
    root = Path(os.path.relpath(folder_of(lake), folder)) if relative else folder_of(lake)
    return f"{root.as_posix()}/"


def escaped(path: str) -> str:
    """A path in which nothing is a pattern."""
    return re.sub(r"[*?\[]", r"[\g<0>]", path)


# --- writing ------------------------------------------------------------------------------------------------------


def seed(lake: Lake) -> None:
    """Say which generation is in force, and write for each physical table a file without rows that has all columns."""
    lake.name_generation()
    for name, table in PHYSICAL.items():
        lake.store.write(f"{SEEDS}{name}/columns.parquet", parquet_of_sorted(table, arrow_schema(table).empty_table()))
    lake.store.write(f"{SEEDS}none/none/none.json", b"{}")  # where there are no notes of merges


def write_statements(path: Path, statements: list[str], *, relative: bool) -> None:
    """Run the statements in a new file, which then takes the other's place: who has that open goes on reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with scratch_folder() as folder:  # not beside it: in a path with a question mark DuckDB writes nothing
        file = folder / DEFAULT_NAME
        with duckdb.connect() as connection:
            if relative:  # views are tried when they are made
                connection.execute(f"SET file_search_path = {text(str(path.parent))}")
            connection.execute(f"ATTACH {text(str(file))} AS made (STORAGE_VERSION '{OLDEST_READER}')")
            connection.execute("USE made")
            for statement in statements:
                connection.execute(statement)
            connection.execute("USE memory")
            connection.execute("DETACH made")
        try:
            shutil.copyfile(file, temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def refuse_others_file(path: Path) -> None:
    """Raises InvalidRequest where something lies that is no DuckDB file of a lake."""
    if not path.exists():
        return
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()
    except duckdb.Error as error:
        if "lock" in str(error):  # open for writing in some tool; it is ours to replace all the same
            return
        raise InvalidRequest(f"{path} is no DuckDB file: choose another name") from None
    if tables:
        raise InvalidRequest(f"{path} holds tables of its own ({tables[0][0]}, …): choose another name")


def digest_of(statements: Iterator[str] | list[str]) -> str:
    """Names what is written."""
    return hashlib.sha256("\n".join(statements).encode()).hexdigest()


def note(lake: Lake, written: WrittenFile) -> None:
    """Remember a file, in the place of what was known of that path."""
    WRITTEN.write(lake.store, WRITTEN_KEY, WrittenFiles([*others(lake, written), written]))


def forget(lake: Lake, gone: WrittenFile) -> None:
    """Forget a file."""
    WRITTEN.write(lake.store, WRITTEN_KEY, WrittenFiles(others(lake, gone)))


def others(lake: Lake, written: WrittenFile) -> list[WrittenFile]:
    """The files that are remembered, but for one path."""
    known = WRITTEN.read(lake.store, WRITTEN_KEY)
    return [each for each in (known.files if known else []) if each.path != written.path]

"""The catalogue of the embedded engine: what tables there are, found from the Parquet files alone.

A crawl reads the footers of files that are new since the last one, counts the rows that each table answers, and says
what has changed. What it found lies in ``state/catalogue.json``, its own record in ``state/crawl.json``.
"""

from __future__ import annotations

import fcntl
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from chalicelib.clock import Clock, parse_moment
from chalicelib.errors import CrawlInProgress, LakeError, NotFound, StorageFailed
from chalicelib.filelock import is_held, open_own
from chalicelib.lake import STATE, Lake
from chalicelib.queries.embedded.damage import HEAL, found_damaged
from chalicelib.queries.embedded.listing import File, ListedFiles
from chalicelib.queries.engine import CatalogueTable, Crawl, CrawlState, TableColumn
from chalicelib.records import RecordKind
from chalicelib.tables import BY_NAME, PHYSICAL, Column
from chalicelib.types import declared_name
from chalicelib.views import reads, user_tables

if TYPE_CHECKING:
    from chalicelib.queries.embedded.duck import Duck

LOCK = f"{STATE}crawl.lock"
LETTING_GO = 1.0  # s
ENDED = "the process that crawled ended; start a new crawl"
log = logging.getLogger(__name__)
CatalogueEntry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What a crawl found: the physical tables, the rows that each user-facing table answers, and damaged files."""

    generation: str
    tables: dict[str, CatalogueEntry]
    rows: dict[str, int]
    damaged: dict[str, str] = field(default_factory=dict)


CATALOGUE_KEY, CRAWL_KEY = f"{STATE}catalogue.json", f"{STATE}crawl.json"
CATALOGUE = RecordKind(Found, "what the last crawl found", "crawl again", derived=True)
CRAWL = RecordKind(Crawl, "the record of a crawl", "crawl again", derived=True)


class Catalogue:
    """Crawls, and answers from the last crawl and the declarations."""

    def __init__(self, lake: Lake, describe: Callable[[dict[str, CatalogueEntry]], Found], clock: Clock) -> None:
        self._lake = lake
        self._describe = describe
        self._clock = clock
        self._threads: list[threading.Thread] = []

    def start_crawl(self) -> Crawl:
        """Crawl in a thread of its own. Raises CrawlInProgress while another crawl goes on, in any process."""
        lock = self._take_lock()
        crawl = Crawl(f"{self._clock():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}", CrawlState.RUNNING, self._clock())
        try:
            self._record(crawl)
        except LakeError:
            lock.close()
            raise
        thread = threading.Thread(target=self._crawl, args=(crawl, lock), name="crawl", daemon=True)
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]
        thread.start()
        return crawl

    def latest_crawl(self) -> Crawl | None:
        crawl = CRAWL.read(self._lake.store, CRAWL_KEY)
        if crawl and crawl.state == CrawlState.RUNNING and not is_held(self._lock_path()):
            crawl = CRAWL.read(self._lake.store, CRAWL_KEY)  # it may have ended between the two looks
            if crawl and crawl.state == CrawlState.RUNNING:
                return replace(crawl, state=CrawlState.FAILED, error=ENDED)
        return crawl

    def tables(self) -> list[CatalogueTable]:
        """Every table that a query may name, without its partitions."""
        found = self.found()
        return [replace(catalogued(name, found), partitions=()) for name in sorted(user_tables())]

    def table(self, name: str) -> CatalogueTable:
        if name not in user_tables():
            raise NotFound(f"there is no table {name}; GET /tables lists them", table=name)
        return catalogued(name, self.found())

    def close(self) -> None:
        for thread in self._threads:
            thread.join(10)

    def found(self) -> Found | None:
        """What the last crawl found."""
        return CATALOGUE.read(self._lake.store, CATALOGUE_KEY)

    def _crawl(self, crawl: Crawl, lock: IO[str]) -> None:
        with lock:
            try:
                done = self._crawled(crawl)
            except LakeError as error:
                done = replace(crawl, state=CrawlState.FAILED, error=error.message)
            except Exception as error:
                log.exception("the crawl failed")
                done = replace(crawl, state=CrawlState.FAILED, error=str(error))
            try:
                self._record(replace(done, ended_at=self._clock()))
            except LakeError as error:  # a full disk: who looks sees that the process let go
                log.error("the end of crawl %s cannot be recorded: %s", crawl.crawl_id, error.message)

    def _crawled(self, crawl: Crawl) -> Crawl:
        before = self.found()
        tables = before.tables if before else {}
        after = self._describe(tables)
        CATALOGUE.write(self._lake.store, CATALOGUE_KEY, after)
        changes = tuple(differences(tables, after.tables))
        if after.damaged:
            listed = "; ".join(f"{key}: {reason}" for key, reason in after.damaged.items())
            error = f"files are damaged ({listed}): {HEAL}"
            return replace(crawl, state=CrawlState.FAILED, changes=changes, error=error)
        return replace(crawl, state=CrawlState.SUCCEEDED, changes=changes)

    def _record(self, crawl: Crawl) -> None:
        CRAWL.write(self._lake.store, CRAWL_KEY, crawl)

    def _lock_path(self) -> Path:
        return Path(self._lake.store.location(LOCK))

    def _take_lock(self) -> IO[str]:
        path = self._lock_path()
        try:
            self._lake.folder(STATE)
            handle = open_own(path)
        except OSError as error:
            raise StorageFailed.not_writable(str(path.parent), error) from error
        deadline = time.monotonic() + LETTING_GO
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._is_running() or time.monotonic() > deadline:
                    handle.close()
                    raise CrawlInProgress("a crawl is going on; GET /crawls/latest shows it") from None
                time.sleep(0.005)  # it has said that it ended and is about to let go
            else:
                return handle

    def _is_running(self) -> bool:
        crawl = CRAWL.read(self._lake.store, CRAWL_KEY)
        return crawl is not None and crawl.state == CrawlState.RUNNING


# --- in a process of its own ---------------------------------------------------------------------------------------


def describe_all(duck: Duck, before: Mapping[str, CatalogueEntry]) -> Found:
    """Every physical table as its files have it, and the rows of every user-facing one. What is damaged is named; of
    its table all stays as it was."""
    broken = {name: found_damaged(duck.listing.files(name).files) for name in duck.listing.names()}
    tables = {
        name: before.get(name, {}) if found else describe(duck, name, before.get(name, {}))
        for name, found in broken.items()
    }
    counts = {
        name: count(duck, name) for name in user_tables() if not any(broken.get(physical) for physical in reads(name))
    }
    return Found(
        generation=duck.listing.generation(),
        tables={name: table for name, table in tables.items() if table.get("files")},
        rows=counts,
        damaged={each.key: each.reason for found in broken.values() for each in found},
    )


def describe(duck: Duck, name: str, before: CatalogueEntry) -> CatalogueEntry:
    """A physical table as its files have it."""
    from chalicelib.queries.sql.types import of_duckdb

    files = duck.listing.files(name)
    if files.version == before.get("version"):
        return before
    columns = [[column, str(of_duckdb(kind))] for column, kind in duck.columns_of(files)] if files.files else []
    known = dict(before.get("footers", []))
    footers = {key_of(file): known.get(key_of(file)) or rows_in(file) for file in files.files}
    return {
        "version": files.version,
        "columns": columns,
        "files": len(files.files),
        "bytes": files.bytes,
        "rows": sum(footers.values()),
        "newest": files.newest.isoformat() if files.newest else None,
        "partitions": partitions(files, footers),
        "footers": list(footers.items()),
    }


def catalogued(name: str, found: Found | None) -> CatalogueTable:
    """A user-facing table: columns and words from the declaration, numbers from the last crawl."""
    table = BY_NAME.get(name) or PHYSICAL[name]
    physical = (found.tables if found else {}).get(reads(name)[0] if name in BY_NAME else name, {})
    description = table.description if name in BY_NAME else f"Every observation behind {table.name}"
    none = 0 if found else None
    return CatalogueTable(
        name=name,
        description=description,
        columns=tuple(described(column) for column in user_tables()[name]),
        rows=found.rows.get(name) if found and physical else none,
        bytes=physical.get("bytes", none),
        files=physical.get("files", none),
        partitions=tuple(physical.get("partitions", ())),
        newest=parse_moment(physical.get("newest")),
    )


def described(column: Column) -> TableColumn:
    """A column as the catalogue tells it."""
    return TableColumn(column.name, declared_name(column.type), column.description)


def count(duck: Duck, name: str) -> int:
    """Rows of a table as queries see it."""
    from chalicelib.queries.sql.types import quote

    duck.refresh([name])
    return int(duck.run(f"SELECT count(*) FROM {quote(name)}", {}).fetchall()[0][0])


def rows_in(file: File) -> int:
    """The number of rows in a file, from its footer."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file.path).num_rows)


def key_of(file: File) -> str:
    """What tells a file apart from itself after a change."""
    return f"{file.path}:{file.size}:{file.modified}"


def partitions(files: ListedFiles, footers: Mapping[str, int]) -> list[CatalogueEntry]:
    """The months of a table: rows, bytes and files of each."""
    found: dict[str, CatalogueEntry] = {}
    for file in files.files:
        month = file.partition.get("month", "")
        part = found.setdefault(month, {"month": month, "rows": 0, "bytes": 0, "files": 0})
        part["rows"] += footers[key_of(file)]
        part["bytes"] += file.size
        part["files"] += 1
    return [found[month] for month in sorted(found)]


def differences(before: Mapping[str, CatalogueEntry], after: Mapping[str, CatalogueEntry]) -> Iterator[CatalogueEntry]:
    """What a crawl found to be other than the one before."""
    for name in sorted((before.keys() | after.keys()) - {""}):
        if name not in before:
            yield {"change": "table_added", "table": name, "files": after[name]["files"], "rows": after[name]["rows"]}
        elif name not in after:
            yield {"change": "table_removed", "table": name}
        else:
            yield from column_changes(name, before[name]["columns"], after[name]["columns"])
            yield from partition_changes(name, before[name]["partitions"], after[name]["partitions"])


def column_changes(
    table: str, before: Sequence[tuple[str, str]], after: Sequence[tuple[str, str]]
) -> Iterator[CatalogueEntry]:
    """What changed between two lists of columns, as a crawl tells it."""
    old, new = dict(before), dict(after)
    for name, kind in new.items():
        if name not in old:
            yield {"change": "column_added", "table": table, "column": name, "type": kind}
        elif old[name] != kind:
            yield {"change": "column_changed", "table": table, "column": name, "type": kind, "was": old[name]}
    for name in old:
        if name not in new:
            yield {"change": "column_removed", "table": table, "column": name}


def partition_changes(
    table: str, before: Sequence[CatalogueEntry], after: Sequence[CatalogueEntry]
) -> Iterator[CatalogueEntry]:
    """What changed between two lists of partitions, as a crawl tells it."""
    old, new = {part["month"]: part for part in before}, {part["month"]: part for part in after}
    for month, part in new.items():
        if month not in old:
            yield {"change": "partition_added", "table": table, "month": month, "rows": part["rows"]}
        elif old[month] != part:
            grown = part["rows"] - old[month]["rows"]
            yield {"change": "partition_changed", "table": table, "month": month, "rows": part["rows"], "more": grown}
    for month in old:
        if month not in new:
            yield {"change": "partition_removed", "table": table, "month": month}

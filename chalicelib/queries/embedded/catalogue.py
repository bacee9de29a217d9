"""The catalogue of the embedded engine: what tables there are, found from the Parquet files alone.

A crawl reads the footers of files that are new since the last one, counts the rows that each table answers, and says
what has changed. What it found lies in ``state/catalogue.json``, its own record in ``state/crawl.json``.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

from chalicelib.clock import Clock, parse_moment, parse_rfc3339
from chalicelib.errors import CrawlInProgress, LakeError, NotFound, StorageFailed
from chalicelib.filelock import is_held
from chalicelib.lake import STATE, Lake
from chalicelib.queries.embedded.duck import Duck
from chalicelib.queries.embedded.listing import File, Listing, TableFiles
from chalicelib.queries.engine import CatalogueTable, Crawl, TableColumn
from chalicelib.queries.sql.types import declared, of_duckdb, quote
from chalicelib.tables import BY_NAME, PHYSICAL, Column
from chalicelib.views import reads, user_tables

CATALOGUE = "catalogue.json"
CRAWL = "crawl.json"
LOCK = "crawl.lock"
LETTING_GO = 1.0  # s
Document = dict[str, Any]


class Catalogue:
    """Crawls, and answers from the last crawl and the declarations."""

    def __init__(self, lake: Lake, listing: Listing, open_session: Callable[[], Duck], clock: Clock) -> None:
        self._lake = lake
        self._listing = listing
        self._open_session = open_session
        self._clock = clock
        self._threads: list[threading.Thread] = []

    def start_crawl(self) -> Crawl:
        """Crawl in a thread of its own. Raises CrawlInProgress while another crawl goes on, in any process."""
        lock = self._take_lock()
        crawl = Crawl(f"{self._clock():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}", "running", self._clock())
        self._record(crawl)
        thread = threading.Thread(target=self._crawl, args=(crawl, lock), name="crawl", daemon=True)
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]
        thread.start()
        return crawl

    def latest_crawl(self) -> Crawl | None:
        document, _ = self._lake.read_state(CRAWL)
        if document is None:
            return None
        crawl = read_crawl(document)
        if crawl.state == "running" and not is_held(self._lock_path()):
            document, _ = self._lake.read_state(CRAWL)  # it may have ended between the two looks
            crawl = read_crawl(document) if document else crawl
            if crawl.state == "running":
                return replace(crawl, state="failed", error="the process that crawled ended; start a new crawl")
        return crawl

    def tables(self) -> list[CatalogueTable]:
        """Every table that a query may name, without its partitions."""
        found = self._found()
        return [replace(catalogued(name, found), partitions=()) for name in sorted(user_tables())]

    def table(self, name: str) -> CatalogueTable:
        if name not in user_tables():
            raise NotFound(f"there is no table {name}; GET /tables lists them", table=name)
        return catalogued(name, self._found())

    def close(self) -> None:
        for thread in self._threads:
            thread.join(10)

    def _found(self) -> dict[str, Document]:
        document, _ = self._lake.read_state(CATALOGUE)
        return tables_of(document)

    def _crawl(self, crawl: Crawl, lock: TextIO) -> None:
        try:
            changes = self._look()
            done = replace(crawl, state="succeeded", ended_at=self._clock(), changes=tuple(changes))
        except Exception as error:
            message = error.message if isinstance(error, LakeError) else str(error)
            done = replace(crawl, state="failed", ended_at=self._clock(), error=message)
        try:
            self._record(done)
        finally:
            lock.close()

    def _look(self) -> list[Document]:
        before = self._found()
        session = self._open_session()
        try:
            after = {name: self._describe(session, name, before.get(name, {})) for name in self._listing.names()}
            after = {name: table for name, table in after.items() if table["files"]}
            counts = {name: count(session, name) for name in user_tables()}
        finally:
            session.close()
        document = {"generation": self._lake.generation(), "tables": after, "rows": counts}
        self._lake.store.write(STATE + CATALOGUE, json.dumps(document).encode(), content_type="application/json")
        return list(differences(before, after))

    def _describe(self, session: Duck, name: str, before: Document) -> Document:
        """A physical table as its files have it."""
        files = self._listing.files(name)
        if files.version == before.get("version"):
            return before
        columns = [[column, str(of_duckdb(kind))] for column, kind in session.columns_of(files)] if files.files else []
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

    def _record(self, crawl: Crawl) -> None:
        document = asdict(crawl)
        document["started_at"] = crawl.started_at.isoformat()
        document["ended_at"] = crawl.ended_at.isoformat() if crawl.ended_at else None
        self._lake.store.write(STATE + CRAWL, json.dumps(document).encode(), content_type="application/json")

    def _lock_path(self) -> Path:
        return Path(self._lake.store.location(STATE + LOCK))

    def _take_lock(self) -> TextIO:
        path = self._lock_path()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = path.open("w")
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
        document, _ = self._lake.read_state(CRAWL)
        return document is not None and document["state"] == "running"


def catalogued(name: str, found: Mapping[str, Document]) -> CatalogueTable:
    """A user-facing table: columns and words from the declaration, numbers from the last crawl."""
    table = BY_NAME.get(name) or PHYSICAL[name]
    physical = found.get(reads(name)[0] if name in BY_NAME else name, {})
    description = table.description if name in BY_NAME else f"Every observation behind {table.name}"
    return CatalogueTable(
        name=name,
        description=description,
        columns=tuple(described(column) for column in user_tables()[name]),
        rows=found.get("", {}).get(name) if physical else (0 if "" in found else None),
        bytes=physical.get("bytes", 0 if "" in found else None),
        files=physical.get("files", 0 if "" in found else None),
        partitions=tuple(physical.get("partitions", ())),
        newest=parse_moment(physical.get("newest")),
    )


def described(column: Column) -> TableColumn:
    return TableColumn(column.name, str(declared(column.type)), column.description)


def tables_of(document: Mapping[str, Any] | None) -> dict[str, Document]:
    """The physical tables of a catalogue; under '' the rows that each user-facing table answers."""
    if document is None:
        return {}
    return {**document["tables"], "": document["rows"]}


def count(session: Duck, name: str) -> int:
    session.refresh([name])
    return int(session.run(f"SELECT count(*) FROM {quote(name)}", {}).fetchall()[0][0])


def rows_in(file: File) -> int:
    """The number of rows in a file, from its footer."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file.path).num_rows)


def key_of(file: File) -> str:
    return f"{file.path}:{file.size}:{file.modified}"


def partitions(files: TableFiles, footers: Mapping[str, int]) -> list[Document]:
    found: dict[str, Document] = {}
    for file in files.files:
        month = file.partition.get("month", "")
        part = found.setdefault(month, {"month": month, "rows": 0, "bytes": 0, "files": 0})
        part["rows"] += footers[key_of(file)]
        part["bytes"] += file.size
        part["files"] += 1
    return [found[month] for month in sorted(found)]


def differences(before: Mapping[str, Document], after: Mapping[str, Document]) -> Iterator[Document]:
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
) -> Iterator[Document]:
    old, new = dict(before), dict(after)
    for name, kind in new.items():
        if name not in old:
            yield {"change": "column_added", "table": table, "column": name, "type": kind}
        elif old[name] != kind:
            yield {"change": "column_changed", "table": table, "column": name, "type": kind, "was": old[name]}
    for name in old:
        if name not in new:
            yield {"change": "column_removed", "table": table, "column": name}


def partition_changes(table: str, before: Sequence[Document], after: Sequence[Document]) -> Iterator[Document]:
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


def read_crawl(document: Mapping[str, Any]) -> Crawl:
    fields = dict(document)
    return Crawl(
        **{
            **fields,
            "started_at": parse_rfc3339(fields["started_at"]),
            "ended_at": parse_moment(fields["ended_at"]),
            "changes": tuple(fields["changes"]),
        }
    )

"""The record of queries, in ``results/<hour>/``: one small JSON file a query, one Parquet file a result.

Every process that opens the lake can read every query. Whether the process that runs a query still lives is known
by a lock that the process holds for as long as it lives, so that a query of a dead one is never "running" for ever.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import IO

from chalicelib.clock import Clock
from chalicelib.errors import NotFound, RecordDamaged, StorageFailed
from chalicelib.filelock import is_held, open_own
from chalicelib.lake import RESULTS, Lake
from chalicelib.queries.engine import Query, QueryState
from chalicelib.records import RecordKind
from chalicelib.stores.folder import open_file

QUERY_ID = re.compile(r"\d{8}T\d{2}\d{10}Z-[0-9a-f]{16}")
OWNERS = "owners"
SCRATCH = ".spill"
log = logging.getLogger(__name__)
LEFT_BEHIND = {"code": "query_failed", "message": "the process that ran it ended; start it again", "details": {}}


@dataclass(frozen=True, slots=True)
class QueryRecord:
    """A query and what only the engine needs to know of it."""

    query: Query
    owner: str
    result: str | None = None  # id of the query whose Parquet file holds the rows


QUERY_RECORD = RecordKind(QueryRecord, "the record of a query", "run the query again; this record goes with its day")


class QueryBook:
    """Reads and writes the records. Writing is atomic but not synced: a query lost with the machine is asked again.

    ``room`` makes room for so many bytes of a record.
    """

    def __init__(self, lake: Lake, kept: timedelta, clock: Clock, room: Callable[[int], None] = lambda _: None) -> None:
        self._lake = lake
        self._room = room
        self._folder = Path(lake.store.location(RESULTS)).absolute()
        self._kept = kept
        self._clock = clock
        self.owner = secrets.token_hex(8)
        self._lock: IO[str] | None = None
        self._claiming = threading.Lock()

    def new_id(self) -> str:
        """Sorts by time; the rest cannot be guessed."""
        moment = self._clock()
        return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond:06d}Z-{secrets.token_hex(8)}"

    def write(self, entry: QueryRecord) -> None:
        """Write the record. Raises StorageFailed."""
        path = self.path(entry.query.query_id, "json")
        scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            if self._lock is None:
                self._claim()
            content = QUERY_RECORD.encode(entry)
            self._room(len(content))
            write_new(scratch, content)
            scratch.replace(path)
        except (OSError, StorageFailed) as error:
            with suppress(OSError):
                scratch.unlink(missing_ok=True)
            why = error.message if isinstance(error, StorageFailed) else error.strerror
            raise StorageFailed(f"cannot write the query's record to {self._folder}: {why}") from error

    def read(self, query_id: str) -> QueryRecord:
        """The record of a query, as it stands. Raises NotFound when it is unknown or has expired, RecordDamaged."""
        path = self.path(query_id, "json")
        try:
            with open_file(path) as stream:
                content = stream.read()
        except FileNotFoundError:
            raise unknown(query_id) from None
        entry = QUERY_RECORD.decode(f"{RESULTS}{path.parent.name}/{path.name}", content)
        if entry.query.submitted_at + self._kept < self._clock():
            raise unknown(query_id)
        if not entry.query.state.ended and not self.alive(entry.owner):
            return replace(entry, query=replace(entry.query, state=QueryState.FAILED, error=LEFT_BEHIND))
        return entry

    def newest(self, before: str | None) -> Iterator[QueryRecord]:
        """Records newest first, from the one before ``before`` on; a damaged one is left out, and the log says so."""
        for hour in sorted(self._hours(), reverse=True):
            names = sorted((entry.name for entry in os.scandir(hour) if entry.name.endswith(".json")), reverse=True)
            for name in names:
                query_id = name.removesuffix(".json")
                if QUERY_ID.fullmatch(query_id) and (before is None or query_id < before):
                    try:
                        yield self.read(query_id)
                    except NotFound:
                        continue
                    except RecordDamaged as error:
                        log.warning("left out of the list: %s", error.message)

    def path(self, query_id: str, suffix: str) -> Path:
        """Where a query's record (``json``) or rows (``parquet``, ``csv``) lie."""
        if not QUERY_ID.fullmatch(query_id):
            raise unknown(query_id)
        return self._folder / query_id[:11] / f"{query_id}.{suffix}"

    def prepare(self, query_id: str) -> None:
        """Make the folder that a query's files go to."""
        self._lake.folder(f"{RESULTS}{self.path(query_id, 'json').parent.name}")

    def ask_to_cancel(self, query_id: str) -> None:
        """Leave word for the process that runs the query."""
        self.path(query_id, "cancel").touch(0o600)

    def asked_to_cancel(self, query_id: str) -> bool:
        return self.path(query_id, "cancel").exists()

    def alive(self, owner: str) -> bool:
        """Whether the process that took this name still holds its lock."""
        return owner == self.owner or is_held(self._folder / OWNERS / owner)

    def expire(self) -> None:
        """Delete what is older than results are kept, and what processes that have ended left."""
        oldest = self._clock() - self._kept - timedelta(hours=1)
        for hour in self._hours():
            if hour.name < f"{oldest:%Y%m%dT%H}":
                shutil.rmtree(hour, ignore_errors=True)
        for name in list_names(self._folder / OWNERS):
            with suppress(OSError):  # what a person put there and is no file
                if name != self.owner and not self.alive(name):
                    (self._folder / OWNERS / name).unlink(missing_ok=True)
                    shutil.rmtree(self.scratch(name), ignore_errors=True)

    def scratch(self, owner: str) -> Path:
        """Where a process's queries spill what does not fit in memory."""
        return self._folder / SCRATCH / owner

    def close(self) -> None:
        if self._lock:
            shutil.rmtree(self.scratch(self.owner), ignore_errors=True)
            (self._folder / OWNERS / self.owner).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _claim(self) -> None:
        """Hold this process's name, once, whichever thread comes first."""
        with self._claiming:
            if self._lock is not None:
                return
            folder = self._lake.folder(f"{RESULTS}{OWNERS}")
            scratch = self._folder / f".{self.owner}"
            handle = open_own(scratch)
            fcntl.flock(handle, fcntl.LOCK_EX)
            scratch.rename(folder / self.owner)  # seen unlocked, even for a moment, it would pass for a dead one's
            self._lock = handle

    def _hours(self) -> list[Path]:
        return [self._folder / name for name in list_names(self._folder) if re.fullmatch(r"\d{8}T\d{2}", name)]


def list_names(folder: Path) -> list[str]:
    """Names in a folder; none where there is no folder."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def write_new(path: Path, content: bytes) -> None:
    """Write a new file that its owner alone can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)


def unknown(query_id: str) -> NotFound:
    """The error for a query that the book does not hold."""
    return NotFound(
        f"there is no query {query_id}, or its result has expired; GET /queries lists them", query_id=query_id
    )

"""The queries of this process in memory, in front of the record on disk.

A query that ends at once is written once. One that goes on is written as soon as it is older than ``WRITE_AFTER``, so
that other processes see it; what has ended is always written.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta

from chalicelib.clock import Clock
from chalicelib.errors import StorageFailed
from chalicelib.queries.embedded.book import QueryBook, QueryRecord
from chalicelib.queries.engine import Query

WRITE_AFTER = 0.1  # s
REMEMBERED = 1_000  # queries kept in memory…
REMEMBERED_BYTES = 16_000_000  # …and of their texts and columns
COLUMN = 300  # bytes that a column takes
log = logging.getLogger(__name__)


class Ledger:
    """Safe for threads."""

    def __init__(self, book: QueryBook, kept: timedelta, clock: Clock) -> None:
        self._book = book
        self._kept = kept
        self._clock = clock
        self._entries: dict[str, QueryRecord] = {}
        self._bytes = 0  # of the entries
        self._unwritable = False
        self._unwritten: dict[str, float] = {}  # since when they have been as they are
        self._seen: set[str] = set()  # going on, and written already
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def note(self, query: Query, result: str | None = None) -> Query:
        """Remember a query as it is now."""
        entry = QueryRecord(query, self._book.owner, result)
        with self._lock:
            self._forget(query.query_id)
            self._entries[query.query_id] = entry
            self._bytes += size(query)
            if not query.state.ended:
                self._unwritten[query.query_id] = time.monotonic()
                return query
            self._unwritten.pop(query.query_id, None)
            seen = query.query_id in self._seen
            self._seen.discard(query.query_id)
            self._forget_oldest()
        if seen:  # write_late may be writing an earlier state this moment: the last word must be this one
            with self._writing:
                self._write(entry)
        else:
            self._write(entry)
        return query

    def entry(self, query_id: str) -> QueryRecord:
        """A query as it stands, of this process or another. Raises NotFound."""
        with self._lock:
            entry = self._entries.get(query_id)
        if entry is None or (entry.query.state.ended and entry.query.submitted_at + self._kept < self._clock()):
            return self._book.read(query_id)
        return entry

    def drop(self, query_id: str) -> None:
        """Forget a query that never was."""
        with self._lock:
            self._forget(query_id)
            self._unwritten.pop(query_id, None)
            self._seen.discard(query_id)

    def write_late(self, older_than: float = WRITE_AFTER) -> None:
        """Write what has been going on for a while, as it stands."""
        with self._writing:
            with self._lock:
                moment = time.monotonic()
                late = [name for name, since in self._unwritten.items() if moment - since >= older_than]
                entries = [self._entries[name] for name in late]
                self._seen.update(late)
                for name in late:
                    del self._unwritten[name]
            for entry in entries:
                self._write(entry)

    def _write(self, entry: QueryRecord) -> None:
        """A record that cannot be written (a full disk) stays in memory: who asked here is still answered. That is said
        once, until one can be written again."""
        try:
            self._book.write(entry)
        except StorageFailed as error:
            if not self._unwritable:
                log.warning("%s", error.message)
            self._unwritable = True
        else:
            self._unwritable = False

    def _forget_oldest(self) -> None:
        """Of those that have ended: their records lie on disk."""
        if len(self._entries) > REMEMBERED or self._bytes > REMEMBERED_BYTES:
            for query_id in [name for name, entry in self._entries.items() if entry.query.state.ended]:
                if len(self._entries) <= REMEMBERED and self._bytes <= REMEMBERED_BYTES:
                    return
                self._forget(query_id)

    def _forget(self, query_id: str) -> None:
        if entry := self._entries.pop(query_id, None):
            self._bytes -= size(entry.query)


def size(query: Query) -> int:
    """About how many bytes a query takes in memory."""
    return len(query.sql) + COLUMN * len(query.columns)

"""The embedded engine: DuckDB over the Parquet files of a lake in a folder, for one process or several.

Opening it starts nothing; the first query opens a database and a thread. Results are Parquet files in ``results/``,
written as rows come, read a page at a time; every process that opens the lake sees every query.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from chalicelib.clock import Clock, now
from chalicelib.errors import InvalidRequest, LakeError, NotFound, PageTokenInvalid, QueryFailed
from chalicelib.lake import TRANSFORMED, Lake
from chalicelib.queries.embedded.book import Entry, QueryBook
from chalicelib.queries.embedded.catalogue import Catalogue
from chalicelib.queries.embedded.duck import Bounds, Duck, Scan
from chalicelib.queries.embedded.ledger import Ledger
from chalicelib.queries.embedded.listing import Listing
from chalicelib.queries.embedded.results import (
    FETCH_ROWS,
    LARGEST_PAGE,
    Caps,
    Written,
    page,
    page_token,
    pages,
    token_start,
    write_result,
)
from chalicelib.queries.embedded.slots import Job, Slots
from chalicelib.queries.engine import CatalogueTable, Crawl, Download, Query, QueryState, RowPage
from chalicelib.queries.sql import Checked, check
from chalicelib.settings import Settings
from chalicelib.tables import Column
from chalicelib.views import reads, user_tables

SWEEP_EVERY = 300.0  # s between two looks for expired results
LONGEST_SLEEP = 0.1  # s between two looks at a query of another process
MEMORY_AROUND = 1_000_000_000  # bytes that the process may hold besides twice QUERY_MEMORY
log = logging.getLogger(__name__)
LOST_FILES = 5  # times a query is begun again because a compaction took its files away


class EmbeddedEngine:
    """The Engine of engine.py over a folder. ``clock`` gives the times in records."""

    def __init__(self, settings: Settings, lake: Lake, *, clock: Clock = now) -> None:
        self._settings = settings
        self._lake = lake
        self._clock = clock
        self._listing = Listing(lake)
        self._scans: dict[str, Scan] = {}
        kept = timedelta(hours=settings.results_kept)
        self._book = QueryBook(lake, kept, clock)
        self._ledger = Ledger(self._book, kept, clock)
        most_memory = MEMORY_AROUND + 2 * settings.query_memory
        self._slots = Slots(
            settings.query_slots,
            settings.query_queue,
            self._open_session,
            overloaded=lambda: resident_bytes() > most_memory,
            tick=lambda: self._ledger.write_late(),
        )
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._reusable: dict[tuple[Any, ...], tuple[str, float]] = {}
        self._swept = float("-inf")
        self._catalogue = Catalogue(lake, self._listing, self._open_session, clock)

    # The catalogue

    def start_crawl(self) -> Crawl:
        return self._catalogue.start_crawl()

    def latest_crawl(self) -> Crawl | None:
        return self._catalogue.latest_crawl()

    def tables(self) -> list[CatalogueTable]:
        return self._catalogue.tables()

    def table(self, name: str) -> CatalogueTable:
        return self._catalogue.table(name)

    def publish(self, generation: str) -> None:
        self._lake.publish_generation(generation)

    # Queries

    def start_query(
        self, sql: str, parameters: Sequence[Any] = (), *, client: str = "", max_rows: int | None = None
    ) -> Query:
        """Check ``sql``, then answer from an earlier result or queue it.

        Raises QueryRefused, and EngineBusy when the queue is full.
        """
        checked = check(sql, self._known_tables(), parameters)
        most_rows = min(max_rows or self._settings.query_rows, self._settings.query_rows)
        self._sweep()
        query = Query(self._book.new_id(), sql, QueryState.QUEUED, self._clock(), cost_usd=0.0, columns=checked.columns)
        self._book.prepare(query.query_id)
        key = self._reuse_key(checked, tuple(parameters), most_rows)
        if reused := self._earlier(key, query):
            return self._ledger.note(reused.query, reused.result)
        job = Job(
            query.query_id,
            client,
            run=partial(self._run, checked=checked, most_rows=most_rows, key=key),
            fail=partial(self._failed, query.query_id),
            seconds=self._settings.query_seconds,
            wanted=lambda: not self._book.asked_to_cancel(query.query_id),
        )
        self._ledger.note(query)
        with self._lock:
            self._jobs[query.query_id] = job
        try:
            self._slots.submit(job)
        except LakeError:
            self._ledger.drop(query.query_id)
            with self._lock:
                del self._jobs[query.query_id]
            raise
        return query

    def query(self, query_id: str) -> Query:
        return self._ledger.entry(query_id).query

    def queries(self, limit: int = 50, page_token: str | None = None) -> tuple[list[Query], str | None]:
        if page_token is not None and not re.fullmatch(r"[\w-]{1,64}", page_token):
            raise PageTokenInvalid("the page token is not one of ours")
        self._ledger.write_late(older_than=0)
        found: list[Query] = []
        for entry in self._book.newest(page_token):
            if len(found) == limit:
                return found, found[-1].query_id
            found.append(entry.query)
        return found, None

    def cancel(self, query_id: str) -> Query:
        """Stop a query that has not ended; one that has stays as it is."""
        entry = self._ledger.entry(query_id)
        if entry.query.state.ended:
            return entry.query
        with self._lock:
            job = self._jobs.get(query_id)
        if job is None:
            self._book.ask_to_cancel(query_id)
            return self.wait(query_id, 2)
        if self._slots.stop(job, "cancelled"):
            self._end(query_id, QueryState.CANCELLED)
        return self.wait(query_id, 2)

    def wait(self, query_id: str, seconds: float) -> Query:
        entry = self._ledger.entry(query_id)
        with self._lock:
            job = self._jobs.get(query_id)
        if job is not None:
            job.done.wait(seconds)
            return self._ledger.entry(query_id).query
        deadline, pause = time.monotonic() + seconds, 0.01
        while not entry.query.state.ended and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, pause))
            pause = min(LONGEST_SLEEP, pause * 1.5)
            entry = self._ledger.entry(query_id)
        return entry.query

    # Rows

    def rows(self, query_id: str, limit: int = 1000, page_token: str | None = None) -> RowPage:
        entry, path = self._result(query_id)
        query, total = entry.query, entry.query.rows or 0
        start = token_start(page_token, query_id, total) if page_token else 0
        rows = page(path, query.columns, start, max(1, min(limit, LARGEST_PAGE)))
        end = start + len(rows)
        return RowPage(query.columns, rows, next_token(query_id, end, total), query.truncated)

    def all_rows(self, query_id: str) -> Iterator[RowPage]:
        entry, path = self._result(query_id)
        yield from pages(path, entry.query.columns, entry.query.truncated)

    def download(self, query_id: str, format: str) -> Download:
        entry, path = self._result(query_id)
        if format == "parquet":
            return Download("application/vnd.apache.parquet", f"{query_id}.parquet", path=path)
        if format != "csv":
            raise InvalidRequest(f"a result is downloaded as csv or parquet, not {format}")
        target = self._book.path(query_id, "csv")
        if not target.exists():
            from chalicelib.queries.embedded.csv_file import write_csv  # Arrow's functions: a tenth of a second, once

            write_csv(path, target, entry.query.columns)
        return Download("text/csv; charset=utf-8", f"{query_id}.csv", path=target)

    def warm_up(self, tables: Sequence[str]) -> None:
        """Open a session and let it read the footers of the tables' files; the first query would wait for both."""

        def failed(error: Exception) -> None:
            if not job.stopped:  # closing the engine is no failure
                log.warning("the engine could not be warmed up: %s", error)

        run = partial(self._look_at, tables=tables)
        job = Job("warm-up", "", run=run, fail=failed, seconds=self._settings.query_seconds)
        self._slots.submit(job)

    def close(self) -> None:
        """Interrupt what runs and end the threads. The engine must not be used afterwards."""
        self._slots.close()
        for query_id in list(self._jobs):  # those that waited
            self._end(query_id, QueryState.CANCELLED)
        self._catalogue.close()
        self._book.close()

    def _look_at(self, _job: Job, session: Duck, *, tables: Sequence[str]) -> None:
        session.refresh(tables)

    # How a query runs

    def _run(self, job: Job, session: Duck, *, checked: Checked, most_rows: int, key: tuple[Any, ...]) -> None:
        path = self._book.path(job.name, "parquet")
        scratch = path.with_name(f".{path.name}")
        try:
            queued = self._ledger.entry(job.name).query
            self._ledger.note(replace(queued, state=QueryState.RUNNING, started_at=self._clock()))
            scanned, written = self._execute(job, session, checked, most_rows, scratch)
            os.replace(scratch, path)
        except Exception as error:
            return self._stopped(job, error)
        finally:
            scratch.unlink(missing_ok=True)
        if job.stopped:
            path.unlink(missing_ok=True)
            return self._stopped(job, InterruptedError())
        found = {"rows": written.rows, "truncated": written.truncated, "bytes_scanned": scanned}
        self._end(job.name, QueryState.SUCCEEDED, **found)
        if not checked.volatile:
            self._reusable[key] = (job.name, time.monotonic())
        return None

    def _execute(
        self, job: Job, session: Duck, checked: Checked, most_rows: int, path: Path, again: int = LOST_FILES
    ) -> tuple[int, Written]:
        """Bytes scanned and what was written. Files that vanish under a query are looked for once more."""
        try:
            session.refresh(checked.tables)
            scanned = sum(self._listing.files(name).bytes for table in checked.tables for name in reads(table))
            batches = session.batches(checked, FETCH_ROWS)
            caps = Caps(most_rows, self._settings.query_bytes, lambda: job.stopped is not None)
            return scanned, write_result(batches, checked.columns, path, caps)
        except Exception as error:
            if again and not job.stopped and lost_file(error):
                return self._execute(job, session, checked, most_rows, path, again - 1)
            raise readable(error) from error

    def _open_session(self) -> Duck:
        scratch = self._book.scratch(self._book.owner)
        scratch.parent.mkdir(parents=True, exist_ok=True)  # DuckDB makes the last folder only
        bounds = Bounds(
            memory=max(64 * 10**6, self._settings.query_memory // self._settings.query_slots),
            threads=max(1, min(4, os.cpu_count() or 1)),
            scratch=scratch,
        )
        tables = Path(self._lake.store.location(TRANSFORMED)).absolute()
        return Duck(tables, bounds, self._listing, self._scans)

    def _stopped(self, job: Job, error: Exception) -> None:
        """End a query that did not come to its end: out of time, cancelled, or failed."""
        if job.stopped == "time":
            seconds = self._settings.query_seconds
            self._failed(job.name, QueryFailed(f"the query took longer than QUERY_SECONDS allows ({seconds:g} s)"))
        elif job.stopped == "memory":
            self._failed(job.name, QueryFailed("the query makes more than fits in memory; narrow it"))
        elif job.stopped:
            self._end(job.name, QueryState.CANCELLED)
        else:
            self._failed(job.name, error)

    def _failed(self, query_id: str, error: Exception) -> None:
        if not isinstance(error, LakeError):
            error = QueryFailed(str(error))
        self._end(query_id, QueryState.FAILED, error=error.as_json()["error"])

    def _end(self, query_id: str, state: QueryState, **found: Any) -> None:
        query = replace(self._ledger.entry(query_id).query, state=state, ended_at=self._clock(), **found)
        try:
            self._ledger.note(query, result=query_id if state == QueryState.SUCCEEDED else None)
        finally:
            with self._lock:
                self._jobs.pop(query_id, None)

    # What is known of queries

    def _result(self, query_id: str) -> tuple[Entry, Path]:
        """A query that has rows, and its file. Raises QueryFailed when it has none (yet)."""
        entry = self._ledger.entry(query_id)
        if entry.query.state != QueryState.SUCCEEDED or entry.result is None:
            raise QueryFailed(f"query {query_id} is {entry.query.state}: it has no rows", state=entry.query.state.value)
        path = self._book.path(entry.result, "parquet")
        if not path.exists():
            raise NotFound(f"the result of query {query_id} has been removed; run it again", query_id=query_id)
        return entry, path

    def _reuse_key(self, checked: Checked, parameters: tuple[Any, ...], most_rows: int) -> tuple[Any, ...]:
        versions = tuple(self._listing.files(name).version for table in checked.tables for name in reads(table))
        return (checked.sql, checked.duckdb, repr(parameters), most_rows, versions)

    def _earlier(self, key: tuple[Any, ...], query: Query) -> Entry | None:
        """The answer that an identical query got a moment ago from the same data."""
        known = self._reusable.get(key)
        if known is None or time.monotonic() - known[1] > self._settings.query_reuse:
            self._reusable.pop(key, None)
            return None
        try:
            earlier, _ = self._result(known[0])
        except LakeError:
            return None
        moment = self._clock()
        answered = replace(
            earlier.query,
            query_id=query.query_id,
            sql=query.sql,
            submitted_at=query.submitted_at,
            started_at=moment,
            ended_at=moment,
            bytes_scanned=0,
            reused=True,
        )
        return Entry(answered, self._book.owner, earlier.result)

    def _sweep(self) -> None:
        """Now and then, and when the engine is first used: delete what has expired or does not fit."""
        with self._lock:
            moment = time.monotonic()
            if moment - self._swept < SWEEP_EVERY:
                return
            self._swept = moment
            for key, (_, since) in list(self._reusable.items()):
                if moment - since > self._settings.query_reuse:
                    del self._reusable[key]
        self._book.expire(self._settings.results_bytes)

    def _known_tables(self) -> dict[str, tuple[Column, ...]]:
        return KNOWN


KNOWN = user_tables()


def next_token(query_id: str, end: int, total: int) -> str | None:
    return page_token(query_id, end) if end < total else None


def lost_file(error: Exception) -> bool:
    """Whether a file went away while it was read: a compaction or a newer resolution took its place."""
    return bool(re.search(r"No files found|No such file|Cannot open file", str(error)))


def readable(error: Exception) -> Exception:
    """Failures of DuckDB that come through Arrow, as the others."""
    if isinstance(error, LakeError):
        return error
    from chalicelib.queries.embedded.duck import failed

    return failed(error)


def resident_bytes() -> int:
    """Memory that this process holds now; 0 where the system does not say (not Linux)."""
    try:
        pages_held = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages_held * os.sysconf("SC_PAGE_SIZE")

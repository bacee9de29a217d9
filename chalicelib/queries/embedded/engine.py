"""The embedded engine: DuckDB over the Parquet files of a lake in a folder, for one process or several.

Opening it starts nothing. Statements are judged and queries run in processes of their own, whose time and memory can
be ended whatever they do; this process hands out work and reads pages. Results are Parquet files in ``results/``,
written as rows come, read a page at a time; every process that opens the lake sees every query.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from chalicelib.clock import Clock, now
from chalicelib.errors import (
    EngineBusy,
    InvalidRequest,
    LakeError,
    NotFound,
    PageTokenInvalid,
    QueryFailed,
    QueryRefused,
    StorageFailed,
)
from chalicelib.lake import RESULTS, Lake
from chalicelib.queries.embedded.book import QueryBook, QueryRecord
from chalicelib.queries.embedded.catalogue import Catalogue, Found
from chalicelib.queries.embedded.damage import found_damaged, found_missing
from chalicelib.queries.embedded.downloads import CsvFiles
from chalicelib.queries.embedded.ledger import Ledger
from chalicelib.queries.embedded.limits import OUT_OF_MEMORY
from chalicelib.queries.embedded.listing import FileListing
from chalicelib.queries.embedded.process import Process, ProcessEnded
from chalicelib.queries.embedded.results import LARGEST_PAGE, page, page_token, pages, token_start
from chalicelib.queries.embedded.slots import WARM_UP, Job, Session, Slots
from chalicelib.queries.embedded.space import Space
from chalicelib.queries.embedded.tasks import DescribeTables, Judge, LookAt, RunQuery, Start, TaskOutcome, Verdict
from chalicelib.queries.embedded.verdicts import Verdicts
from chalicelib.queries.engine import CatalogueTable, Crawl, Download, Query, QueryState, ResultColumn, RowPage
from chalicelib.settings import Settings
from chalicelib.views import reads

MOST_LOOKED = 200  # records that one page of the list of queries looks at
SWEEP_EVERY = 300.0  # s between two looks for expired results
LONGEST_SLEEP = 0.1  # s between two looks at a query of another process
JUDGES = 2  # statements judged at one time
JUDGED_WITHIN = 5.0  # s
JUDGE_MEMORY = 256_000_000  # bytes that judging a statement may take
CRAWL_SECONDS = 900.0
FIRST = 1_000_000  # bytes that a query may write before it asks for more
AROUND = 300_000_000  # bytes that the processes of all slots may hold beside QUERY_MEMORY each
JUDGE_MODULES = ("chalicelib.queries.sql", "chalicelib.views")
QUERY_MODULES = ("chalicelib.queries.embedded.duck", "chalicelib.queries.embedded.failures")
CSV_MODULES = ("chalicelib.queries.embedded.csv_file",)
log = logging.getLogger(__name__)


class EmbeddedEngine:
    """The Engine of engine.py over a folder. ``clock`` gives the times in records."""

    def __init__(self, settings: Settings, lake: Lake, *, clock: Clock = now) -> None:
        self._settings = settings
        self._lake = lake
        self._clock = clock
        self._listing = FileListing(lake)
        kept = timedelta(hours=settings.results_kept)
        self._space = Space(Path(lake.store.location(RESULTS)).absolute(), settings.results_bytes)
        self._book = QueryBook(lake, kept, clock, self._space.make)
        self._ledger = Ledger(self._book, kept, clock)
        slots, queue = settings.query_slots, settings.query_queue
        self._slots = Slots(slots, queue, self._open_process, tick=lambda: self._ledger.write_late())
        self._judges = Slots(JUDGES, queue, self._open_judge, name="judge")
        self._csv = CsvFiles(self._open_csv_process, self._space, settings.query_bytes)
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._verdicts = Verdicts()
        self._reusable: dict[str, tuple[str, float]] = {}
        self._swept = float("-inf")
        self._catalogue = Catalogue(lake, self._describe, clock)

    # The catalogue

    def start_crawl(self) -> Crawl:
        return self._catalogue.start_crawl()

    def latest_crawl(self) -> Crawl | None:
        return self._catalogue.latest_crawl()

    def tables(self) -> list[CatalogueTable]:
        return self._catalogue.tables()

    def table(self, name: str) -> CatalogueTable:
        return self._catalogue.table(name)

    def damaged_files(self, *, thorough: bool = False) -> dict[str, str]:
        files = [file for name in self._listing.names() for file in self._listing.files(name).files]
        found = [*found_damaged(files, thorough=thorough), *found_missing(self._lake, files, self._clock)]
        return {each.key: each.reason for each in found}

    def publish(self, generation: str) -> None:
        self._lake.publish_generation(generation)

    # Queries

    def check(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[ResultColumn, ...]:
        return tuple(self._judge(sql, parameters, "").columns)

    def start_query(
        self, sql: str, parameters: Sequence[Any] = (), *, client: str = "", max_rows: int | None = None
    ) -> Query:
        """Have ``sql`` judged, then answer from an earlier result or queue it.

        Raises QueryRefused, and EngineBusy when the queue is full.
        """
        self._lake.generation()  # a lake that went away is no empty one: nothing is made in its place
        self._slots.begin(1)
        verdict = self._judge(sql, parameters, client)
        most_rows = min(max_rows or self._settings.query_rows, self._settings.query_rows)
        self._sweep()
        query = Query(
            self._book.new_id(),
            sql,
            QueryState.QUEUED,
            self._clock(),
            cost_usd=0.0,
            columns=verdict.columns,
            client=client,
        )
        self._book.prepare(query.query_id)
        key = self._reuse_key(verdict, parameters, most_rows)
        if reused := self._earlier(key, query):
            return self._ledger.note(reused.query, reused.result)
        job = Job(
            query.query_id,
            client,
            run=partial(self._run, verdict=verdict, parameters=tuple(parameters), most_rows=most_rows, key=key),
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

    def queries(
        self, limit: int = 50, page_token: str | None = None, *, client: str | None = None
    ) -> tuple[list[Query], str | None]:
        if page_token is not None and not re.fullmatch(r"[\w-]{1,64}", page_token):
            raise PageTokenInvalid("the page token is not one of ours")
        self._ledger.write_late(older_than=0)
        found: list[Query] = []
        last = None  # that was looked at
        for looked, entry in enumerate(self._book.newest(page_token)):
            if len(found) == limit or looked == MOST_LOOKED:
                return found, last
            last = entry.query.query_id
            if client in (None, entry.query.client):
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

    def all_rows(self, query_id: str, *, bounded: bool = False) -> Iterator[RowPage]:
        entry, path = self._result(query_id)
        return pages(path, entry.query.columns, entry.query.truncated, bounded=bounded)

    def download(self, query_id: str, format: str, *, client: str = "") -> Download:
        entry, path = self._result(query_id)
        if format == "parquet":
            return Download("application/vnd.apache.parquet", f"{query_id}.parquet", path=path)
        if format != "csv":
            raise InvalidRequest(f"a result is downloaded as csv or parquet, not {format}")
        found = self._csv.file(path, path.with_suffix(".csv"), entry.query.columns, client)
        kind, name = "text/csv; charset=utf-8", f"{query_id}.csv"
        return Download(kind, name, path=found) if isinstance(found, Path) else Download(kind, name, chunks=found)

    def warm_up(self, tables: Sequence[str]) -> None:
        """Start the processes and let them read the footers of the tables' files; the first query would wait."""
        self._judges.begin(JUDGES)
        for number in range(self._settings.query_slots):
            job = Job(
                f"{WARM_UP} {number}", f"{WARM_UP} {number}", partial(self._look_at, tables=tables), not_warm, 60.0
            )
            self._slots.submit(job)

    def close(self) -> None:
        """Interrupt what runs, end the processes and threads. The engine must not be used afterwards."""
        for slots in (self._judges, self._csv, self._slots):
            slots.close()
        for query_id in list(self._jobs):  # those that waited
            self._end(query_id, QueryState.CANCELLED)
        self._catalogue.close()
        self._book.close()

    # The processes

    def _open_judge(self) -> Process:
        return Process(Start(self._settings, JUDGE_MODULES, JUDGE_MEMORY)).ready()

    def _open_csv_process(self) -> Process:
        return Process(Start(self._settings, CSV_MODULES, self._memory())).ready()

    def _open_process(self) -> Process:
        scratch = self._book.scratch(self._book.owner) / secrets.token_hex(4)
        start = Start(self._settings, QUERY_MODULES, self._memory(), database=True, scratch=str(scratch))
        return Process(start, on_close=partial(shutil.rmtree, scratch, ignore_errors=True)).ready()

    def _memory(self) -> int:
        """What one process may hold beside itself."""
        return self._settings.query_memory + AROUND // self._settings.query_slots

    def _judge(self, sql: str, parameters: Sequence[Any], client: str) -> Verdict:
        """Raises QueryRefused."""
        verdict = self._verdicts.find(sql, parameters)
        if verdict is None:
            verdict = self._ask_judge(sql, parameters, client)
            self._verdicts.keep(sql, parameters, verdict)
        return verdict

    def _ask_judge(self, sql: str, parameters: Sequence[Any], client: str) -> Verdict:
        """Raises QueryRefused."""
        found: list[Verdict] = []
        failed: list[Exception] = []

        def run(_job: Job, judge: Session) -> None:
            assert isinstance(judge, Process)
            found.append(judge.call(Judge(sql, tuple(parameters))))

        job = Job("", client, run, failed.append, JUDGED_WITHIN)
        self._judges.submit(job)
        job.done.wait()
        if found:
            return found[0]
        if job.stopped == "cancelled":
            raise EngineBusy("the engine is closed")
        if failed and isinstance(failed[0], LakeError) and not job.stopped:
            raise failed[0]
        raise QueryRefused("the statement is too complex to be judged")

    def _look_at(self, _job: Job, process: Session, *, tables: Sequence[str]) -> None:
        assert isinstance(process, Process)
        process.call(LookAt(tuple(tables)))

    def _describe(self, before: dict[str, Any]) -> Found:
        """What a crawl finds, by a process of its own."""
        process = self._open_process()
        overdue = threading.Timer(CRAWL_SECONDS, process.stop)
        overdue.start()
        try:
            found: Found = process.call(DescribeTables(before))
            return found
        except ProcessEnded:
            raise QueryFailed("looking at the tables' files took too long or too much memory") from None
        finally:
            overdue.cancel()
            process.close()

    # How a query runs

    def _run(
        self, job: Job, process: Session, *, verdict: Verdict, parameters: tuple[Any, ...], most_rows: int, key: str
    ) -> None:
        assert isinstance(process, Process)
        path = self._book.path(job.name, "parquet")
        scratch = path.with_name(f".{path.name}")
        promised, written = self._space.take(0, min(FIRST, self._settings.query_bytes)), 0

        def more(least: int, liked: int) -> int:
            nonlocal promised
            taken = self._space.take(least, liked)
            promised += taken
            return taken

        try:
            queued = self._ledger.entry(job.name).query
            self._ledger.note(replace(queued, state=QueryState.RUNNING, started_at=self._clock()))
            most_bytes = self._settings.query_bytes
            task = RunQuery(verdict.statement, parameters, str(scratch), most_rows, most_bytes, promised)
            outcome: TaskOutcome = process.call(task, more)
            if job.stopped:
                raise InterruptedError
            os.replace(scratch, path)
            written = outcome.bytes
        except Exception as error:
            return self._stopped(job, error)
        finally:
            scratch.unlink(missing_ok=True)
            self._space.give(promised, written)
        found = {"rows": outcome.rows, "truncated": outcome.truncated, "bytes_scanned": outcome.scanned}
        self._end(job.name, QueryState.SUCCEEDED, **found)
        if not verdict.volatile:
            self._reusable[key] = (job.name, time.monotonic())
        return None

    def _stopped(self, job: Job, error: Exception) -> None:
        """End a query that did not come to its end: out of time, cancelled, or failed."""
        if job.stopped == "time":
            seconds = self._settings.query_seconds
            self._failed(job.name, QueryFailed(f"the query took longer than QUERY_SECONDS allows ({seconds:g} s)"))
        elif job.stopped == "memory":
            self._failed(job.name, QueryFailed(OUT_OF_MEMORY))
        elif job.stopped:
            self._end(job.name, QueryState.CANCELLED)
        elif isinstance(error, ProcessEnded):  # killed by the system, mostly for its memory
            log.warning("the process of query %s ended (%s)", job.name, error.status)
            self._failed(job.name, QueryFailed(OUT_OF_MEMORY))
        else:
            self._failed(job.name, error)

    def _failed(self, query_id: str, error: Exception) -> None:
        if not isinstance(error, LakeError):
            error = failed_here(error)
        self._end(query_id, QueryState.FAILED, error=error.as_json()["error"])

    def _end(self, query_id: str, state: QueryState, **found: Any) -> None:
        query = replace(self._ledger.entry(query_id).query, state=state, ended_at=self._clock(), **found)
        try:
            self._ledger.note(query, result=query_id if state == QueryState.SUCCEEDED else None)
        finally:
            with self._lock:
                self._jobs.pop(query_id, None)

    # What is known of queries

    def _result(self, query_id: str) -> tuple[QueryRecord, Path]:
        """A query that has rows, and its file. Raises QueryFailed when it has none (yet)."""
        entry = self._ledger.entry(query_id)
        if entry.query.state != QueryState.SUCCEEDED or entry.result is None:
            raise QueryFailed(f"query {query_id} is {entry.query.state}: it has no rows", state=entry.query.state.value)
        path = self._book.path(entry.result, "parquet")
        if not path.exists():
            raise NotFound(f"the result of query {query_id} has been removed; run it again", query_id=query_id)
        return entry, path

    def _reuse_key(self, verdict: Verdict, parameters: Sequence[Any], most_rows: int) -> str:
        """Names a statement, its parameters and the files that it reads."""
        versions = [self._listing.files(name).version for table in verdict.tables for name in reads(table)]
        return hashlib.sha256(repr((verdict.digest, list(parameters), most_rows, versions)).encode()).hexdigest()

    def _earlier(self, key: str, query: Query) -> QueryRecord | None:
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
            client=query.client,
        )
        return QueryRecord(answered, self._book.owner, earlier.result)

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
        self._book.expire()


def next_token(query_id: str, end: int, total: int) -> str | None:
    """The token of the page that begins at ``end``; None behind the last row."""
    return page_token(query_id, end) if end < total else None


def not_warm(error: Exception) -> None:
    """Say why the engine could not be warmed up."""
    if not isinstance(error, ProcessEnded):  # closing the engine is no failure
        log.warning("the engine could not be warmed up: %s", error)


def failed_here(error: Exception) -> LakeError:
    """A failure of this process, such as a disk that is full."""
    if isinstance(error, OSError):
        return StorageFailed(f"the result could not be kept: {error.strerror or error}")
    log.error("a query failed", exc_info=error)
    return QueryFailed("the query failed here; the log says more")

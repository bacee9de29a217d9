"""What one raw object says, as Parquet files in memory: decode, tabulate and check, a window at a time.

The time in these files is Spotify's or the answer's, never this program's: from the same raw objects come the same
files, byte for byte.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from chalicelib import tables as declared
from chalicelib.clock import epoch_ms, parse_rfc3339
from chalicelib.errors import CheckFailed, RawObjectInvalid, RecordDamaged
from chalicelib.exclusions import decode_exclusion, row_of
from chalicelib.listeners import decode_note, rows_of
from chalicelib.parquet import TableFiles, arrow_schema, sort_rows
from chalicelib.raw import Answer
from chalicelib.runs import RUN_RECORD, RunRecord
from chalicelib.tables import Table
from chalicelib.transformation.answers import Fault, OddPart
from chalicelib.transformation.columns import Gathered, cells
from chalicelib.transformation.findings import Findings, Rejection, Result, shortened
from chalicelib.transformation.origin import ORIGIN
from chalicelib.transformation.quality import check_references, check_rows, check_times, check_whole
from chalicelib.transformation.run_checks import trends
from chalicelib.transformation.tabulate import Batch, Place, Said
from chalicelib.transforms import Built

BATCH_ROWS = 250  # rows read off their records at once: small enough for the processor's cache
WINDOW_ROWS = 100_000  # rows of all tables that are checked and written at once: bounds memory


def build_answers(key: str, answers: Iterable[Answer], files: TableFiles) -> Built:
    """Add to ``files`` what the answers of the raw object ``key`` say.

    Raises RawObjectInvalid where the object is not ours, CheckFailed where a check of severity ``fail`` found
    something; ``files`` must not be published then.
    """
    built, findings = Built(), Findings()
    window, last = RowWindow(0), None
    try:
        with collector_paused():
            for answer in answers:
                last = window.add(answer)
                built.answers += 1
                if window.rows >= WINDOW_ROWS:
                    flush(key, window, findings, files, built)
                    window = RowWindow(built.answers)
            flush(key, window, findings, files, built)
        check_whole(findings)
    except CheckFailed as failed:
        failed.results = result_rows(key, findings, last) if last else None
        raise
    if last is None:
        raise RawObjectInvalid(f"{key} holds no answer", key=key)
    files.add(declared.QUALITY_RESULTS, result_rows(key, findings, last))
    return finished(built, findings, files)


class RowWindow:
    """The rows of a stretch of answers as Arrow arrays, a batch at a time; checked and written together."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.rows = 0
        self.places: list[Place] = []
        self.batch = Batch(first, Said())
        self.tables: dict[str, Gathered] = {}
        self.faults: list[tuple[int, Fault]] = []
        self.odd: list[OddPart] = []
        self.unknown: list[str] = []
        self.counts: dict[str, int] = {}

    def add(self, answer: Answer) -> Place:
        place = self.batch.add(answer)
        if len(self.batch) >= BATCH_ROWS:
            self.settle()
        return place

    def settle(self) -> None:
        """Turn the batch into Arrow and begin another."""
        batch = self.batch
        for table, origins, columns in cells(batch):
            if table.name not in self.tables:
                self.tables[table.name] = Gathered(table)
            self.tables[table.name].add(origins, columns)
        self.rows += len(batch)
        self.places += batch.places
        self.faults += batch.faults
        self.odd += batch.odd
        self.unknown += batch.unknown
        for name, count in batch.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        self.batch = Batch(self.first + len(self.places), batch.said)


def flush(key: str, window: RowWindow, findings: Findings, files: TableFiles, built: Built) -> None:
    """Check a window's rows and add them to ``files``."""
    window.settle()
    check_times([(place.run_id, place.observed_ms) for place in window.places], findings)
    published: dict[str, tuple[Table, pa.Table]] = {}
    for gathered in window.tables.values():
        rows = gathered.rows(window.places, window.first)
        checked = check_rows(gathered.table, rows, gathered.all_misfits(), findings)
        published[gathered.table.name] = (gathered.table, checked)
    check_references(published, findings)
    report_faults(window, findings)
    for table, rows in published.values():
        files.add(table, rows.drop_columns([ORIGIN]))
    files.add(declared.REJECTED_ROWS, rejected_rows(key, window, findings.take_rejections()))
    built.items += sum(window.counts.values())


def report_faults(window: RowWindow, findings: Findings) -> None:
    """What could not be read at all or not in full, and what was not understood."""
    for table, count in window.counts.items():
        findings.note(table, "readable", "reject", count, 0)
    for number, fault in window.faults:
        findings.note(fault.table, "readable", "reject", 0, 1, fault.reason)
        findings.reject(
            Rejection(number, fault.item, fault.table, "readable", fault.reason[:1000], shortened(fault.content))
        )
    for part in window.odd:
        findings.note(part.table, "readable_part", "warn", 1, 1, f"{part.path}: {part.reason}"[:1000])
    for endpoint in window.unknown:
        findings.note("", "known_endpoint", "warn", 1, 1, f"no table takes what {endpoint[:200]} answers")


def rejected_rows(key: str, window: RowWindow, rejections: list[Rejection]) -> pa.Table:
    """The rows of ``rejected_rows`` that an object's rejections make."""
    occurrences: dict[tuple[Any, ...], int] = {}
    rows = []
    for each in rejections:
        which = (each.answer, each.item, each.table_name, each.check_name)
        occurrences[which] = nth = occurrences.get(which, -1) + 1
        observed = window.places[each.answer - window.first].observed_ms
        rows.append({"raw_key": key, **asdict(each), "occurrence": nth, "observed_at": observed})
    return sorted_table(declared.REJECTED_ROWS, rows)


def result_rows(key: str, findings: Findings, place: Place) -> pa.Table:
    """The rows of ``quality_results`` that an object's checks make."""
    shared = {"raw_key": key, "run_id": place.run_id, "source": place.source, "observed_at": place.observed_ms}
    return sorted_table(declared.QUALITY_RESULTS, [{**each.as_row(), **shared} for each in findings.results.values()])


def sorted_table(table: Table, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows given as dicts, sorted as they are stored; times are milliseconds since 1970, UTC."""
    schema = arrow_schema(table)
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
    return sort_rows(table, pa.Table.from_arrays(columns, schema=schema))


def finished(built: Built, findings: Findings, files: TableFiles) -> Built:
    """The counts of a build that has ended."""
    built.rejected = findings.rejected
    built.rows = dict(files.rows)
    built.failures = findings.failures()
    return built


@contextmanager
def collector_paused() -> Iterator[None]:
    """Records hold no cycles: looking for some takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# --- notes about listeners ----------------------------------------------------------------------------------------


def build_listener(key: str, content: bytes, files: TableFiles) -> Built:
    """Add to ``files`` which ids a note says mean which listener, and what it says of that listener."""
    try:
        rows = [note_row(row) for row in rows_of(decode_note(key, content))]
        files.add(declared.LISTENER_IDS, sorted_table(declared.LISTENER_IDS, rows))
    except RecordDamaged as error:
        raise RawObjectInvalid(f"{key} is not a note about a listener: {error.reason}", key=key) from error
    except (ValueError, TypeError, pa.ArrowException, OverflowError) as error:
        raise RawObjectInvalid(f"{key} is not a note about a listener: {error}", key=key) from error
    return Built(answers=1, items=1, rows=dict(files.rows))


def note_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of ``listener_ids`` with its times as they are stored."""
    times = {column.name for column in declared.LISTENER_IDS.columns if column.type == "timestamp"}
    return {name: milliseconds(value) if name in times and value else value or None for name, value in row.items()}


def build_exclusion(key: str, content: bytes, files: TableFiles) -> Built:
    """Add to ``files`` what a decision leaves out, or lets count again."""
    try:
        files.add(declared.EXCLUSIONS, sorted_table(declared.EXCLUSIONS, [row_of(decode_exclusion(key, content))]))
    except RecordDamaged as error:
        raise RawObjectInvalid(f"{key} does not say what is left out: {error.reason}", key=key) from error
    except (ValueError, TypeError, pa.ArrowException, OverflowError) as error:
        raise RawObjectInvalid(f"{key} does not say what is left out: {error}", key=key) from error
    return Built(answers=1, items=1, rows=dict(files.rows))


# --- the records of runs ------------------------------------------------------------------------------------------


def build_run(key: str, content: bytes, earlier: Sequence[RunRecord], files: TableFiles) -> Built:
    """Add to ``files`` what a run's record says: the run itself, the holes it found in the listening history, and how
    it compares with ``earlier`` runs."""
    try:
        record = RUN_RECORD.decode(key, content)
        rows = [run_row(record)]
        results = [hole_row(key, record, hole) for hole in record.holes]
        results += [trend_row(key, record, each) for each in trends(record, earlier)]
        files.add(declared.RUNS, sorted_table(declared.RUNS, rows))
        files.add(declared.QUALITY_RESULTS, sorted_table(declared.QUALITY_RESULTS, results))
    except RecordDamaged as error:
        raise RawObjectInvalid(f"{key} is not the record of a run that has ended: {error.reason}", key=key) from error
    except (ValueError, TypeError, KeyError, AttributeError, pa.ArrowException, OverflowError) as error:
        raise RawObjectInvalid(f"{key} is not the record of a run that has ended: {error}", key=key) from error
    return Built(answers=1, items=1, rows=dict(files.rows))


def run_row(record: RunRecord) -> dict[str, Any]:
    """A run's record as a row of ``runs``. Raises ValueError for one that has not ended."""
    if record.ended_at is None:
        raise ValueError("it has no ended_at")
    return {
        "run_id": record.run_id,
        "state": record.state,
        "trigger": record.trigger,
        "started_at": milliseconds(record.started_at),
        "ended_at": milliseconds(record.ended_at),
        "mode": record.mode,
        "calls": record.calls,
        "items": record.items,
        "retries": record.retries,
        "bytes": record.bytes,
        "waited_seconds": record.waited_seconds,
        "holes": len(record.holes),
        "error": None if record.error is None else str(record.error.get("message", record.error)),
    }


def hole_row(key: str, record: RunRecord, hole: dict[str, Any]) -> dict[str, Any]:
    """A hole in the listening history as a row of ``quality_results``."""
    return {
        "raw_key": key,
        "table_name": "plays",
        "check_name": "recently_played_hole",
        "severity": "warn",
        "run_id": record.run_id,
        "source": "recently_played",
        "rows_checked": 1,
        "failures": 1,
        "detail": f"plays of {hole['user_id']} between these two may be lost: Spotify shows the last 50 only",
        "window_start": milliseconds(hole["after"]),
        "window_end": milliseconds(hole["before"]),
        "observed_at": milliseconds(str(record.ended_at)),
    }


def trend_row(key: str, record: RunRecord, result: Result) -> dict[str, Any]:
    """What a check over several runs found as a row of ``quality_results``."""
    source = result.check_name.partition(":")[2]
    told = {
        "raw_key": key,
        "run_id": record.run_id,
        "source": source,
        "observed_at": milliseconds(str(record.ended_at)),
    }
    return {**result.as_row(), **told}


def milliseconds(text: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 text."""
    return epoch_ms(parse_rfc3339(text))

"""The record of runs: what ran, what each source brought, what it waited for and what is left.

A run's record lies in ``state/runs/<run>.json`` while it goes on, and is also written once to
``raw/runs/<day>/<run>.json`` when it ends, so that the ``runs`` table can be rebuilt from raw data alone.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice, takewhile
from typing import Any

from chalicelib.clock import Clock, now, parse_rfc3339, rfc3339
from chalicelib.errors import NotFound, RecordDamaged
from chalicelib.lake import RAW_RUNS, STATE, Lake, day_of, run_key
from chalicelib.records import RecordKind
from chalicelib.schedule import next_time

STATE_RUNS = f"{STATE}runs/"
AFTER_ALL = "~"  # sorts after every run id
MOST_RUNS = 10_000  # that a backlog is looked ahead for
MOST_AHEAD = 20  # runs whose names are of the future that are looked at
AHEAD = timedelta(hours=1)  # by which a record's time may be ahead of this machine's
FIRST_STRETCH = timedelta(days=7)  # in which the newest runs are looked for first: 168 of an hourly schedule
RUNNING, SUCCEEDED, PARTIAL, FAILED = "running", "succeeded", "partial", "failed"
SKIPPED, UNAVAILABLE = "skipped", "unavailable"  # of a source: not due; not offered to this app


@dataclass(slots=True)
class SourceRecord:
    """One source in one run. ``left`` says in words what is still to fetch; ``not_before`` when it may go on;
    ``whole_readings`` how many of its listings were read from their first item to their last."""

    source: str
    user_id: str | None = None
    state: str = RUNNING  # running, succeeded, partial, failed, skipped (not due), unavailable (removed endpoint)
    calls: int = 0
    items: int = 0
    new_items: int = 0
    whole_readings: int = 0
    retries: int = 0
    bytes: int = 0
    waited_seconds: float = 0.0
    not_before: str | None = None
    left: str | None = None
    error: dict[str, Any] | None = None
    raw_keys: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RunRecord:
    """One extraction run. Times are RFC 3339 UTC."""

    run_id: str
    state: str
    trigger: str  # schedule, api, command
    started_at: str
    ended_at: str | None = None
    mode: str | None = None  # development or extended
    calls: int = 0
    calls_by_endpoint: dict[str, int] = field(default_factory=dict)
    items: int = 0
    retries: int = 0
    bytes: int = 0
    waited_seconds: float = 0.0
    sources: list[SourceRecord] = field(default_factory=list)
    holes: list[dict[str, Any]] = field(default_factory=list)  # {"user_id", "after", "before"}: plays may be lost
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was noticed and needs nobody
    authorizations: list[dict[str, Any]] = field(default_factory=list)  # {"user_id", "authorized_at", "ends_at"}
    error: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The record as ``GET /runs/{id}`` and the raw zone hold it."""
        return asdict(self)


RUN_RECORD = RecordKind(RunRecord, "the record of a run", "delete it; the run's answers are kept")


def new_run_id(now: datetime) -> str:
    """Sorts by time: ``20261120T101530Z-1a2b3c``."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def start_record(run_id: str, trigger: str, now: datetime) -> RunRecord:
    """The record of a run that begins now."""
    return RunRecord(run_id=run_id, state=RUNNING, trigger=trigger, started_at=rfc3339(now))


def save_run(lake: Lake, record: RunRecord) -> None:
    """Write the record; when the run has ended, also its raw copy, which like all of raw/ is written once."""
    RUN_RECORD.write(lake.store, state_key(record.run_id), record)
    if record.ended_at is not None:
        lake.create(run_key(record.run_id), RUN_RECORD.encode(record))


def load_run(lake: Lake, run_id: str) -> RunRecord:
    """The record of a run, from the raw zone where that in state/ is lost or damaged. Raises NotFound."""
    unreadable = ""
    for key in (state_key(run_id), *([run_key(run_id)] if is_run_id(run_id) else [])):
        try:
            record = RUN_RECORD.read(lake.store, key)
        except RecordDamaged as error:
            unreadable = unreadable or f": {error.message}"
            continue
        if record is not None:
            return record
    raise NotFound(f"there is no run {run_id}; GET /runs lists them{unreadable}", run_id=run_id)


def state_key(run_id: str) -> str:
    """Key of a run's record while it goes on."""
    return f"{STATE_RUNS}{run_id}.json"


def is_run_id(name: str) -> bool:
    """Whether a name is that of a run, which begins with its start."""
    try:
        return bool(day_of(name))
    except ValueError:
        return False


# --- what is left -------------------------------------------------------------------------------------------------


def calls_left(record: RunRecord) -> int:
    """About how many calls the sources of a run have still to make."""
    counts = [re.search(r"about (\d+) call", source.left or "") for source in record.sources]
    return sum(int(found[1]) for found in counts if found)


def complete_at(record: RunRecord, calls_per_run: int, schedule: str) -> datetime | None:
    """When scheduled runs will have fetched what a run left, each with as many calls; None where nothing is left."""
    runs = -(-calls_left(record) // calls_per_run)
    if not runs or runs > MOST_RUNS:
        return None
    moment = parse_rfc3339(record.ended_at or record.started_at)
    for _ in range(runs):
        moment = next_time(schedule, moment)
    return moment


def plays_are_complete(record: RunRecord) -> bool:
    """Whether a run read all the plays that Spotify shows of every listener."""
    plays = [source for source in record.sources if source.source == "recently_played"]
    return bool(plays) and all(source.state in (SUCCEEDED, SKIPPED) for source in plays)


# --- which runs there are -----------------------------------------------------------------------------------------


def run_ids(lake: Lake, before: str | None = None, clock: Clock = now) -> Iterator[str]:
    """The known runs, newest first, or those that came before the one named: those in state/ and, after state/ was
    lost, those in raw/.

    Stores list forwards only. So the days are looked through backwards, from that run's or from now, in stretches of
    which each reaches four times as far back: the first few runs cost a few requests, however old the lake is.
    """
    before = before or AFTER_ALL
    from_day, back, oldest = day_named(before) or clock().date(), FIRST_STRETCH, ""
    while oldest < before:
        since = day_before(from_day, back)
        stretch = {run_id for runs in runs_since(lake, since) for run_id in takewhile(before.__gt__, runs)}
        yield from sorted(stretch, reverse=True)
        oldest = oldest or min(next(runs, AFTER_ALL) for runs in runs_since(lake))
        before, back = min(before, since.replace("-", "")), back * 4


def newest_run(lake: Lake, clock: Clock = now) -> RunRecord | None:
    """The record of the run that began last; None where there was none.

    A run's name bears the time of its machine, which may have been ahead; its record bears Spotify's. So runs whose
    name is of the future are looked at beside the newest of the others.
    """
    records: list[RunRecord] = []
    for run_id in islice(run_ids(lake, clock=clock), MOST_AHEAD):
        with suppress(NotFound):
            records.append(load_run(lake, run_id))
        if run_id <= f"{clock():%Y%m%dT%H%M%SZ}~" and records:
            break
    past = [record for record in records if record.started_at <= rfc3339(clock() + AHEAD)]
    return max(past or records, key=lambda record: record.started_at, default=None)


def day_named(run_id: str) -> date | None:
    """The day of a run; None where what stands for one names no day."""
    try:
        return date.fromisoformat(day_of(run_id).replace("/", "-"))
    except ValueError:
        return None


def day_before(day: date, back: timedelta) -> str:
    """``2026-11-13``; empty, which sorts before every day, where the calendar has no such day."""
    try:
        return (day - back).isoformat()
    except OverflowError:
        return ""


def runs_since(lake: Lake, day: str = "") -> list[Iterator[str]]:
    """Ids of the runs of ``day`` (YYYY-MM-DD) and later, oldest first: those in state/, and those in raw/."""
    return [
        ids_after(lake, STATE_RUNS, day.replace("-", ""), state_key),
        ids_after(lake, RAW_RUNS, day.replace("-", "/"), run_key),
    ]


def ids_after(lake: Lake, prefix: str, start: str, key_of: Callable[[str], str]) -> Iterator[str]:
    """Ids of the runs below a prefix whose keys come after ``start``, oldest first."""
    for info in lake.store.list(prefix, start_after=prefix + start):
        run_id = info.key.rpartition("/")[2].removesuffix(".json")
        if is_run_id(run_id) and key_of(run_id) == info.key:  # else somebody left a file there
            yield run_id

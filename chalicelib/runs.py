"""The record of runs: what ran, what each source brought, what it waited for and what is left.

A run's record lies in ``state/runs/<run>.json`` while it goes on, and is also written once to
``raw/runs/<day>/<run>.json`` when it ends, so that the ``runs`` table can be rebuilt from raw data alone.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from chalicelib.clock import rfc3339
from chalicelib.errors import NotFound
from chalicelib.lake import RAW_RUNS, STATE, Lake, run_key

RUNNING, SUCCEEDED, PARTIAL, FAILED = "running", "succeeded", "partial", "failed"
SKIPPED, UNAVAILABLE = "skipped", "unavailable"  # of a source: not due; not offered to this app


@dataclass(slots=True)
class SourceRecord:
    """One source in one run. ``left`` says in words what is still to fetch; ``not_before`` when it may go on."""

    source: str
    user_id: str | None = None
    state: str = RUNNING  # running, succeeded, partial, failed, skipped (not due), unavailable (removed endpoint)
    calls: int = 0
    items: int = 0
    new_items: int = 0
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
    authorizations: list[dict[str, Any]] = field(default_factory=list)  # {"user_id", "authorized_at", "ends_at"}
    error: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> RunRecord:
        sources = [SourceRecord(**source) for source in document.get("sources", [])]
        return cls(**{**document, "sources": sources})


def new_run_id(now: datetime) -> str:
    """Sorts by time: ``20261120T101530Z-1a2b3c``."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def start_record(run_id: str, trigger: str, now: datetime) -> RunRecord:
    return RunRecord(run_id=run_id, state=RUNNING, trigger=trigger, started_at=rfc3339(now))


def save_run(lake: Lake, record: RunRecord) -> None:
    """Write the record; when the run has ended, also its raw copy, which like all of raw/ is written once."""
    data = json.dumps(record.as_json()).encode()
    lake.store.write(f"{STATE}runs/{record.run_id}.json", data, content_type="application/json")
    if record.ended_at is not None:
        lake.create(run_key(record.run_id), data)


def load_run(lake: Lake, run_id: str) -> RunRecord:
    for key in (f"{STATE}runs/{run_id}.json", *possible_raw_key(run_id)):
        if lake.store.stat(key):
            return read_record(run_id, key, lake.store.read(key))
    raise NotFound(f"there is no run {run_id}; GET /runs lists them", run_id=run_id)


def read_record(run_id: str, key: str, content: bytes) -> RunRecord:
    try:
        return RunRecord.from_json(json.loads(content))
    except (ValueError, TypeError, AttributeError) as error:
        raise NotFound(f"{key} is not the record of a run: {error}", run_id=run_id) from error


def possible_raw_key(run_id: str) -> list[str]:
    try:
        return [run_key(run_id)]
    except ValueError:
        return []


def run_ids(lake: Lake) -> list[str]:
    """Every known run, newest first: those in state/ and, after state/ was lost, those in raw/."""
    keys = [info.key for prefix in (f"{STATE}runs/", RAW_RUNS) for info in lake.store.list(prefix)]
    return sorted({key.rpartition("/")[2].removesuffix(".json") for key in keys}, reverse=True)

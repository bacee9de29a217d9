"""What happens when the schedule fires or an object arrives in the raw zone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chalicelib import telemetry
from chalicelib.clock import now, rfc3339
from chalicelib.errors import (
    ImportRefused,
    InvalidRequest,
    LakeError,
    MissingCredentials,
    NotFound,
    RawObjectInvalid,
    RunInProgress,
)
from chalicelib.lake import STATE
from chalicelib.runs import FAILED, RUNNING, load_run, new_run_id, save_run, start_record
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from chalicelib.lake import Lake
    from chalicelib.wiring import Parts

MAINTENANCE = f"{STATE}maintenance.json"  # there while it works: one that broke off is taken up whatever waits
LOCAL_BUCKET = "lake"  # what a lake in a folder is called in events
log = logging.getLogger(__name__)


def extract(parts: Parts, trigger: str, context: Any, told: dict[str, Any] | None = None) -> dict[str, Any]:
    """One extraction run within the time the function has left."""
    from chalicelib.extraction.extract import run_extraction

    told = told or {}
    run_id = told.get("run_id") or new_run_id(now())
    try:
        record = run_extraction(
            parts.settings,
            parts.lake,
            run_id=run_id,
            trigger=trigger,
            sources=told.get("sources"),
            remaining_seconds=time_left(context),
        )
    except RunInProgress as error:
        log.warning("no run: %s", error.message)
        return {"run_id": None, "state": "refused", "reason": error.message}
    except MissingCredentials as error:  # a person's to mend: trying again is of no use
        note_failure(parts.lake, run_id, trigger, error)
        log.error("no run: %s", error.message)
        return {"run_id": run_id, "state": FAILED, "reason": error.message}
    except LakeError as error:
        note_failure(parts.lake, run_id, trigger, error)
        raise
    telemetry.run_ended(parts.settings, record)
    return {"run_id": record.run_id, "state": record.state}


def note_failure(lake: Lake, run_id: str, trigger: str, error: LakeError) -> None:
    """The record of a run that failed before it could say so in its own (no secret, no lock, no state). Where the lake
    cannot be written either, the event's dead letter is all that tells."""
    try:
        record = load_run(lake, run_id)
    except NotFound:
        record = start_record(run_id, trigger, now())
    except LakeError as second:
        log.error("the record of run %s cannot be read: %s", run_id, second.message)
        return
    if record.state != RUNNING:
        return
    record.state, record.ended_at, record.error = FAILED, rfc3339(now()), error.as_json()["error"]
    try:
        save_run(lake, record)
    except LakeError as second:
        log.error("the record of run %s cannot be written: %s", run_id, second.message)


def transform(parts: Parts, event_key: str, generation: str | None = None) -> dict[str, Any]:
    """Turn one raw object into rows; of another ``generation`` than the one in force when a rebuild asks for it.

    An object that cannot be read lies in quarantine with the reason. That is no failure of the function: calling it
    again would change nothing, and the object is kept. The log, a metric and its alarm tell of it.
    """
    from chalicelib.errors import CheckFailed
    from chalicelib.pipeline import transform_key
    from chalicelib.transformation.transform import drive

    if generation is not None:
        drive(parts.lake.in_generation(generation), lake_key(parts.settings, event_key))
        return {"key": event_key, "generation": generation}
    began = time.monotonic()
    try:
        report = transform_key(parts.lake, lake_key(parts.settings, event_key))
    except (RawObjectInvalid, CheckFailed) as error:
        parts.register(None)  # what its checks have found
        return quarantined(parts, event_key, error)
    parts.register(report.files if report.state != "unchanged" else None)  # called again: the first call may have died
    telemetry.transformed(parts.settings, report.raw_key, report.built, began)
    return {"key": report.raw_key, "state": report.state, "rows": sum(report.built.rows.values())}


def quarantined(parts: Parts, event_key: str, error: LakeError) -> dict[str, Any]:
    """The answer for an object that went to quarantine; the log and the metric name it."""
    log.error("%s is in quarantine: %s", event_key, error.message)
    telemetry.quarantined(parts.settings, 1, raw_key=event_key)
    return {"key": event_key, "state": "quarantined", "reason": error.message}


def import_history(parts: Parts, event_key: str) -> dict[str, Any]:
    """Import one privacy export; one that is refused is in quarantine, as in :func:`transform`."""
    from chalicelib.pipeline import import_key, sender_is_asked

    key = lake_key(parts.settings, event_key)
    try:
        summary = import_key(parts.lake, parts.settings, key)
    except (ImportRefused, InvalidRequest) as error:
        if sender_is_asked(key, error):
            log.info("%s: %s", event_key, error.message)
            return {"key": event_key, "state": "asked back", "reason": error.message}
        return quarantined(parts, event_key, error)
    parts.register(summary.written if summary else ())
    return {"key": key, "rows": summary.total("read") if summary else None}


def result_file(parts: Parts, told: dict[str, Any]) -> dict[str, Any]:
    """Make a query's result a file for download."""
    from chalicelib.queries.athena.conversion import convert

    columns = [(name, kind) for name, kind in told["columns"]]
    return {"key": convert(parts.lake, told["key"], told["target"], columns, told["most_rows"])}


def maintain(parts: Parts) -> dict[str, Any]:
    """Drive what was left lying, then merge the files of partitions that have too many: where something waits, and
    once a day where nothing does. To see that costs a dozen requests."""
    from chalicelib.pipeline import catch_up, is_waiting, tidy

    if not (is_waiting(parts.lake) or parts.lake.store.stat(MAINTENANCE)):
        return {"handled": 0, "merged": 0}
    parts.lake.store.write(MAINTENANCE, b"{}", content_type="application/json")
    before = telemetry.in_quarantine(parts.lake)
    handled = catch_up(parts.lake, parts.settings, lately=True).objects
    parts.register(None)  # before what an earlier call has merged or copied is deleted where it was
    merged = tidy(parts.lake, min_files=parts.settings.compact_files + 1)
    parts.register(None)
    parts.forget_empty_partitions()
    telemetry.looked_over(parts.settings, parts.lake, handled)
    telemetry.quarantined(parts.settings, len(telemetry.in_quarantine(parts.lake) - before))
    parts.lake.store.delete([MAINTENANCE])
    return {"handled": handled, "merged": merged.files_merged}


def lake_key(settings: Settings, event_key: str) -> str:
    """The lake's key of an event's object."""
    return event_key.removeprefix(settings.prefix)


def time_left(context: Any) -> Callable[[], float] | None:
    """Seconds the function may still run, where somebody counts them."""
    if context is None:
        return None
    return lambda: float(context.get_remaining_time_in_millis()) / 1000

"""What the functions tell CloudWatch of their work: metrics of runs, transforms, and of the lake as it stands."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from chalicelib.clock import Clock, now, parse_rfc3339
from chalicelib.metrics import emit
from chalicelib.quarantine import reasons
from chalicelib.runs import FAILED, SKIPPED, SUCCEEDED, RunRecord, load_run, run_ids

if TYPE_CHECKING:
    from chalicelib.lake import Lake
    from chalicelib.settings import Settings
    from chalicelib.transforms import Built

DAY, HOUR = 86_400.0, 3_600.0  # s
LOOKED_AT = 100  # runs, newest first, among which a successful one is looked for


def run_ended(settings: Settings, record: RunRecord, clock: Clock = now) -> None:
    """Metrics of a run that has ended."""
    if not settings.lake_stage:
        return
    ended = parse_rfc3339(record.ended_at) if record.ended_at else clock()
    values: dict[str, float] = {
        "Calls": record.calls,
        "Items": record.items,
        "Retries": record.retries,
        "AnswerBytes": record.bytes,
        "WaitedSeconds": record.waited_seconds,
        "RunSeconds": (ended - parse_rfc3339(record.started_at)).total_seconds(),
        "FailedRuns": int(not successful(record)),
        "Holes": len(record.holes),
    }
    if record.authorizations or successful(record):  # before the first login there is nothing to be late with
        values["SuccessfulRuns"] = int(successful(record))
    if record.authorizations:
        first = min(parse_rfc3339(each["ends_at"]) for each in record.authorizations)
        values["AuthorizationDaysLeft"] = (first - clock()).total_seconds() / DAY
    emit(settings.lake_stage, values, clock=clock, run_id=record.run_id)


def transformed(
    settings: Settings, key: str, built: Built, since: float, monotonic: Callable[[], float] = time.monotonic
) -> None:
    """Metrics of a raw object that has become rows."""
    if settings.lake_stage:
        values = {
            "RowsWritten": sum(built.rows.values()),
            "RowsRejected": built.rejected,
            "TransformSeconds": monotonic() - since,
        }
        emit(settings.lake_stage, values, raw_key=key)


def looked_over(settings: Settings, lake: Lake, handled: int, clock: Clock = now) -> None:
    """How long ago a run last succeeded and data last arrived, and how much had been left lying."""
    if not settings.lake_stage:
        return
    values: dict[str, float] = {"Untransformed": handled}
    success = last_success(lake, clock)
    if success:
        values["HoursSinceSuccess"] = (clock() - success).total_seconds() / HOUR
    newest = max((info.modified for info in lake.store.list(plays_prefix(lake))), default=None)
    if newest:
        values["FreshnessHours"] = (clock() - newest).total_seconds() / HOUR
    emit(settings.lake_stage, values, clock=clock)


def quarantined(settings: Settings, objects: int, raw_key: str = "") -> None:
    """How many raw objects were found unreadable just now; an alarm of its own tells of them."""
    if settings.lake_stage and objects:
        emit(settings.lake_stage, {"Quarantined": objects}, raw_key=raw_key)


def in_quarantine(lake: Lake) -> set[str]:
    """Keys of the reasons in quarantine."""
    return {info.key for info in reasons(lake)}


def last_success(lake: Lake, clock: Clock = now) -> datetime | None:
    """When the last of the newest runs that succeeded ended; None where none of them did."""
    for run_id in islice(run_ids(lake, clock=clock), LOOKED_AT):
        record = load_run(lake, run_id)
        if successful(record) and record.ended_at:
            return parse_rfc3339(record.ended_at)
    return None


def successful(record: RunRecord) -> bool:
    """Whether a run brought something or found that nothing was due: one whose every source failed did not."""
    if record.state in (FAILED, SUCCEEDED):
        return record.state == SUCCEEDED
    return any(one.items or one.state in (SUCCEEDED, SKIPPED) for one in record.sources)


def plays_prefix(lake: Lake) -> str:
    """What the keys of the plays' files begin with."""
    from chalicelib.lake import table_prefix
    from chalicelib.tables import PLAYS

    return table_prefix(lake.generation(), PLAYS.history)

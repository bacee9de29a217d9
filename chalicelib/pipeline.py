"""Raw objects to answers, step after step: what events, commands and the schedule have in common.

A step that was interrupted is found again by :func:`unhandled` and done by :func:`catch_up`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.clock import Clock, now
from chalicelib.errors import ImportRefused, InvalidRequest, LakeError
from chalicelib.exports.dropped import unimported
from chalicelib.lake import TRANSFORMED, Lake
from chalicelib.listeners import MOVES_PLAYS, event_of
from chalicelib.log import StepProgress

if TYPE_CHECKING:
    from chalicelib.exports.importing import ImportSummary
    from chalicelib.settings import Settings
    from chalicelib.transformation.compact import Compaction
    from chalicelib.transformation.transform import TransformReport

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """How many raw objects had been left lying, and of each partition of the tables that was written one key."""

    objects: int
    files: list[str]


def transform_key(lake: Lake, key: str, *, again: bool = False) -> TransformReport:
    """Turn one raw object into rows, and decide which listens its plays are. The report's ``files`` are all that it
    has in the tables, and what deciding wrote."""
    from chalicelib.plays.resolutions import resolve, resolve_keys
    from chalicelib.transformation.transform import transform_object

    report = transform_object(lake, key, again=again)
    resolved = resolve(lake) if event_of(key) in MOVES_PLAYS else resolve_keys(lake, report.files)
    return replace(report, files=[*report.files, *resolved])


def catch_up(lake: Lake, settings: Settings, progress: StepProgress | None = None, *, lately: bool = False) -> CaughtUp:
    """Do what was left lying, and make again what somebody deleted of the tables.

    ``lately``: while it is not long since everything was looked at, look only at what can have come since.
    """
    from chalicelib.plays.resolutions import resolve, resolve_keys
    from chalicelib.transformation.backlog import forget_lost, last_sweep, note_files, since_sweep
    from chalicelib.transformation.transform import pending_transforms

    since = since_sweep(lake, now()) if lately else ""
    lost = set() if since else forget_lost(lake)
    begins = not since and last_sweep(lake) is None  # with nothing noted, or anew
    objects, files, moved = 0, {}, False
    for report in pending_transforms(lake, since, progress):
        objects += 1
        moved |= event_of(report.raw_key) in MOVES_PLAYS
        files.update({name.rpartition("/")[0]: name for name in report.files})
    resolved = resolve(lake) if moved else resolve_keys(lake, files.values())
    files.update({name.rpartition("/")[0]: name for name in resolved})
    if lost or begins:
        files.update({name.rpartition("/")[0]: name for name in mend_listens(lake, lost)})
    if not since:
        note_files(lake)
    dropped = list(unimported(lake))
    for key in dropped:
        try:
            summary = import_key(lake, settings, key)
        except (ImportRefused, InvalidRequest) as error:  # it is in quarantine by now, or its sender is asked
            log.warning("%s could not be imported: %s", key, error.message)
        except LakeError as error:  # the others, and what follows, do not wait for it; its next look tries again
            log.error("%s could not be imported: %s", key, error.message)
        else:
            files.update({name.rpartition("/")[0]: name for name in (summary.written if summary else [])})
    return CaughtUp(objects + len(dropped), sorted(files.values()))


def mend_listens(lake: Lake, lost: set[str]) -> list[str]:
    """Bring back what kept exports say, and decide anew which listens there were, where ``lost`` partitions held that
    or nothing is known of the tables; answers keys that were written."""
    from chalicelib.exports.dropped import kept_exports
    from chalicelib.plays.resolutions import resolve
    from chalicelib.tables import EXPORTED, PLAYS, PLAYS_RESOLVED
    from chalicelib.transformation.backlog import stored_files

    listens = (f"{PLAYS.history}/", f"{PLAYS_RESOLVED.name}/")
    tables = (*listens, *(f"{table.history}/" for table in EXPORTED))
    months = {month for each in lost if each.startswith(listens) for month in months_of(each.rpartition("=")[2])}
    nothing = not lost and not any(each.startswith(listens) for each in stored_files(lake))
    if not months and not nothing and not any(each.startswith(tables) for each in lost):
        return []
    if next(kept_exports(lake), None) is None:
        return resolve(lake, months=months) if months else []
    from chalicelib.exports import importing

    importing.rebuild_plays(lake)
    prefix = f"{TRANSFORMED}{lake.generation()}/"
    return [f"{prefix}{each}/" for each in stored_files(lake) if each.startswith(tables)]


def months_of(partition: str) -> list[str]:
    """The months (YYYY-MM) of a partition of listens: one, or those of a year."""
    return [partition] if "-" in partition else [f"{partition}-{month:02d}" for month in range(1, 13)]


def tidy(
    lake: Lake,
    tables: Sequence[str] | None = None,
    *,
    min_files: int = 2,
    progress: StepProgress | None = None,
    clock: Clock = now,
) -> Compaction:
    """Merge small files of all tables or those named, and put old months together. Raises InvalidRequest for a name
    that is no table."""
    from chalicelib.plays.resolutions import gather_years
    from chalicelib.tables import PLAYS, PLAYS_RESOLVED
    from chalicelib.transformation.compact import compact

    merged = compact(lake, tables, min_files=min_files, old_months=True, clock=clock, progress=progress)
    if tables is None or {PLAYS.name, PLAYS_RESOLVED.name} & set(tables):
        gather_years(lake, clock=clock)
    return merged


def rebuild(
    lake: Lake,
    publish: Callable[[str], None],
    since: str | None = None,
    progress: StepProgress | None = None,
    remote: Callable[[str, str], None] | None = None,
) -> str:
    """Build every table anew from raw, beside those in force, and ``publish`` them; answers the generation.

    With ``remote`` each raw object is transformed by a call of it (see transformation/remote.py) instead of here.
    """
    from chalicelib.exports import importing
    from chalicelib.plays.resolutions import resolve
    from chalicelib.transformation import transform

    def complete_and_publish(generation: str) -> None:
        importing.rebuild_plays(lake.in_generation(generation))
        publish(generation)

    generation = transform.rebuild(lake, complete_and_publish, since, progress=progress, remote=remote)
    resolve(lake)  # what arrived meanwhile
    return generation


def import_key(lake: Lake, settings: Settings, key: str) -> ImportSummary | None:
    """Import a privacy export that was put into the raw zone; None when an import itself has put it there."""
    from chalicelib.exports.importing import import_dropped

    return import_dropped(lake, settings, key)


def sender_is_asked(key: str, error: LakeError) -> bool:
    """Whether an import that failed waits for its sender to say whose listening it is, and nothing is in quarantine."""
    from chalicelib.exports.announced import is_asked_back

    return is_asked_back(key, error)


def unhandled(lake: Lake) -> Iterator[str]:
    """Keys of raw objects whose event was never handled, answers first."""
    from chalicelib.transformation.backlog import pending

    yield from pending(lake)
    yield from unimported(lake)


def is_waiting(lake: Lake, clock: Clock = now) -> bool:
    """Whether there is something to catch up with or to clear away, or everything was last looked at a day ago."""
    from chalicelib.plays.resolutions import has_superseded
    from chalicelib.transformation.backlog import pending, since_sweep
    from chalicelib.transformation.compact import GRACE
    from chalicelib.transformation.compaction_notes import oldest_note

    since = since_sweep(lake, clock())
    if not since or any(pending(lake, since)) or any(unimported(lake)):
        return True
    oldest = oldest_note(lake, lake.generation())
    return (oldest is not None and oldest < clock() - GRACE) or has_superseded(lake, clock)


def lately_unhandled(lake: Lake) -> Iterator[str]:
    """As :func:`unhandled`, of what can have come since everything was last looked at."""
    from chalicelib.transformation.backlog import pending_lately

    yield from pending_lately(lake)
    yield from unimported(lake)

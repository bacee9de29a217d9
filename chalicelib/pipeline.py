"""Raw objects to answers, step after step: what events, commands and the schedule have in common.

A step that was interrupted is found again by :func:`unhandled` and done by :func:`catch_up`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.clock import Clock, now
from chalicelib.errors import ImportRefused, InvalidRequest, LakeError
from chalicelib.exports.dropped import unimported
from chalicelib.lake import Lake

if TYPE_CHECKING:
    from chalicelib.exports.importing import ImportSummary
    from chalicelib.settings import Settings
    from chalicelib.transformation.transform import TransformReport

Progress = Callable[[int, int, str], None]  # done, of how many, the one at hand
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """How many raw objects had been left lying, and the keys of the tables' files that were written."""

    objects: int
    files: list[str]


def transform_key(lake: Lake, key: str, *, again: bool = False) -> TransformReport:
    """Turn one raw object into rows, and decide which listens its plays are. The report's ``files`` are all that it
    has in the tables, and what deciding wrote."""
    from chalicelib.plays.resolutions import resolve_keys
    from chalicelib.transformation.transform import transform_object

    report = transform_object(lake, key, again=again)
    return replace(report, files=[*report.files, *resolve_keys(lake, report.files)])


def catch_up(lake: Lake, settings: Settings, progress: Progress | None = None, *, lately: bool = False) -> CaughtUp:
    """Do what was left lying.

    ``lately``: while it is not long since everything was looked at, look only at what can have come since.
    """
    from chalicelib.plays.resolutions import resolve_keys
    from chalicelib.transformation.transform import transform_lately_pending, transform_pending

    reports = transform_lately_pending(lake) if lately else transform_pending(lake, progress)
    files = [name for report in reports for name in report.files]
    files += resolve_keys(lake, files)
    dropped = list(unimported(lake))
    for key in dropped:
        try:
            summary = import_key(lake, settings, key)
        except (ImportRefused, InvalidRequest) as error:  # it lies in quarantine by now
            log.warning("%s lies in quarantine: %s", key, error.message)
        except LakeError as error:  # the others, and what follows, do not wait for it; its next look tries again
            log.error("%s could not be imported: %s", key, error.message)
        else:
            files += summary.written if summary else []
    return CaughtUp(len(reports) + len(dropped), files)


def rebuild(
    lake: Lake,
    publish: Callable[[str], None],
    since: str | None = None,
    progress: Progress | None = None,
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


def unhandled(lake: Lake) -> Iterator[str]:
    """Keys of raw objects whose event was never handled, answers first."""
    from chalicelib.transformation.backlog import pending

    yield from pending(lake)
    yield from unimported(lake)


def is_waiting(lake: Lake, clock: Clock = now) -> bool:
    """Whether there is something to catch up with or to clear away, or everything was last looked at a day ago."""
    from chalicelib.transformation.backlog import pending, since_sweep
    from chalicelib.transformation.compact import GRACE
    from chalicelib.transformation.compaction_notes import oldest_note

    since = since_sweep(lake, clock())
    if not since or any(pending(lake, since)) or any(unimported(lake)):
        return True
    oldest = oldest_note(lake, lake.generation())
    return oldest is not None and oldest < clock() - GRACE


def lately_unhandled(lake: Lake) -> Iterator[str]:
    """As :func:`unhandled`, of what can have come since everything was last looked at."""
    from chalicelib.transformation.backlog import pending_lately

    yield from pending_lately(lake)
    yield from unimported(lake)

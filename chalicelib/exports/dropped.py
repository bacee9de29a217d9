"""Privacy exports in the raw zone: which are kept, which were dropped there, and what became of those.

A kept export is ``raw/history/<user>/<digest>-<name>`` and was written by an import. Any other file below
``raw/history/`` was put there by somebody, to be imported: ``raw/history/<name>`` or ``raw/history/<user>/<name>``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.clock import Clock, now, rfc3339
from chalicelib.lake import KEPT, RAW_HISTORY, STATE, Lake, is_whole
from chalicelib.records import RecordKind

OUTCOMES = STATE + "imports/"


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What became of a dropped file: ``state`` is succeeded or failed, with the import's summary or the error."""

    state: str
    summary: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    key: str = ""
    at: str = ""


IMPORT_OUTCOME = RecordKind(
    ImportOutcome, "the outcome of an import", "delete it: the file is then imported again", derived=True
)


def kept_exports(lake: Lake) -> Iterator[str]:
    """Keys of the exports that imports have kept."""
    return (info.key for info in lake.store.list(RAW_HISTORY) if KEPT.fullmatch(info.key))


def unimported(lake: Lake) -> Iterator[str]:
    """Keys of files that were dropped and that no import has dealt with."""
    for info in lake.store.list(RAW_HISTORY):
        if is_whole(info.key) and not KEPT.fullmatch(info.key) and outcome(lake, info.key) is None:
            yield info.key


def outcome(lake: Lake, key: str) -> ImportOutcome | None:
    """What became of a dropped file; None while nothing has."""
    return IMPORT_OUTCOME.read(lake.store, outcome_key(key))


def note_outcome(lake: Lake, key: str, what: ImportOutcome, clock: Clock = now) -> None:
    """Note what became of a dropped file."""
    IMPORT_OUTCOME.write(lake.store, outcome_key(key), replace(what, key=key, at=rfc3339(clock())))


def outcome_key(key: str) -> str:
    """Where the outcome of a dropped file is noted."""
    return f"{OUTCOMES}{key.removeprefix(RAW_HISTORY)}.json"

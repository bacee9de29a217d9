"""Privacy exports in the raw zone: which are kept, which were dropped there, and what became of those.

A kept export is ``raw/history/<user>/<digest>-<name>`` and was written by an import. Any other file below
``raw/history/`` was put there by somebody, to be imported: ``raw/history/<name>`` or ``raw/history/<user>/<name>``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from chalicelib.clock import Clock, now, rfc3339
from chalicelib.lake import RAW_HISTORY, STATE, Lake

KEPT = re.compile(rf"{RAW_HISTORY}([^/]+)/([0-9a-f]{{32}})-([^/]+)")
OUTCOMES = STATE + "imports/"


def kept_exports(lake: Lake) -> Iterator[str]:
    """Keys of the exports that imports have kept."""
    return (info.key for info in lake.store.list(RAW_HISTORY) if KEPT.fullmatch(info.key))


def listeners_kept(lake: Lake) -> set[str]:
    """Whose exports are kept."""
    return {unquote(key.split("/")[2]) for key in kept_exports(lake)}


def unimported(lake: Lake) -> Iterator[str]:
    """Keys of files that were dropped and that no import has dealt with."""
    for info in lake.store.list(RAW_HISTORY):
        if not KEPT.fullmatch(info.key) and lake.store.stat(outcome_key(info.key)) is None:
            yield info.key


def outcome(lake: Lake, key: str) -> dict[str, Any] | None:
    """What became of a dropped file: ``state``, and ``summary`` or ``error``; None while nothing has."""
    noted = outcome_key(key)
    if lake.store.stat(noted) is None:
        return None
    found: dict[str, Any] = json.loads(lake.store.read(noted))
    return found


def note_outcome(lake: Lake, key: str, what: dict[str, Any], clock: Clock = now) -> None:
    data = json.dumps({"key": key, "at": rfc3339(clock()), **what}).encode()
    lake.store.write(outcome_key(key), data, content_type="application/json")


def outcome_key(key: str) -> str:
    return f"{OUTCOMES}{key.removeprefix(RAW_HISTORY)}.json"

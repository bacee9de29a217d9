"""What lies in quarantine: each raw object and export that could not be read or believed, with the reason.

Of a raw object the reason lies beside a copy of it; of an export, which is never copied, alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.errors import NotFound
from chalicelib.lake import QUARANTINE, RAW, RAW_HISTORY, Lake, ObjectInfo

REASON = ".reason.json"
EXPORT_REASON = ".json"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One object in quarantine since then (UTC); ``code``, ``message`` and ``details`` are those of the error."""

    raw_key: str
    since: datetime
    code: str
    message: str
    details: dict[str, Any]


def copy_key(key: str) -> str:
    """Where the copy of a raw object lies."""
    return QUARANTINE + key.removeprefix(RAW)


def reason_key(key: str) -> str:
    """Where the reason lies why a raw object or an export is in quarantine."""
    return f"{QUARANTINE}{key}{EXPORT_REASON}" if key.startswith(RAW_HISTORY) else copy_key(key) + REASON


def is_reason(key: str) -> bool:
    """Whether an object of the quarantine says why another one is there."""
    return key.endswith(REASON) or key.startswith(QUARANTINE + RAW_HISTORY)


def reasons(lake: Lake) -> Iterator[ObjectInfo]:
    """The reasons of all that lies in quarantine."""
    return (info for info in lake.store.list(QUARANTINE) if is_reason(info.key))


def quarantined(lake: Lake, reason: ObjectInfo) -> Quarantined | None:
    """What a reason says; None where the object has left quarantine meanwhile."""
    try:
        told = json.loads(lake.store.read(reason.key))
    except NotFound:
        return None
    error = told.get("error", told)
    raw_key = told.get("raw_key") or reason.key.removeprefix(QUARANTINE).removesuffix(EXPORT_REASON)
    return Quarantined(raw_key, reason.modified, error["code"], error["message"], error["details"])

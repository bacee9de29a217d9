"""What lies in quarantine: each raw object and export that could not be read or believed, with the reason.

Of a raw object the reason lies beside a copy of it; of an export, which is never copied, alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chalicelib.errors import LakeError, RecordDamaged
from chalicelib.lake import QUARANTINE, RAW, RAW_HISTORY, Lake, ObjectInfo
from chalicelib.records import RecordKind

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


@dataclass(slots=True)
class Reason:
    """The error that put an object in quarantine."""

    raw_key: str
    code: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)


REASON_KIND = RecordKind(
    Reason, "the reason why an object is in quarantine", "transform or import it again: what is wrong is found again"
)


def copy_key(key: str) -> str:
    """Where the copy of a raw object lies."""
    return QUARANTINE + key.removeprefix(RAW)


def reason_key(key: str) -> str:
    """Where the reason lies why a raw object or an export is in quarantine."""
    return f"{QUARANTINE}{key}{EXPORT_REASON}" if key.startswith(RAW_HISTORY) else copy_key(key) + REASON


def raw_key(reason: str) -> str:
    """The raw object or export whose reason lies at ``reason``."""
    name = reason.removeprefix(QUARANTINE)
    return name.removesuffix(EXPORT_REASON) if name.startswith(RAW) else RAW + name.removesuffix(REASON)


def is_reason(key: str) -> bool:
    """Whether an object of the quarantine says why another one is there."""
    return key.endswith(REASON) or key.startswith(QUARANTINE + RAW_HISTORY)


def reasons(lake: Lake) -> Iterator[ObjectInfo]:
    """The reasons of all that lies in quarantine."""
    return (info for info in lake.store.list(QUARANTINE) if is_reason(info.key))


def note_reason(lake: Lake, key: str, error: LakeError) -> Reason:
    """Note that a raw object or an export is in quarantine, and why."""
    reason = Reason(key, error.code, error.message, error.details)
    REASON_KIND.write(lake.store, reason_key(key), reason)
    return reason


def release(lake: Lake, key: str) -> None:
    """Take a raw object or an export out of quarantine; no error where it is not there."""
    lake.store.delete([copy_key(key), reason_key(key)])


def quarantined(lake: Lake, info: ObjectInfo) -> Quarantined | None:
    """What a reason says; None where the object has left quarantine meanwhile. A damaged reason says that it is."""
    try:
        reason = REASON_KIND.read(lake.store, info.key)
    except RecordDamaged as error:
        reason = Reason(raw_key(info.key), error.code, error.message, error.details)
    if reason is None:
        return None
    return Quarantined(reason.raw_key, info.modified, reason.code, reason.message, reason.details)

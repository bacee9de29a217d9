"""Privacy exports that come over the API: announced, received into ``raw/history/``, then imported by the event.

The record of an announced import lies in ``results/imports/``; what became of its rows is importing.py's to say.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from chalicelib.clock import Clock, now, rfc3339
from chalicelib.errors import Conflict, InvalidRequest, LakeError, NotFound
from chalicelib.exports.dropped import outcome
from chalicelib.files import scratch_folder
from chalicelib.lake import RAW_HISTORY, RESULTS, Lake
from chalicelib.listeners import everybody, known_listeners, newcomer
from chalicelib.records import RecordKind
from chalicelib.runs import new_run_id
from chalicelib.settings import Settings

ANNOUNCED = RESULTS + "imports/"
LINK_LASTS = timedelta(hours=1)
UNNAMED = re.compile(rf"{RAW_HISTORY}\d{{8}}T\d{{6}}Z-[0-9a-f]{{6}}-[^/]+")  # keys of files announced without a user
FILENAME = r"[A-Za-z0-9][A-Za-z0-9 ()_.-]{0,190}\.(zip|json|jsonl|csv|tsv)"


class ImportState(StrEnum):
    """How far an import has come."""

    WAITING = "waiting"  # for its file
    RECEIVED = "received"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(slots=True)
class AnnouncedImport:
    """A file that will come, or has come. ``state`` is waiting or received; ``key`` is where it lies then."""

    import_id: str
    state: ImportState
    filename: str
    user_id: str | None
    key: str
    announced_at: str
    received_at: str | None = None


ANNOUNCED_IMPORT = RecordKind(AnnouncedImport, "an announced import", "delete it and announce the file again")


def announce(
    settings: Settings,
    lake: Lake,
    filename: str,
    user_id: str | None,
    size: int | None = None,
    *,
    new_listener: str | None = None,
    clock: Clock = now,
) -> tuple[AnnouncedImport, dict[str, Any]]:
    """Note that a file will come, and where to put it: here, or on AWS to a link of S3, which takes a file of ``size``
    bytes and no other where the size is said.

    ``user_id`` is a known listener's id or name, or the id of a new one; ``new_listener`` the name of somebody new.

    Raises InvalidRequest, with those ``known`` where it could be the listening of several.
    """
    if not re.fullmatch(FILENAME, filename):
        raise InvalidRequest(
            f"filename {filename!r} must end in .zip, .json, .jsonl, .csv or .tsv and hold no folder", filename=filename
        )
    moment = clock()
    import_id = new_run_id(moment)
    user_id = announced_listener(lake, user_id, new_listener)
    folder = f"{quote(user_id, safe='')}/" if user_id else ""
    key = f"{RAW_HISTORY}{folder}{import_id}-{filename.replace(' ', '_')}"
    record = AnnouncedImport(import_id, ImportState.WAITING, filename, user_id, key, rfc3339(moment))
    write_record(lake, record)
    return record, upload_target(settings, lake, record, size, clock)


def announced_listener(lake: Lake, user_id: str | None, new_listener: str | None) -> str | None:
    """Whose export is announced. None where nobody is known yet: then the export itself may tell."""
    if user_id and new_listener:
        raise InvalidRequest("send user_id or new_listener, not both")
    if new_listener:
        return newcomer(lake, new_listener)
    if user_id:
        person = everybody(lake).find(user_id)
        return person.user_id if person else user_id
    return only_listener(lake)


def only_listener(lake: Lake) -> str | None:
    """The one who has logged in; None where nobody is known yet. Raises InvalidRequest where there are several."""
    known = known_listeners(lake)
    if len(known) > 1:
        could = ", ".join(map(everybody(lake).label_of, known))
        raise InvalidRequest(
            f"whose listening is this export? It could be of {could}: say whose it is, a known "
            "listener (user_id) or the name of somebody new (new_listener)",
            known=known,
        )
    return known[0] if known else None


def upload_target(
    settings: Settings, lake: Lake, record: AnnouncedImport, size: int | None, clock: Clock
) -> dict[str, Any]:
    """How and where to send the file; ``expires_at`` only for a link."""
    if settings.on_aws:
        from chalicelib.stores.s3 import LARGEST_PUT, upload_link

        if size is not None and size > LARGEST_PUT:
            raise InvalidRequest(
                f"the file has {size:,} bytes: a link takes {LARGEST_PUT:,} at most; send the zip, not what is in it"
            )

        link = upload_link(lake.store, record.key, LINK_LASTS, size)
        return {"method": "PUT", "url": link, "expires_at": rfc3339(clock() + LINK_LASTS)}
    return {"method": "PUT", "url": f"imports/{record.import_id}", "expires_at": None}


def receive(lake: Lake, import_id: str, body: Any, *, clock: Clock = now) -> AnnouncedImport:
    """Put an announced file into the raw zone. ``body`` is bytes or a Spooled file.

    Raises NotFound, Conflict, InvalidRequest.
    """
    record = read_record(lake, import_id)
    if record.received_at or lake.store.stat(record.key):
        raise Conflict(f"the file of import {import_id} is here already: announce another", import_id=import_id)
    if not len(body):
        raise InvalidRequest("the body is empty: send the file itself", import_id=import_id)
    with scratch_folder() as folder:
        path = folder / "upload"
        if isinstance(body, bytes):
            path.write_bytes(body)
        else:
            with body.open() as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
        lake.store.write_file(record.key, path)
    record.state, record.received_at = ImportState.RECEIVED, rfc3339(clock())
    write_record(lake, record)
    return record


def look_up(lake: Lake, import_id: str) -> tuple[AnnouncedImport, dict[str, Any] | None, dict[str, Any] | None]:
    """An announced import as it stands; at its end with the summary, or the error. Raises NotFound."""
    record = read_record(lake, import_id)
    if record.state == ImportState.WAITING and is_there(lake, record.key):
        record.state = ImportState.RECEIVED
    ended = outcome(lake, record.key)
    if ended is None:
        return record, None, None
    record.state = ImportState(ended.state)
    return record, ended.summary or None, ended.error or None


def is_there(lake: Lake, key: str) -> bool:
    """Whether an export has come. Asked by listing: on AWS the API may see what exports there are, but read none."""
    return any(info.key == key for info in lake.store.list(key))


def is_asked_back(key: str, error: LakeError) -> bool:
    """Whether an announced file cannot be imported because nobody can tell whose it is. Who sent it is asked, and sends
    it again with the answer: what was sent first is nobody's, and not kept."""
    return UNNAMED.fullmatch(key) is not None and "known" in error.details


def read_record(lake: Lake, import_id: str) -> AnnouncedImport:
    """An announced import as it was noted last. Raises NotFound."""
    record = ANNOUNCED_IMPORT.read(lake.store, f"{ANNOUNCED}{import_id}.json")
    if record is None:
        raise NotFound(f"there is no import {import_id}: POST /imports announces one", import_id=import_id)
    return record


def write_record(lake: Lake, record: AnnouncedImport) -> None:
    """Note an announced import."""
    ANNOUNCED_IMPORT.write(lake.store, f"{ANNOUNCED}{record.import_id}.json", record)

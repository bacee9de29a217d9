"""Publishing the files of one raw object, and the notes that make an interrupted transform known.

What is about to be published is written down first (``state/transforms/<generation>/open/``), that it is done last
(``.../done/``): whatever is interrupted is found and driven again, and files that an earlier transform of the same
object left are removed. A raw object that cannot be published lies in ``quarantine/`` beside the reason until it can.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from chalicelib.errors import LakeError, NotFound
from chalicelib.lake import QUARANTINE, RAW, RAW_ANSWERS, RAW_RUNS, STATE, Lake, transformed_note
from chalicelib.quarantine import REASON, copy_key, reason_key
from chalicelib.transformation.build import Built

PARQUET = "application/vnd.apache.parquet"
WRITES_AT_ONCE = 8
Files = Mapping[str, bytes | Path]  # by key: the content, or the file that holds it and may be moved
TRANSFORM_VERSION = 1  # raised when the same raw object gives other rows than before


def noted_done(lake: Lake, generation: str, key: str, etag: str) -> tuple[list[str], Built] | None:
    """The files of an object that this version has transformed already as it is now, and what was in it."""
    note = read_json(lake, done_key(generation, key))
    if note is None or note["etag"] != etag or note["version"] != TRANSFORM_VERSION:
        return None
    return note["files"], Built(**note["built"])


def publish(lake: Lake, generation: str, key: str, etag: str, built: Built, files: Files) -> list[str]:
    """Make the files of one raw object visible, and those of an earlier transform of it disappear."""
    done, begun = notes_of(lake, generation, key)
    stale = {*done.get("files", ()), *begun.get("files", ())} - files.keys()
    plan = {**begun, "raw_key": key, "files": sorted(files.keys() | stale)}
    write_json(lake, open_key(generation, key), plan)
    write_all(lake, files)
    lake.store.delete(sorted(stale))
    if done.get("quarantined"):
        release(lake, key)
    remember(lake, generation, key, etag, sorted(files), built)
    return sorted(files)


def write_all(lake: Lake, files: Files) -> None:
    """Write files side by side: each waits for the disk or the network most of its time."""

    def write(name: str) -> None:
        content = files[name]
        if isinstance(content, Path):
            lake.store.write_file(name, content)
        else:
            lake.store.write(name, content, content_type=PARQUET)

    writing = [writers().submit(write, name) for name in files]
    wait(writing)
    for written in writing:
        written.result()


@cache
def writers() -> ThreadPoolExecutor:
    """Threads that stay: starting them for each object would take longer than some objects do."""
    return ThreadPoolExecutor(WRITES_AT_ONCE, thread_name_prefix="write")


def remember(lake: Lake, generation: str, key: str, etag: str, files: list[str], built: Built, **more: Any) -> None:
    """Note that an object is done. Written last: until then the object counts as not transformed."""
    note = {"raw_key": key, "etag": etag, "version": TRANSFORM_VERSION, "files": files, "built": asdict(built)}
    write_json(lake, done_key(generation, key), {**note, **more})
    lake.store.delete([open_key(generation, key)])


def notes_of(lake: Lake, generation: str, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The notes of an object's last transform and of one that was begun since; empty where there is none."""
    return read_json(lake, done_key(generation, key)) or {}, read_json(lake, open_key(generation, key)) or {}


def quarantine(lake: Lake, generation: str, key: str, etag: str, error: LakeError, files: Files | None = None) -> None:
    """Put a copy of an object that cannot be published and the reason aside, and take back what it had published.

    ``files`` tell what its checks have found.
    """
    files = files or {}
    reason = {"raw_key": key, "code": error.code, "message": error.message, "details": error.details}
    copy(lake, key, copy_key(key))
    write_json(lake, reason_key(key), reason)
    done, begun = notes_of(lake, generation, key)
    write_all(lake, files)
    lake.store.delete(sorted({*done.get("files", ()), *begun.get("files", ())} - files.keys()))
    remember(lake, generation, key, etag, sorted(files), Built(failures={error.code: 1}), quarantined=reason)


def release(lake: Lake, key: str) -> None:
    """Take an object out of quarantine."""
    lake.store.delete([copy_key(key), reason_key(key)])


def release_mended(lake: Lake) -> None:
    """Take out of quarantine what the generation in force has published."""
    generation = lake.generation()
    for prefix in (RAW_ANSWERS, RAW_RUNS):
        for info in lake.store.list(QUARANTINE + prefix.removeprefix(RAW)):
            key = RAW + info.key.removeprefix(QUARANTINE).removesuffix(REASON)
            note = read_json(lake, done_key(generation, key)) if info.key.endswith(REASON) else None
            if note and not note.get("quarantined"):
                release(lake, key)


def copy(lake: Lake, key: str, to: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "object"
        with lake.store.open(key) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
        lake.store.write_file(to, path)


# --- keys ---------------------------------------------------------------------------------------------------------


def object_name(key: str) -> str:
    """What a raw object's files are called: its run and source, readable, and a digest of the whole key."""
    run, _, part = key.removeprefix(RAW).rpartition("/")
    stem = f"{run.rpartition('/')[2]}-{part.partition('.')[0]}"
    readable = re.sub(r"[^0-9A-Za-z-]+", "-", stem).strip("-")[:80]
    return f"{readable}-{hashlib.blake2b(key.encode(), digest_size=6).hexdigest()}"


def done_key(generation: str, key: str) -> str:
    return transformed_note(generation, key)


def open_key(generation: str, key: str) -> str:
    return f"{STATE}transforms/{generation}/open/{key.removeprefix(RAW)}.json"


def read_json(lake: Lake, key: str) -> dict[str, Any] | None:
    try:
        content = lake.store.read(key)
    except NotFound:
        return None
    document: dict[str, Any] = json.loads(content)
    return document


def write_json(lake: Lake, key: str, document: dict[str, Any]) -> None:
    lake.store.write(key, json.dumps(document).encode(), content_type="application/json")

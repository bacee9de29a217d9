"""One raw object to tables: build its files, publish them, and remember that it is done.

The files of a raw object are named after it, so that transforming it twice, or twice at once, changes nothing.
Nothing is published before the whole object has been read and checked. What is about to be published is written
down first (``state/transforms/<generation>/open/``), that it is done last (``.../done/``): whatever is interrupted
is found and driven again (:func:`pending`), and files that an earlier transform of the object left are removed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chalicelib.build import Built, build_answers, build_run
from chalicelib.errors import InvalidRequest, LakeError, NotFound, RawObjectInvalid
from chalicelib.lake import QUARANTINE, RAW, RAW_ANSWERS, RAW_RUNS, STATE, Lake
from chalicelib.parquet import TableFiles
from chalicelib.quality import CheckFailed
from chalicelib.raw import unpack

TRANSFORM_VERSION = 1  # raised when the same raw object gives other rows than before
MOST_ATTEMPTS = 5  # drives of one raw object after which it goes to quarantine

Progress = Callable[[int, int, str], None]  # objects done, of how many, the one at hand


@dataclass(frozen=True, slots=True)
class TransformReport:
    """What one transform did. ``state`` is done, or unchanged when it had been done before."""

    raw_key: str
    state: str
    files: list[str]
    built: Built


def transform_object(lake: Lake, key: str, *, again: bool = False) -> TransformReport:
    """Transform one object of ``raw/spotify/`` or ``raw/runs/`` into the tables of the generation in force.

    An object that is done already is left alone unless ``again``. Raises RawObjectInvalid or CheckFailed when it
    cannot be published; then it lies in quarantine with the reason, and nothing of it is in the tables.
    """
    info = lake.store.stat(key)
    if info is None:
        raise NotFound(f"there is no object {key} in the lake", key=key)
    generation = lake.generation()
    done = read_json(lake, done_key(generation, key))
    if done and not again and done["etag"] == info.etag and done["version"] == TRANSFORM_VERSION:
        return TransformReport(key, "unchanged", done["files"], Built(**done["built"]))
    files = TableFiles(generation, object_name(key))
    try:
        built = build(lake, key, files)
    except (RawObjectInvalid, CheckFailed) as error:
        quarantine(lake, generation, key, info.etag, error)
        raise
    written = publish(lake, generation, key, info.etag, built, files.finish())
    return TransformReport(key, "done", written, built)


def build(lake: Lake, key: str, files: TableFiles) -> Built:
    if key.startswith(RAW_ANSWERS):
        with lake.store.open(key) as stream:
            return build_answers(key, unpack(stream), files)
    if key.startswith(RAW_RUNS):
        return build_run(key, lake.store.read(key), files)
    raise InvalidRequest(f"{key} is not under {RAW_ANSWERS} or {RAW_RUNS}: there is nothing to transform", key=key)


def publish(lake: Lake, generation: str, key: str, etag: str, built: Built, files: dict[str, bytes]) -> list[str]:
    """Make the files of one raw object visible, and those of an earlier transform of it disappear."""
    stale = files_of(lake, generation, key) - files.keys()
    noted = read_json(lake, open_key(generation, key)) or {}
    plan = {**noted, "raw_key": key, "files": sorted(files.keys() | stale)}
    write_json(lake, open_key(generation, key), plan)
    for name, content in files.items():
        lake.store.write(name, content, content_type="application/vnd.apache.parquet")
    lake.store.delete(sorted(stale))
    remember(lake, generation, key, etag, sorted(files), built)
    return sorted(files)


def remember(lake: Lake, generation: str, key: str, etag: str, files: list[str], built: Built) -> None:
    """Note that an object is done. Written last: until then the object counts as not transformed."""
    note = {"raw_key": key, "etag": etag, "version": TRANSFORM_VERSION, "files": files, "built": asdict(built)}
    write_json(lake, done_key(generation, key), note)
    lake.store.delete([open_key(generation, key)])


def files_of(lake: Lake, generation: str, key: str) -> set[str]:
    """Files that earlier transforms of a raw object wrote or were about to write."""
    notes = (read_json(lake, done_key(generation, key)), read_json(lake, open_key(generation, key)))
    return {name for note in notes if note for name in note.get("files", [])}


def quarantine(lake: Lake, generation: str, key: str, etag: str, error: LakeError) -> None:
    """Put a copy of an unreadable object and the reason aside, and take back what it had published."""
    reason = {"raw_key": key, "code": error.code, "message": error.message, "details": error.details}
    copy(lake, key, QUARANTINE + key.removeprefix(RAW))
    write_json(lake, reason_key(key), reason)
    lake.store.delete(sorted(files_of(lake, generation, key)))
    remember(lake, generation, key, etag, [], Built(failures={error.code: 1}))


def copy(lake: Lake, key: str, to: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "object"
        with lake.store.open(key) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
        lake.store.write_file(to, path)


# --- what is left to do -------------------------------------------------------------------------------------------


def pending(lake: Lake) -> Iterator[str]:
    """Raw keys that the generation in force does not have yet, oldest first."""
    generation = lake.generation()
    prefix = done_key(generation, RAW).removesuffix(".json")
    done = {info.key.removeprefix(prefix).removesuffix(".json") for info in lake.store.list(prefix)}
    for key in raw_keys(lake):
        if key.removeprefix(RAW) not in done:
            yield key


def untransformed(lake: Lake, keys: Iterable[str]) -> list[str]:
    """Those of ``keys`` that the generation in force does not have yet."""
    generation = lake.generation()
    return [key for key in keys if lake.store.stat(done_key(generation, key)) is None]


def raw_keys(lake: Lake, since: str | None = None) -> Iterator[str]:
    """Every raw object that transforms, answers before runs; ``since`` (YYYY-MM-DD) leaves out earlier days."""
    for prefix in (RAW_ANSWERS, RAW_RUNS):
        start = prefix + since.replace("-", "/") if since else ""
        for info in lake.store.list(prefix, start_after=start):
            yield info.key


def transform_pending(lake: Lake, progress: Progress | None = None) -> list[TransformReport]:
    """Transform what was never transformed or was interrupted; what failed too often goes to quarantine."""
    keys = list(pending(lake))
    reports = []
    for number, key in enumerate(keys):
        if progress:
            progress(number, len(keys), key)
        report = drive(lake, key)
        if report:
            reports.append(report)
    return reports


def drive(lake: Lake, key: str) -> TransformReport | None:
    """Transform one object that may have failed before; None when it went to quarantine."""
    generation = lake.generation()
    note = read_json(lake, open_key(generation, key)) or {"raw_key": key, "files": []}
    attempts = int(note.get("attempts", 0)) + 1
    if attempts > MOST_ATTEMPTS:
        info = lake.store.stat(key)
        gave_up = RawObjectInvalid(f"{key} was tried {MOST_ATTEMPTS} times and never got done", key=key)
        quarantine(lake, generation, key, info.etag if info else "", gave_up)
        return None
    write_json(lake, open_key(generation, key), {**note, "attempts": attempts})
    try:
        return transform_object(lake, key)
    except (RawObjectInvalid, CheckFailed):
        return None  # it lies in quarantine with the reason


# --- keys ---------------------------------------------------------------------------------------------------------


def object_name(key: str) -> str:
    """What a raw object's files are called: its run and source, readable, and a digest of the whole key."""
    run, _, part = key.removeprefix(RAW).rpartition("/")
    stem = f"{run.rpartition('/')[2]}-{part.partition('.')[0]}"
    readable = re.sub(r"[^0-9A-Za-z-]+", "-", stem).strip("-")[:80]
    return f"{readable}-{hashlib.blake2b(key.encode(), digest_size=6).hexdigest()}"


def done_key(generation: str, key: str) -> str:
    return f"{STATE}transforms/{generation}/done/{key.removeprefix(RAW)}.json"


def open_key(generation: str, key: str) -> str:
    return f"{STATE}transforms/{generation}/open/{key.removeprefix(RAW)}.json"


def reason_key(key: str) -> str:
    return f"{QUARANTINE}{key.removeprefix(RAW)}.reason.json"


def read_json(lake: Lake, key: str) -> dict[str, Any] | None:
    try:
        content = lake.store.read(key)
    except NotFound:
        return None
    document: dict[str, Any] = json.loads(content)
    return document


def write_json(lake: Lake, key: str, document: dict[str, Any]) -> None:
    lake.store.write(key, json.dumps(document).encode(), content_type="application/json")

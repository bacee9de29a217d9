"""`lake copy`: all of a lake to another place, a folder or a bucket, and back. Interrupted, it goes on where it was.

A lake may be at work while it is copied: what changed meanwhile is copied again, until nothing has changed from one
look to the next. The copy is then what the lake was at one moment, as a computer that stops then would leave it.

An object counts as copied when reading it back gives what it was copied from; one that is there already is read and
compared, and not written again. What is derived (tables, state) is made equal, so that a lake that went on can be
copied again; of what cannot be made again nothing is deleted.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from chalicelib.errors import Conflict, InvalidRequest, NotFound, StorageFailed
from chalicelib.files import scratch_folder
from chalicelib.lake import (
    GENERATION_KEY,
    QUARANTINE,
    RAW,
    RAW_RUNS,
    REPORTS,
    STATE,
    TRANSFORMED,
    Lake,
    ObjectInfo,
    ObjectStore,
    is_whole,
)
from chalicelib.log import StepProgress

KEPT = (RAW, REPORTS)  # cannot be made again
DERIVED = (TRANSFORMED, QUARANTINE, STATE)
OF_THE_PLACE = ("run-lock", "crawl.lock", "duckdb/", "deploy/", ".")  # in state/: nothing of the lake itself
LEFT_OUT = tuple(f"{STATE}{name}" for name in OF_THE_PLACE)
AT_ONCE = 8  # objects: what a bucket takes long for is waiting
PIECE = 1 << 20  # bytes
IN_MEMORY = 16 * PIECE  # bytes of an object that is not copied by way of a file
PAUSE = 2.0  # s between two looks at a lake that goes on changing
MOST_LOOKS = 900  # half an hour: longer than a run may take
SHOWN = 3  # keys that a message names


@dataclass(slots=True)
class Copied:
    """What a copy did: objects written, and those that were there already, all compared."""

    written: int = 0
    same: int = 0
    bytes: int = 0
    deleted: int = 0
    keys: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return (
            f"{self.written:,} objects copied ({self.bytes:,} bytes), {self.same:,} were there; each was read back and "
            f"compared; {self.deleted:,} that are no more were deleted"
        )


def copy_lake(
    source: Lake, target: Lake, progress: StepProgress | None = None, sleep: Callable[[float], None] = time.sleep
) -> Copied:
    """Copy all that is in ``source``, as it was at one moment.

    Raises InvalidRequest where ``target`` holds raw data that ``source`` has not (it is another lake), Conflict where
    ``source`` does not stand still for the time of a look.
    """
    held = {info.key: info for info in objects(target.store)}
    seen = {info.key: info for info in objects(source.store)}
    refuse_other_lake(seen.keys(), held.keys())
    copied = Copied()
    copy_objects(source.store, target.store, list(seen.values()), held, copied, progress)
    for _ in range(MOST_LOOKS):
        wanted = {info.key: info for info in objects(source.store)}
        if wanted == seen:
            break
        sleep(PAUSE)
        changed = [info for key, info in wanted.items() if seen.get(key) != info]
        copy_objects(source.store, target.store, changed, {}, copied, progress)
        seen = wanted
    else:
        raise Conflict(
            "the lake went on changing for half an hour: what was copied is kept; give the same command again when no "
            "run is going on"
        )
    there = {*held, *copied.keys}
    gone = [key for key in there - seen.keys() if key.startswith(DERIVED) or key not in held]
    target.store.delete(gone)
    copied.deleted = len(gone)
    return copied


def objects(store: ObjectStore) -> Iterator[ObjectInfo]:
    """All that is copied of a lake; not what is still being put there."""
    for prefix in (*KEPT, *DERIVED):
        for info in store.list(prefix):
            if not info.key.startswith(LEFT_OUT) and (is_whole(info.key) or not info.key.startswith(RAW)):
                yield info


def refuse_other_lake(wanted: Collection[str], held: Iterable[str]) -> None:
    """Raises InvalidRequest where raw data lies that the lake to be copied does not have; but for the records of runs,
    which a lake has before anybody has logged in there."""
    others = [key for key in held if key.startswith(RAW) and not key.startswith(RAW_RUNS) and key not in wanted]
    if others:
        raise InvalidRequest(
            f"the place to copy to holds raw data that this lake does not have ({', '.join(sorted(others)[:SHOWN])}): "
            "it is another lake, or the newer one; copy to an empty place, or the other way round"
        )


def copy_objects(
    source: ObjectStore,
    target: ObjectStore,
    infos: list[ObjectInfo],
    held: dict[str, ObjectInfo],
    copied: Copied,
    progress: StepProgress | None,
) -> None:
    """Copy what was listed, several at a time, and what says of a thing that it is done after that thing."""
    pool = ThreadPoolExecutor(AT_ONCE, "copy")
    number = 0
    try:
        for _, group in itertools.groupby(sorted(infos, key=turn), key=lambda info: turn(info)[0]):
            listed = list(group)
            sizes = pool.map(lambda info: copy_object(source, target, info, held.get(info.key)), listed)
            for info, size in zip(listed, sizes, strict=True):
                count(copied, info, size)
                number += 1
                if progress:
                    progress(number, len(infos), info.key)
    finally:
        pool.shutdown(cancel_futures=True)


def turn(info: ObjectInfo) -> tuple[int, str]:
    """When an object is copied: what is kept, tables, state; the last says which tables are in force."""
    if info.key == GENERATION_KEY:
        return 3, info.key
    return (2 if info.key.startswith(STATE) else 0 if info.key.startswith(KEPT) else 1), info.key


def count(copied: Copied, info: ObjectInfo, size: int | None) -> None:
    """Note what became of an object (see :func:`copy_object`)."""
    copied.keys.add(info.key)
    copied.same += size is None
    copied.written += size is not None
    copied.bytes += size or 0


def copy_object(source: ObjectStore, target: ObjectStore, info: ObjectInfo, there: ObjectInfo | None) -> int | None:
    """Copy one object; answers the bytes written, None where the same was there or it is gone by now, which the next
    look tells. Raises StorageFailed where another is read back than was written."""
    try:
        if info.size > IN_MEMORY:
            return by_file(source, target, info, there)
        content = source.read(info.key)
    except NotFound:
        return None
    if there and there.size == len(content) and target.read(info.key) == content:
        return None
    target.write(info.key, content)
    if target.read(info.key) != content:
        raise another_read_back(info.key)
    return len(content)


def by_file(source: ObjectStore, target: ObjectStore, info: ObjectInfo, there: ObjectInfo | None) -> int | None:
    """Copy an object that need not fit in memory. Raises NotFound, StorageFailed."""
    with scratch_folder() as folder:
        path = folder / "object"
        with source.open(info.key) as stream, path.open("wb") as file:
            shutil.copyfileobj(stream, file, PIECE)
        size, digest = path.stat().st_size, digest_of_file(path)
        if there and there.size == size and digest_of(target, info.key) == digest:
            return None
        target.write_file(info.key, path)
    if digest_of(target, info.key) != digest:
        raise another_read_back(info.key)
    return size


def another_read_back(key: str) -> StorageFailed:
    """What a store is told that does not keep what it is given."""
    return StorageFailed(f"{key} was written and another is read back: give the command again")


def digest_of(store: ObjectStore, key: str) -> bytes:
    """What an object's bytes are."""
    found = hashlib.sha256()
    with store.open(key) as stream:
        while piece := stream.read(PIECE):
            found.update(piece)
    return found.digest()


def digest_of_file(path: Path) -> bytes:
    """What a file's bytes are."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()

"""`lake copy`: all of a lake to another place, a folder or a bucket, and back. Interrupted, it goes on where it was.

An object counts as copied when reading it back gives what it was copied from; one that is there already is read and
compared, and not written again. What is derived (tables, state) is made equal, so that a lake that went on can be
copied again; of what cannot be made again nothing is deleted.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from chalicelib.errors import InvalidRequest, StorageFailed
from chalicelib.lake import GENERATION_KEY, QUARANTINE, RAW, REPORTS, STATE, TRANSFORMED, Lake, ObjectInfo, ObjectStore
from chalicelib.log import StepProgress

KEPT = (RAW, REPORTS)  # cannot be made again
DERIVED = (QUARANTINE, TRANSFORMED, STATE)
LEFT_OUT = (f"{STATE}run-lock.json", f"{STATE}duckdb/")  # of this place alone
PIECE = 1 << 20  # bytes
IN_MEMORY = 16 * PIECE  # bytes of an object that is not copied by way of a file
SHOWN = 3  # keys that a message names


@dataclass(slots=True)
class Copied:
    """What a copy did: objects written, and those that were there already, all compared."""

    written: int = 0
    same: int = 0
    bytes: int = 0
    deleted: int = 0

    def __str__(self) -> str:
        return (
            f"{self.written:,} objects copied ({self.bytes:,} bytes), {self.same:,} were there; each was read back and "
            f"compared; {self.deleted:,} that are no more were deleted"
        )


def copy_lake(source: Lake, target: Lake, progress: StepProgress | None = None) -> Copied:
    """Copy all that is in ``source``; which generation is in force comes last, so that half a copy answers nothing new.

    Raises InvalidRequest where ``target`` holds raw data that ``source`` has not: it is another lake.
    """
    wanted = {info.key: info for info in objects(source.store)}
    held = {info.key: info for info in objects(target.store)}
    refuse_other_lake(wanted.keys(), held.keys())
    copied = Copied()
    ordered = sorted(wanted.values(), key=lambda info: (info.key == GENERATION_KEY, info.key))
    for number, info in enumerate(ordered, 1):
        copy_object(source.store, target.store, info, held.get(info.key), copied)
        if progress:
            progress(number, len(ordered), info.key)
    gone = [key for key in held if key not in wanted and key.startswith(DERIVED)]
    if gone:
        target.store.delete(gone)
        copied.deleted = len(gone)
    return copied


def objects(store: ObjectStore) -> Iterator[ObjectInfo]:
    """All that is copied of a lake."""
    for prefix in (*KEPT, *DERIVED):
        yield from (info for info in store.list(prefix) if not info.key.startswith(LEFT_OUT))


def refuse_other_lake(wanted: Collection[str], held: Iterable[str]) -> None:
    """Raises InvalidRequest where raw data lies that the lake to be copied does not have."""
    others = [key for key in held if key.startswith(RAW) and key not in wanted]
    if others:
        raise InvalidRequest(
            f"the place to copy to holds raw data that this lake has not ({', '.join(sorted(others)[:SHOWN])}): it is "
            "another lake, or the newer one; copy to an empty place, or the other way round"
        )


def copy_object(
    source: ObjectStore, target: ObjectStore, info: ObjectInfo, there: ObjectInfo | None, copied: Copied
) -> None:
    """Copy one object unless the same is there. Raises StorageFailed where another is read back than was written."""
    digest = digest_of(source, info.key)
    if there and there.size == info.size and digest_of(target, info.key) == digest:
        copied.same += 1
        return
    if info.size <= IN_MEMORY:
        target.write(info.key, source.read(info.key))
    else:
        by_file(source, target, info.key)
    if digest_of(target, info.key) != digest:
        raise StorageFailed(f"{info.key} was written and another is read back: give the command again")
    copied.written += 1
    copied.bytes += info.size


def by_file(source: ObjectStore, target: ObjectStore, key: str) -> None:
    """Copy an object that need not fit in memory."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "object"
        with source.open(key) as stream, path.open("wb") as file:
            shutil.copyfileobj(stream, file, PIECE)
        target.write_file(key, path)


def digest_of(store: ObjectStore, key: str) -> str:
    """What an object's bytes are."""
    found = hashlib.sha256()
    with store.open(key) as stream:
        while piece := stream.read(PIECE):
            found.update(piece)
    return found.hexdigest()

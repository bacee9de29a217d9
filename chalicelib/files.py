"""Files on this computer: written whole or not at all, and readable by those who may.

What a lake holds is a person's history of listening. Its files are the owner's alone (mode 600, folders 700) unless
LAKE_READERS says who else may read; the process's umask may take more rights away, never give any.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from chalicelib.errors import LakeError, StorageFailed
from chalicelib.filelock import hold, is_held


class FileAccess(NamedTuple):
    """Who may read files and folders, as their modes say."""

    file: int
    folder: int


READERS = {
    "owner": FileAccess(0o600, 0o700),
    "group": FileAccess(0o640, 0o750),
    "everyone": FileAccess(0o644, 0o755),
}
OWNER = READERS["owner"]
GROWING = re.compile(r"\.[0-9a-f]{16}\.tmp")  # names of files that replacing() writes
LEFT_AFTER = 86_400.0  # s since the last write to a file after which it was left behind
SCRATCH = "lake-"  # begins the names of folders below the system's temporary one
LOCK = ".lock"  # in such a folder: its process holds it
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})  # what the system says where there is no room


@contextmanager
def replacing(target: Path, access: FileAccess = OWNER, scratch: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``target`` when the block has ended well, and not before it is on the
    disk. It grows in the folder ``scratch`` (that of ``target`` by default), whose file system must be the same."""
    folder = scratch or target.parent
    growing = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        with os.fdopen(os.open(growing, os.O_RDWR | os.O_CREAT | os.O_EXCL, access.file), "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(growing, target)
    except BaseException:
        growing.unlink(missing_ok=True)
        raise


def remove_left_behind(folder: Path, moment: Callable[[], float] = time.time) -> None:
    """Delete what writers that were killed left growing in a folder, when no writer can be at work on it any more."""
    with suppress(OSError), os.scandir(folder) as entries:  # who has not the right to it need not tidy up
        for entry in entries:
            if GROWING.fullmatch(entry.name) and moment() - entry.stat(follow_symlinks=False).st_mtime > LEFT_AFTER:
                Path(entry.path).unlink()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder that goes with the block.

    One whose process was killed goes when the next is made: Lambda too leaves /tmp as it was when a function was ended
    for its time or memory (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).
    """
    remove_orphaned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as name:
        folder = Path(name)
        lock = hold(folder / f"{LOCK}.new")
        (folder / f"{LOCK}.new").rename(folder / LOCK)  # seen only once it is held
        try:
            yield folder
        finally:
            if lock:
                lock.close()


class Room(NamedTuple):
    """Bytes of the disk that the scratch folders in ``where`` lie on: all, and those that were free."""

    where: Path
    total: int
    free: int

    @property
    def megabytes(self) -> str:
        """All of it, in words."""
        return f"{self.total / 2**20:,.0f} MB"


@contextmanager
def refused_when_full(folder: Path, refusal: Callable[[Room], LakeError | None]) -> Iterator[None]:
    """Where the block finds the disk of a scratch folder full, raise what ``refusal`` makes of the room that there was
    when it began, and the system's own error where that is None."""
    disk = shutil.disk_usage(folder)
    try:
        yield
    except OSError as error:
        refused = refusal(Room(folder.parent, disk.total, disk.free)) if error.errno in FULL else None
        if refused is None:
            raise
        raise refused from error


def remove_orphaned(temporary: Path) -> None:
    """Delete the scratch folders of processes that are no more."""
    for folder in temporary.glob(f"{SCRATCH}*"):
        with suppress(OSError):  # another user's, or somebody else deletes it
            if (folder / LOCK).exists() and not is_held(folder / LOCK):
                shutil.rmtree(folder, ignore_errors=True)


def make_folder(folder: Path, access: FileAccess = OWNER) -> None:
    """Make a folder and those above it that are missing, each with the rights of ``access``."""
    if folder.is_dir():
        return
    make_folder(folder.parent, access)
    folder.mkdir(mode=access.folder, exist_ok=True)


def flush_folder(folder: Path) -> None:
    """Put the names of new files on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def storage_errors(doing: str, key: str = "") -> Iterator[None]:
    """What the system refuses is a StorageFailed that says what was done, why it failed and what helps."""
    try:
        yield
    except OSError as error:
        details = {"key": key} if key else {}
        raise StorageFailed(f"cannot {doing}: {words_of(error)}", **details) from error


def words_of(error: OSError) -> str:
    """Why the system refused, and the remedy where there is one."""
    reason = (error.strerror or str(error)).lower()
    remedy = REMEDIES.get(error.errno or 0)
    return f"{reason}; {remedy}" if remedy else reason


REMEDIES = {
    errno.ENOSPC: "free some space; what was kept is safe, and what was under way goes on when there is room",
    errno.EDQUOT: "free some space; what was kept is safe, and what was under way goes on when there is room",
    errno.EACCES: "give this user the right to it, or choose another LAKE_URL",
    errno.EPERM: "give this user the right to it, or choose another LAKE_URL",
    errno.EROFS: "make the disk writable, or choose another LAKE_URL",
    errno.EIO: "the disk is failing: look at the system's log",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "a link leads back to itself: remove it",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
}

"""A lake in a folder: files written to a temporary name and then renamed, conditional writes under a lock.

Works on any POSIX file system. ``.tmp`` holds files being written and the lock; a reader never sees it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from chalicelib.errors import NotFound, StorageFailed, WriteConflict
from chalicelib.lake import ObjectInfo

SCRATCH = ".tmp"


class FolderStore:
    """Objects as files below ``root``, which is made when first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def read(self, key: str) -> bytes:
        with self.open(key) as stream:
            return stream.read()

    def open(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFound(f"there is no object {key} in {self.root}", key=key) from None
        except OSError as error:
            raise StorageFailed(f"cannot read {key} in {self.root}: {error.strerror}", key=key) from error

    def stat(self, key: str) -> ObjectInfo | None:
        try:
            return describe(key, os.stat(self._path(key)))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        folder = prefix.rpartition("/")[0]
        for key in walk(self._path(folder), folder, start_after):
            if key.startswith(prefix):
                info = self.stat(key)
                if info:  # a file may go while its folder is walked
                    yield info

    def write(self, key: str, data: bytes, *, content_type: str = "application/octet-stream") -> str:  # noqa: ARG002 - files have no content type
        with self._scratch_file() as path:
            write_durably(path, data)
            return self._publish(path, key)

    def write_file(self, key: str, path: Path) -> None:
        if os.stat(path).st_dev == os.stat(self._scratch()).st_dev:
            flush_file(path)
            self._publish(path, key)
            return
        with self._scratch_file() as near:  # a rename cannot leave its file system
            shutil.copyfile(path, near)
            flush_file(near)
            self._publish(near, key)
        path.unlink()

    def replace(self, key: str, data: bytes, *, if_match: str | None) -> str:
        with self._scratch_file() as path:
            write_durably(path, data)
            with self._lock():
                self._require(key, if_match)
                return self._publish(path, key)

    def delete(self, keys: Iterable[str], *, if_match: str | None = None) -> None:
        if if_match is not None:
            (key,) = keys
            with self._lock():
                self._require(key, if_match)
                self._path(key).unlink(missing_ok=True)
            return
        for key in keys:
            self._path(key).unlink(missing_ok=True)

    def appender(self, key: str) -> FileAppender:
        """An object that grows by durable appends (see lake.Appendable)."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return FileAppender(path)
        except OSError as error:
            raise StorageFailed(f"cannot write {key} in {self.root}: {error.strerror}", key=key) from error

    def location(self, prefix: str) -> str:
        return str(self._path(prefix))

    def _require(self, key: str, etag: str | None) -> None:
        info = self.stat(key)
        if (info.etag if info else None) != etag:
            raise WriteConflict(f"{key} was written by somebody else", key=key)

    def _publish(self, path: Path, key: str) -> str:
        target = self._path(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
        except OSError as error:
            raise StorageFailed(f"cannot write {key} in {self.root}: {error.strerror}", key=key) from error
        return describe(key, os.stat(target)).etag

    def _path(self, key: str) -> Path:
        if key.startswith("/") or ".." in key.split("/") or "\0" in key:
            raise NotFound(f"{key!r} is not a key of the lake", key=key)
        return self.root / key

    @contextmanager
    def _scratch_file(self) -> Iterator[Path]:
        descriptor, name = tempfile.mkstemp(dir=self._scratch())
        os.close(descriptor)
        path = Path(name)
        path.chmod(0o644)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self._scratch() / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _scratch(self) -> Path:
        folder = self.root / SCRATCH
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "permission denied")
        except OSError as error:
            raise StorageFailed.not_writable(f"the lake folder {self.root}", error) from error
        return folder


class FileAppender:
    """A file that grows; each append is on the disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._path = path
        flush_folder(path.parent)

    def append(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise StorageFailed(f"cannot write {self._path}: {error.strerror}") from error

    def close(self) -> None:
        os.close(self._descriptor)


def flush_file(path: Path) -> None:
    """Put what was written to a file on the disk."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def flush_folder(folder: Path) -> None:
    """Put a new file's name on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def walk(folder: Path, key: str, start_after: str) -> Iterator[str]:
    """Keys of the files below ``folder`` that sort after another, in the order that S3 lists them (by the whole key).
    Folders that hold none are not looked into; what is neither a file nor a folder (a pipe) is not there."""
    try:
        entries = [
            entry.name + "/" * entry.is_dir() for entry in os.scandir(folder) if entry.is_dir() or entry.is_file()
        ]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in sorted(entries):
        below = f"{key}/{name}" if key else name
        if name == SCRATCH + "/":
            continue
        if name.endswith("/"):
            if below > start_after or start_after.startswith(below):
                yield from walk(folder / name, below.rstrip("/"), start_after)
        elif below > start_after:
            yield below


def describe(key: str, status: os.stat_result) -> ObjectInfo:
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return ObjectInfo(key, status.st_size, modified, f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}")


def write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())

"""A lake in a folder: files written to a temporary name and then renamed, conditional writes under a lock.

Works on any POSIX file system. ``.tmp`` holds files being written and the lock; a reader never sees it. Links that lie
below a zone are not followed: what a lake holds lies in it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from chalicelib.errors import NotFound, StorageFailed, WriteConflict
from chalicelib.files import OWNER, FileAccess, flush_folder, make_folder, remove_left_behind, replacing, storage_errors
from chalicelib.lake import ObjectInfo

SCRATCH = ".tmp"
NO_NAMES = (".", "..", SCRATCH)  # of a part of a key
GONE = (FileNotFoundError, NotADirectoryError)


class FolderStore:
    """Objects as files below ``root``, which is made when first written to; ``access`` says who may read them.

    A root that was there and is not any more (a disk that was unplugged) is an error, not an empty lake.
    """

    def __init__(self, root: Path, access: FileAccess = OWNER) -> None:
        self.root = root.absolute()
        self.access = access
        self._tidy = False
        self._place: tuple[int, int] | None = None  # device and number of the folder, once it was seen

    def read(self, key: str) -> bytes:
        with self.open(key) as stream, self._errors("read", key):
            return stream.read()

    def open(self, key: str) -> BinaryIO:
        with self._errors("read", key):
            try:
                return open_file(self._path(key))
            except (*GONE, IsADirectoryError):
                self._require_root()
                raise NotFound(f"there is no object {key} in {self.root}", key=key) from None

    def stat(self, key: str) -> ObjectInfo | None:
        with self._errors("look at", key):
            try:
                status = os.stat(self._path(key))
            except NotFound:  # no key, or a link
                return None
            except GONE:
                self._require_root()
                return None
        return describe(key, status) if stat.S_ISREG(status.st_mode) else None

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        folder, _, beginning = prefix.rpartition("/")
        with self._errors("list", prefix):
            self._require_root()
            for key, path in walk(self._path(folder), folder, start_after, beginning):
                try:
                    yield describe(key, os.stat(path))
                except GONE:  # a file may go while its folder is walked
                    continue

    def write(self, key: str, data: bytes, *, content_type: str = "application/octet-stream") -> str:  # noqa: ARG002 - files have no content type
        target = self._path(key)
        scratch = self._scratch()
        with self._errors("write", key):
            make_folder(target.parent, self.access)
            with replacing(target, self.access, scratch) as stream:
                return written(key, stream, data)

    def write_file(self, key: str, path: Path) -> None:
        target, scratch = self._path(key), self._scratch()
        with self._errors("write", key):
            make_folder(target.parent, self.access)
            if os.stat(path).st_dev == os.stat(scratch).st_dev:
                flush_file(path)
                path.chmod(self._file_mode())
                os.replace(path, target)
                return
            with replacing(target, self.access, scratch) as stream, path.open("rb") as source:
                shutil.copyfileobj(source, stream)  # a rename cannot leave its file system
            path.unlink()

    def copy(self, key: str, to: str) -> None:
        target, scratch = self._path(to), self._scratch()
        with self.open(key) as source, self._errors("write", to):
            make_folder(target.parent, self.access)
            with replacing(target, self.access, scratch) as stream:
                shutil.copyfileobj(source, stream)

    def replace(self, key: str, data: bytes, *, if_match: str | None) -> str:
        target = self._path(key)
        scratch = self._scratch()
        with self._errors("write", key):
            make_folder(target.parent, self.access)
            with self._lock(), replacing(target, self.access, scratch) as stream:
                etag = written(key, stream, data)
                self._require(key, if_match)
                return etag

    def delete(self, keys: Iterable[str], *, if_match: str | None = None) -> None:
        if if_match is not None:
            (key,) = keys
            with self._errors("delete", key), self._lock():
                self._require(key, if_match)
                self._unlink(key)
            return
        for key in keys:
            with self._errors("delete", key):
                self._unlink(key)

    def appender(self, key: str) -> FileAppender:
        """An object that grows by durable appends (see lake.Appendable)."""
        path = self._path(key)
        self._scratch()
        with self._errors("write", key):
            make_folder(path.parent, self.access)
            return FileAppender(path, self.access)

    def folder(self, prefix: str) -> Path:
        """A folder for what is no object (see lake.InFolder)."""
        path = self._path(prefix.rstrip("/"))
        self._require_root()
        try:
            make_folder(path, self.access)
        except OSError as error:
            raise StorageFailed.not_writable(f"the lake folder {path}", error) from error
        return path

    def location(self, prefix: str) -> str:
        return str(self._path(prefix))

    def _require(self, key: str, etag: str | None) -> None:
        info = self.stat(key)
        if (info.etag if info else None) != etag:
            raise WriteConflict(f"{key} was written by somebody else", key=key)

    def _unlink(self, key: str) -> None:
        try:
            self._path(key).unlink()
        except GONE:
            return

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if key.startswith("/") or any(part in NO_NAMES for part in parts) or "\0" in key or not is_text(key):
            raise NotFound(f"{key!r} is not a key of the lake", key=ascii(key))
        if key.startswith("raw/") and len(parts) > 1:
            self._refuse_links(key, parts)
        return self.root / key

    def _refuse_links(self, key: str, parts: Sequence[str]) -> None:
        """Whoever may put files into the raw zone must not make the lake read others by a link."""
        path = self.root / parts[0]
        for part in parts[1:]:
            path = path / part
            if path.is_symlink():
                raise NotFound(f"{key} is or lies behind a link, which the raw zone does not follow", key=key)

    def _file_mode(self) -> int:
        """The mode of a new file: that of ``access``, without what the process's umask takes."""
        probe = self._scratch() / f".{secrets.token_hex(8)}.tmp"
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self.access.file))
        try:
            return os.stat(probe).st_mode & 0o777
        finally:
            probe.unlink()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        descriptor = os.open(self._scratch() / "lock", os.O_WRONLY | os.O_CREAT, self.access.file)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _scratch(self) -> Path:
        folder = self.root / SCRATCH
        self._require_root()
        try:
            make_folder(folder, self.access)
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "permission denied")
        except OSError as error:
            raise StorageFailed.not_writable(f"the lake folder {self.root}", error) from error
        if self._place is None:
            self._require_root()  # now it is there
        if not self._tidy:
            self._tidy = True
            remove_left_behind(folder)
        return folder

    def _require_root(self) -> None:
        """Raises StorageFailed where the lake's folder went away, or is now the empty one that a disk lay over."""
        known = self._place  # of before the look: another thread may make the folder meanwhile
        try:
            status = os.stat(self.root)
        except GONE:
            place, empty = known, True
        else:
            place = status.st_dev, status.st_ino
            empty = place != known and not os.listdir(self.root)
        if known and empty:
            raise StorageFailed(f"the lake folder {self.root} went away: put it back (is its disk plugged in?)")
        self._place = place

    def _errors(self, doing: str, key: str) -> AbstractContextManager[None]:
        return storage_errors(f"{doing} {key or 'the lake'} in {self.root}", key)


class FileAppender:
    """A file that grows; each append is on the disk when it returns."""

    def __init__(self, path: Path, access: FileAccess) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, access.file)
        self._path = path
        flush_folder(path.parent)

    def append(self, data: bytes) -> None:
        with storage_errors(f"write {self._path}"):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def open_file(path: Path) -> BinaryIO:
    """A file to read. Raises FileNotFoundError for a pipe or a device, which would be waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(path)
    return os.fdopen(descriptor, "rb")


def written(key: str, stream: BinaryIO, data: bytes) -> str:
    """Write a whole file; answers the etag that it keeps when it is renamed, whoever replaces it after that."""
    stream.write(data)
    stream.flush()
    return describe(key, os.fstat(stream.fileno())).etag


def flush_file(path: Path) -> None:
    """Put what was written to a file on the disk."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def walk(folder: Path, key: str, start_after: str, beginning: str = "") -> Iterator[tuple[str, Path]]:
    """Keys of the files below ``folder`` that sort after another, in the order that S3 lists them (by the whole key);
    of what lies in it only that whose name has this beginning.

    Folders that hold none are not looked into. What is neither a file nor a folder (a pipe), a link below a zone and a
    name that is no text are not there.
    """
    try:
        with os.scandir(folder) as found:
            chosen = (entry for entry in found if entry.name.startswith(beginning) and is_followed(entry, key))
            entries = [entry.name + "/" * entry.is_dir() for entry in chosen]
    except GONE:
        return
    for name in sorted(entries):
        below = f"{key}/{name}" if key else name
        if name == SCRATCH + "/":
            continue
        if name.endswith("/"):
            if below > start_after or start_after.startswith(below):
                yield from walk(folder / name, below.rstrip("/"), start_after)
        elif below > start_after:
            yield below, folder / name


def is_followed(entry: os.DirEntry[str], folder_key: str) -> bool:
    """Whether an entry of the folder ``folder_key`` is a part of the lake. A zone itself may be a link elsewhere."""
    followed = not folder_key
    return is_text(entry.name) and (entry.is_dir(follow_symlinks=followed) or entry.is_file(follow_symlinks=followed))


def is_text(name: str) -> bool:
    """Whether a name is UTF-8, as keys are; Python shows other bytes as halves of UTF-16 pairs."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def describe(key: str, status: os.stat_result) -> ObjectInfo:
    """What a file's status says of the object; the etag changes with every write."""
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return ObjectInfo(key, status.st_size, modified, f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}")

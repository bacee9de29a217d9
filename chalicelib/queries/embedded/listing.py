"""Which Parquet files the tables have, cheaply: a folder is read again only when its time of change says so."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chalicelib.lake import TRANSFORMED, Lake, Resolution, resolution_of
from chalicelib.transformation.compaction_notes import merges, replaced

SETTLED = 50_000_000  # ns; a folder changed less than this before it was read may change again unnoticed
PARTITION = re.compile(r"(\w+)=([^/]*)")


@dataclass(frozen=True, slots=True)
class File:
    """One Parquet file: absolute path, size in bytes, time of writing in ns."""

    path: str
    size: int
    modified: int

    @property
    def partition(self) -> dict[str, str]:
        """``{"month": "2026-11"}`` of a file in ``…/month=2026-11/``."""
        return dict(PARTITION.findall(self.path.rpartition("/")[0]))


@dataclass(frozen=True, slots=True)
class ListedFiles:
    """The files of one physical table that are in force; ``version`` changes whenever they do."""

    files: tuple[File, ...]
    version: str

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def newest(self) -> datetime | None:
        times = [file.modified for file in self.files]
        return datetime.fromtimestamp(max(times) / 1e9, UTC) if times else None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at a table's folders found: enough to know that nothing has changed since."""

    folders: tuple[tuple[str, int], ...]
    read_at: int
    found: ListedFiles

    def still_holds(self) -> bool:
        try:
            return all(
                os.stat(folder).st_mtime_ns == modified and self.read_at - modified > SETTLED
                for folder, modified in self.folders
            )
        except OSError:
            return False


class FileListing:
    """The tables of a lake in a folder. Safe for threads: the worst of a race is one folder read twice."""

    def __init__(self, lake: Lake, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._lake = lake
        self._clock_ns = clock_ns
        self._readings: dict[str, Reading] = {}

    def generation(self) -> str:
        return self._lake.generation()

    def generation_folder(self) -> Path:
        return Path(self._lake.store.location(f"{TRANSFORMED}{self.generation()}"))

    def names(self) -> list[str]:
        """Physical tables that have a folder, declared or not."""
        try:
            with os.scandir(self.generation_folder()) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir() and re.fullmatch(r"\w+", entry.name))
        except FileNotFoundError:
            return []

    def files(self, physical: str) -> ListedFiles:
        """The files of a physical table that are in force, in the order of their paths; none when it has no folder."""
        folder = str(self.generation_folder() / physical)
        known = self._readings.get(folder)
        if known is None or not known.still_holds():
            known = self._readings[folder] = self._read(folder)
        return known.found

    def _read(self, folder: str) -> Reading:
        read_at = self._clock_ns()
        folders: list[tuple[str, int]] = []
        files = self._not_replaced(folder, in_force(sorted(walk(folder, folders), key=lambda file: file.path)))
        digest = hashlib.sha256(repr((folder, files)).encode()).hexdigest()
        return Reading(tuple(folders), read_at, ListedFiles(files, digest))

    def _not_replaced(self, folder: str, files: tuple[File, ...]) -> tuple[File, ...]:
        """Without the files that a compaction has merged and not deleted yet."""
        known = merges(self._lake, self._lake.generation(), Path(folder).name)
        if not known:
            return files
        root = self._lake.store.location("").rstrip("/") + "/"
        gone = replaced(known, {file.path.removeprefix(root): file.size for file in files})
        return tuple(file for file in files if file.path.removeprefix(root) not in gone)


def walk(folder: str, folders: list[tuple[str, int]]) -> Iterator[File]:
    """Parquet files below ``folder``; the folders met are added to ``folders`` with their times."""
    try:
        folders.append((folder, os.stat(folder).st_mtime_ns))
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        folders.append((folder, -1))
        return
    for entry in entries:
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path, folders)
        elif entry.name.endswith(".parquet") and is_readable(entry):
            try:
                status = entry.stat()
            except FileNotFoundError:  # a compaction replaced it while we looked
                continue
            yield File(entry.path, status.st_size, status.st_mtime_ns)


def is_readable(entry: os.DirEntry[str]) -> bool:
    """Whether an engine can be told to read it: a file (nothing that waits for a writer) of a name that is text and
    that no engine takes for a pattern."""
    return entry.name.isprintable() and not set(entry.name) & set("*?[") and entry.is_file()


def in_force(files: list[File]) -> tuple[File, ...]:
    """Of the resolutions of a month only the highest counts; every other file does."""
    highest: dict[str, Resolution] = {}
    for resolution in map(resolution_of, (file.path for file in files)):
        if resolution:
            highest[resolution.month] = max(highest.get(resolution.month, resolution), resolution)
    return tuple(
        file
        for file in files
        if (resolution := resolution_of(file.path)) is None or resolution == highest[resolution.month]
    )

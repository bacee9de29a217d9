"""The room that all kept results share, their queries' records included: never more than RESULTS_BYTES lie there, what
is being written included.

Who writes asks for room first; the oldest results go to make it. Other processes on the same lake are seen at each
look at the folder.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

RECORD = ".json"
KEPT = (".parquet", ".csv", RECORD)
RECORDS_SHARE = 10  # records may take a tenth of the room before they go for results
HOUR = re.compile(r"\d{8}T\d{2}")
LOOK_EVERY = 1.0  # s between two looks at the folder…
LOOK_SHARE = 20  # …or so many times what the last look took


class Space:
    """Bytes of the results below ``folder``. Safe for threads."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._kept = 0
        self._promised = 0
        self._looked, self._pause = float("-inf"), LOOK_EVERY
        self._lock = threading.Lock()

    def take(self, least: int, liked: int) -> int:
        """Room for what is about to be written: ``liked`` bytes, or ``least`` where that is all; 0 where not even the
        oldest results make it. The caller gives it back with :meth:`give`."""
        with self._lock:
            self._look_now_and_then()
            if self._fits(liked):
                return self._promise(liked)
            if not self._fits(least):
                self._make_room(least)
            return self._promise(least) if self._fits(least) else 0

    def make(self, size: int) -> None:
        """Room for what is small and is written in any case (a record): what is oldest goes for it."""
        with self._lock:
            self._look_now_and_then()
            if not self._fits(size):
                self._make_room(size)
            self._kept += size

    def give(self, promised: int, written: int = 0) -> None:
        """``promised`` bytes are not needed any more: ``written`` of them lie there."""
        with self._lock:
            self._promised -= promised
            self._kept += written

    def _fits(self, more: int) -> bool:
        return self._kept + self._promised + more <= self._most

    def _promise(self, more: int) -> int:
        self._promised += more
        return more

    def _make_room(self, more: int) -> None:
        """Look again, and let go what is oldest until there is room."""
        self._look()
        for path, size in self._in_order():
            if self._fits(more):
                return
            path.unlink(missing_ok=True)
            self._kept -= size

    def _in_order(self) -> list[tuple[Path, int]]:
        """What goes first: records beyond their share, then results, then the other records; of each the oldest."""
        records: list[tuple[Path, int]] = []
        files: list[tuple[Path, int]] = []
        for name, path, size in sorted(results(self._folder)):
            (records if name.endswith(RECORD) else files).append((path, size))
        over, first = sum(size for _, size in records) - self._most // RECORDS_SHARE, 0
        while over > 0:
            over -= records[first][1]
            first += 1
        return [*records[:first], *files, *records[first:]]

    def _look_now_and_then(self) -> None:
        if time.monotonic() - self._looked > self._pause:
            self._look()

    def _look(self) -> None:
        begun = time.monotonic()
        self._kept = sum(size for _, _, size in results(self._folder))
        self._looked = time.monotonic()
        self._pause = max(LOOK_EVERY, LOOK_SHARE * (self._looked - begun))


def results(folder: Path) -> Iterator[tuple[str, Path, int]]:
    """Name, path and bytes of the files of results that are whole, and of the records of their queries."""
    for hour in entries(folder):
        if HOUR.fullmatch(hour.name):
            for entry in entries(Path(hour.path)):
                if entry.name.endswith(KEPT) and not entry.name.startswith("."):
                    try:
                        yield entry.name, Path(entry.path), entry.stat(follow_symlinks=False).st_size
                    except FileNotFoundError:
                        continue


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing where there is no folder."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []

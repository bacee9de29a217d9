"""A lake in memory: for trials by the hundred, and for counting what a bucket would be asked."""

from __future__ import annotations

import bisect
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from chalicelib.errors import NotFound, StorageUnavailable, WriteConflict
from chalicelib.lake import ObjectInfo

PAGE = 1000  # keys in one answer of a bucket's listing


class MemoryStore:
    """Objects in memory, which counts the requests that a bucket would get. Writes to ``broken`` prefixes fail."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.time = datetime(2026, 11, 20, tzinfo=UTC)  # when everything counts as written
        self.requests: Counter[str] = Counter()
        self.broken: tuple[str, ...] = ()
        self._sorted: list[str] | None = None

    def read(self, key: str) -> bytes:
        self.requests["GET"] += 1
        try:
            return self.objects[key]
        except KeyError:
            raise NotFound(f"there is no object {key}", key=key) from None

    def open(self, key: str) -> BinaryIO:
        return io.BytesIO(self.read(key))

    def stat(self, key: str) -> ObjectInfo | None:
        self.requests["HEAD"] += 1
        return self._info(key) if key in self.objects else None

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        if self._sorted is None:
            self._sorted = sorted(self.objects)
        first = bisect.bisect_right(self._sorted, start_after) if start_after > prefix else 0
        first = max(first, bisect.bisect_left(self._sorted, prefix))
        last = bisect.bisect_left(self._sorted, prefix + "\U0010ffff")
        found = self._sorted[first : max(first, last)]
        for start in range(0, max(1, len(found)), PAGE):
            self.requests["LIST"] += 1
            yield from [self._info(key) for key in found[start : start + PAGE] if key in self.objects]

    def copy(self, key: str, to: str) -> None:
        self.write(to, self.read(key))

    def write(self, key: str, data: bytes, *, content_type: str = "") -> str:
        self.requests["PUT"] += 1
        if self.broken and key.startswith(self.broken):
            raise StorageUnavailable(f"cannot write {key}", key=key)
        if key not in self.objects:
            self._sorted = None
        self.objects[key] = data
        return self._info(key).etag

    def write_file(self, key: str, path: Path) -> None:
        self.write(key, path.read_bytes())
        path.unlink()

    def replace(self, key: str, data: bytes, *, if_match: str | None) -> str:
        info = self.stat(key)
        if (info.etag if info else None) != if_match:
            raise WriteConflict(f"{key} was written by somebody else", key=key)
        return self.write(key, data)

    def delete(self, keys: Iterable[str], *, if_match: str | None = None) -> None:
        self.requests["DELETE"] += 1
        for key in keys:
            if self.objects.pop(key, None) is not None:
                self._sorted = None

    def location(self, prefix: str) -> str:
        return f"memory:{prefix}"

    def _info(self, key: str) -> ObjectInfo:
        return ObjectInfo(key, len(self.objects[key]), self.time, f"{hash(self.objects[key]):x}")

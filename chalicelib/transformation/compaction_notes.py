"""Which files a compaction has replaced: engines that list files themselves leave those out.

The note about a merge is written before the merged file, and holds only while that file is there: the moment at
which it appears, the files that it replaces disappear.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chalicelib.errors import NotFound
from chalicelib.lake import STATE, Lake, ObjectInfo


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge: the key of the merged file, and size and etag of each file that it replaces."""

    merged: str
    replaces: dict[str, tuple[int, str]]
    note: ObjectInfo | None = None  # where this is written down

    def as_json(self) -> bytes:
        return json.dumps({"merged": self.merged, "replaces": self.replaces}).encode()


def note_key(generation: str, physical: str, month: str, digest: str) -> str:
    return f"{notes_prefix(generation, physical)}{month}-{digest}.json"


def notes_prefix(generation: str, physical: str) -> str:
    return f"{STATE}compactions/{generation}/{physical}/"


def merges(lake: Lake, generation: str, physical: str) -> list[Merge]:
    """The merges of a physical table whose old files have not been deleted yet."""
    found = []
    for info in lake.store.list(notes_prefix(generation, physical)):
        try:
            said = json.loads(lake.store.read(info.key))
        except NotFound:
            continue  # deleted while we looked
        replaces = {key: (int(size), str(etag)) for key, (size, etag) in said["replaces"].items()}
        found.append(Merge(said["merged"], replaces, info))
    return found


def replaced(known: Iterable[Merge], sizes: Mapping[str, int]) -> set[str]:
    """Of the files with these ``sizes``: the keys that a merged file stands for. Rewritten ones are not among them."""
    return {
        key
        for merge in known
        if merge.merged in sizes
        for key, (size, _) in merge.replaces.items()
        if sizes.get(key) == size and key != merge.merged
    }

"""Which files a compaction has replaced: engines that list files themselves leave those out.

The note about a merge is written before the merged file, and holds only while that file is there: the moment at
which it appears, the files that it replaces disappear.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from chalicelib.lake import STATE, Lake, ObjectInfo
from chalicelib.records import RecordKind


@dataclass(frozen=True, slots=True)
class MergeNote:
    """What is written down of a merge: the key of the merged file, size and etag of each file that it replaces."""

    merged: str
    replaces: dict[str, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Merge:
    """A merge whose old files have not been deleted yet, and where it is written down."""

    merged: str
    replaces: dict[str, tuple[int, str]]
    note: ObjectInfo


MERGE_NOTE = RecordKind(
    MergeNote,
    "the note of a merge",
    "nothing is lost; until `compact` has run again, rows are stored twice and answered once",
    derived=True,
)


def note_key(generation: str, physical: str, month: str, digest: str) -> str:
    """Key of the note of one merge."""
    return f"{notes_prefix(generation, physical)}{month}-{digest}.json"


def notes_prefix(generation: str, physical: str) -> str:
    """What the keys of a table's notes begin with."""
    return f"{STATE}compactions/{generation}/{physical}/"


def merges(lake: Lake, generation: str, physical: str) -> list[Merge]:
    """The merges of a physical table whose old files have not been deleted yet."""
    return [Merge(note.merged, note.replaces, info) for info, note in notes(lake, generation, physical) if note]


def oldest_note(lake: Lake, generation: str) -> datetime | None:
    """When the oldest merge was noted whose old files have not been deleted yet."""
    listed = lake.store.list(f"{STATE}compactions/{generation}/")
    return min((info.modified for info in listed), default=None)


def notes(lake: Lake, generation: str, physical: str) -> Iterator[tuple[ObjectInfo, MergeNote | None]]:
    """The notes about merges of a physical table; None for a damaged one."""
    for info in lake.store.list(notes_prefix(generation, physical)):
        yield info, MERGE_NOTE.read(lake.store, info.key)


def replaced(merges: Iterable[Merge], sizes: Mapping[str, int]) -> set[str]:
    """Of the files with these ``sizes``: the keys that a merged file stands for. Rewritten ones are not among them."""
    return {
        key
        for merge in merges
        if merge.merged in sizes
        for key, (size, _) in merge.replaces.items()
        if sizes.get(key) == size and key != merge.merged
    }

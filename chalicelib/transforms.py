"""The notes of transforms: what each raw object has become in a generation of the tables, and what is under way.

::

    state/transforms/<generation>/open/<raw key>.json    that its transform was begun
    state/transforms/<generation>/done/<raw key>.json    that it is done, or that the object lies in quarantine
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from chalicelib.lake import RAW, STATE, Lake
from chalicelib.quarantine import Reason
from chalicelib.records import RecordKind

TRANSFORM_VERSION = 2  # raised when the same raw object gives other rows than before


@dataclass(slots=True)
class Built:
    """The tables of one raw object, and how much went into them."""

    answers: int = 0
    items: int = 0
    rejected: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)  # table.check -> rows that failed, of every severity


@dataclass(slots=True)
class DoneNote:
    """That an object is transformed: which version of it, into which files; ``quarantined`` says why it is not."""

    raw_key: str
    etag: str
    version: int
    files: list[str]
    built: Built
    quarantined: Reason | None = None


@dataclass(slots=True)
class OpenNote:
    """That transforming an object was begun, how often, and the files that it may have touched."""

    raw_key: str
    files: list[str] = field(default_factory=list)
    attempts: int = 0

    def touching(self, files: Iterable[str]) -> OpenNote:
        """The note, with the files that the transform is about to write."""
        return OpenNote(self.raw_key, sorted(files), self.attempts)


AGAIN = "nothing is lost; the object is transformed again"
DONE = RecordKind(DoneNote, "the note of a transform", AGAIN, derived=True)
OPEN = RecordKind(OpenNote, "the note of a transform under way", AGAIN, derived=True)


def done_note(lake: Lake, generation: str, key: str) -> DoneNote | None:
    """What is noted of an object that a generation has the rows of, or that lies in quarantine."""
    return DONE.read(lake.store, done_key(generation, key))


def done_key(generation: str, key: str) -> str:
    """Where it is noted that a generation has a raw object's rows."""
    return f"{STATE}transforms/{generation}/done/{key.removeprefix(RAW)}.json"


def open_key(generation: str, key: str) -> str:
    """Key of the note of a transform that has begun."""
    return f"{STATE}transforms/{generation}/open/{key.removeprefix(RAW)}.json"

"""The lake: its zones, the keys in them, and the store they lie in.

::

    raw/spotify/2026/11/20/<run>/<source>-0001.jsonl.gz   answers (see raw.py); written once, never changed; those
                                                          of all sources in answers-0001 where there are few
    raw/spotify/listeners/<time>-<note>.json.gz           what was learnt of a listener (see listeners.py)
    raw/spotify/exclusions/<time>-<id>.json.gz            what is left out of every number (see exclusions.py)
    raw/runs/2026/11/20/<run>.json                        the record of a finished run (see runs.py)
    raw/history/<name>                                    privacy exports
    raw/images/<name>                                     small copies of covers (see images.py)
    transformed/<generation>/<table>/month=2026-11/*.parquet
                                                          what is older than the month before this one lies together in
                                                          month=earlier, decided listens by year in month=2026
    quarantine/<raw key>                                  why a raw object could not be read, and a copy
    state/                                                what makes extraction resumable and work known as done
    results/                                              query results of the embedded engine
    reports/                                              saved reports of the lake's owner

A key is a ``/``-separated path below the lake's root. A *generation* is one whole build of the tables;
``state/generation.json`` names the one in force, so that a rebuild is published by replacing one small object.
Everything but ``raw/`` can be rebuilt from ``raw/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, runtime_checkable

from chalicelib.errors import WriteConflict
from chalicelib.records import RecordKind

RAW = "raw/"
RAW_ANSWERS = "raw/spotify/"
RAW_LISTENERS = "raw/spotify/listeners/"
RAW_EXCLUSIONS = "raw/spotify/exclusions/"
RAW_RUNS = "raw/runs/"
RAW_HISTORY = "raw/history/"
RAW_IMAGES = "raw/images/"
TRANSFORMED = "transformed/"
QUARANTINE = "quarantine/"
STATE = "state/"
RESULTS = "results/"
REPORTS = "reports/"

KEPT = re.compile(rf"{RAW_HISTORY}([^/]+)/([0-9a-f]{{32}})-([^/]+)")  # an export that an import has kept: whose

GENERATION_KEY = "state/generation.json"
FIRST_GENERATION = "g1"
AFTER_ALL = "~"  # sorts after every table's name

EARLIER = "earlier"  # the partition that a compaction puts old months of a table into
RESOLUTION = re.compile(
    r"/month=(?:(?P<month>\d{4}-\d\d)/|\d{4}/(?P<of>\d{4}-\d\d)-)resolution-(?P<number>\d+)\.parquet$"
)


@dataclass(frozen=True, slots=True)
class Generation:
    """Which generation of the tables is in force."""

    generation: str


GENERATION = RecordKind(
    Generation, "the generation in force", "the newest that is whole is taken; `transform` writes it anew", derived=True
)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object: key, size in bytes, time of writing (UTC) and a tag that changes with its content."""

    key: str
    size: int
    modified: datetime
    etag: str


class ObjectStore(Protocol):
    """What a folder and a bucket must both do. A write is seen whole or not at all.

    Errors: NotFound for a missing key, WriteConflict for a lost conditional write, StorageUnavailable and
    StorageFailed for the rest.
    """

    def read(self, key: str) -> bytes:
        """An object's bytes. Raises NotFound, StorageFailed, StorageUnavailable."""

    def open(self, key: str) -> BinaryIO:
        """A seekable stream, for objects that need not fit in memory."""

    def stat(self, key: str) -> ObjectInfo | None:
        """What is known of an object without reading it; None where there is none."""

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key starts with ``prefix``, in the order of their keys."""

    def write(self, key: str, data: bytes, *, content_type: str = "application/octet-stream") -> str:
        """Write or overwrite; answers the new etag."""

    def write_file(self, key: str, path: Path) -> None:
        """Move a finished local file into the store."""

    def copy(self, key: str, to: str) -> None:
        """Make another object of the same content; the store does it itself, and nothing passes through here."""

    def replace(self, key: str, data: bytes, *, if_match: str | None) -> str:
        """Write only if the object's etag is ``if_match``, or if it is absent when that is None."""

    def delete(self, keys: Iterable[str], *, if_match: str | None = None) -> None:
        """Delete; an absent key is no error. With ``if_match`` (one key) only that version."""

    def location(self, prefix: str) -> str:
        """The path or ``s3://`` address that an engine reads ``prefix`` from."""


class Appender(Protocol):
    """One object that grows."""

    def append(self, data: bytes) -> None:
        """Add ``data`` at the end; it is on the disk when this returns."""

    def close(self) -> None:
        """End the object; nothing can be appended any more."""


@runtime_checkable
class Linking(Protocol):
    """A store whose objects a browser can have by a link."""

    def link(self, key: str, seconds: int, *, filename: str, content_type: str) -> str:
        """An address that serves the object without credentials for ``seconds``."""


@runtime_checkable
class Appendable(Protocol):
    """A store that can also make an object grow cheaply; a bucket cannot."""

    def appender(self, key: str) -> Appender:
        """Begin an object that grows by appending."""


@runtime_checkable
class InFolder(Protocol):
    """A store that is a folder of this computer."""

    def folder(self, prefix: str) -> Path:
        """The folder of a prefix, made where it is missing, with the rights that the lake's folders have.

        Raises StorageFailed.
        """


@dataclass(frozen=True, slots=True)
class Lake:
    """A store and the meaning of its keys."""

    store: ObjectStore
    pinned: str | None = None  # a generation to work on instead of the one in force

    def folder(self, prefix: str) -> Path:
        """As :meth:`InFolder.folder`; only for a lake in a folder."""
        if not isinstance(self.store, InFolder):
            raise TypeError("a bucket has no folders")
        return self.store.folder(prefix)

    def generation(self) -> str:
        """The generation of the tables in force, or the one that this lake is pinned to."""
        if self.pinned is not None:
            return self.pinned
        named = GENERATION.read(self.store, GENERATION_KEY)
        return named.generation if named else newest_generation(self.store)

    def in_generation(self, generation: str) -> Lake:
        """The same lake, working on another generation of the tables."""
        return replace(self, pinned=generation)

    def publish_generation(self, generation: str) -> None:
        """Put another generation of the tables in force, in one write."""
        GENERATION.write(self.store, GENERATION_KEY, Generation(generation))

    def name_generation(self) -> None:
        """Write down which generation is in force where nothing readable says so."""
        named, etag = GENERATION.read_version(self.store, GENERATION_KEY)
        if named is None and self.pinned is None:
            with suppress(WriteConflict):  # somebody else has just named it
                newest = Generation(newest_generation(self.store))
                GENERATION.replace(self.store, GENERATION_KEY, newest, if_match=etag)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object that must not exist yet; False when somebody else wrote it first."""
        try:
            self.store.replace(key, data, if_match=None)
        except WriteConflict:
            return False
        return True


def newest_generation(store: ObjectStore) -> str:
    """The newest generation that was once looked over as a whole, which only one in force is; failing that the newest
    that has files."""
    generations = sorted(stored_generations(store), key=generation_number)
    whole = [each for each in generations if store.stat(sweep_key(each))]
    return (whole or generations or [FIRST_GENERATION])[-1]


def stored_generations(store: ObjectStore) -> Iterator[str]:
    """The generations that have files, whatever their number of files at the cost of one listing each."""
    start = TRANSFORMED
    while info := next(iter(store.list(TRANSFORMED, start_after=start)), None):
        name = info.key.removeprefix(TRANSFORMED).partition("/")[0]
        start = f"{TRANSFORMED}{name}/{AFTER_ALL}"
        if re.fullmatch(r"g\d+", name):
            yield name


def generation_number(generation: str) -> int:
    """4 of ``g4``."""
    return int(generation.removeprefix("g"))


UNFINISHED = (".part", ".tmp", ".crdownload", ".download", "~")  # ends of the names of files that still grow


def is_whole(key: str) -> bool:
    """Whether an object of the raw zone is there to be taken in: neither hidden (``.DS_Store``) nor half copied."""
    return not key.endswith(UNFINISHED) and not any(part.startswith(".") for part in key.split("/"))


def answers_key(run_id: str, source: str, part: int) -> str:
    """Where the ``part``-th object of a run's answers of one source lies; run ids start with their UTC time."""
    return f"{answers_prefix(run_id)}{source}-{part:04d}.jsonl.gz"


def answers_prefix(run_id: str) -> str:
    """What the keys of a run's answers begin with."""
    return f"{RAW_ANSWERS}{day_of(run_id)}/{run_id}/"


def run_key(run_id: str) -> str:
    """Key of a finished run's record in the raw zone."""
    return f"{RAW_RUNS}{day_of(run_id)}/{run_id}.json"


def day_of(run_id: str) -> str:
    """``2026/11/20`` of ``20261120T101530Z-1a2b3c``."""
    match = re.match(r"(\d{4})(\d{2})(\d{2})T", run_id)
    if not match:
        raise ValueError(f"{run_id!r} is not a run id")
    return "/".join(match.groups())


def table_prefix(generation: str, table: str) -> str:
    """What the keys of a table's files begin with in a generation."""
    return f"{TRANSFORMED}{generation}/{table}/"


def sweep_key(generation: str) -> str:
    """Where it is noted when every raw object was last looked at for a generation in force."""
    return f"{STATE}transforms/{generation}/swept.json"


class Resolution(NamedTuple):
    """Which decision about the listens of a month a file holds. The greatest of a month is in force; of one decision
    that is the copy in the folder of the year (``gathered``)."""

    month: str
    number: int
    gathered: bool


def resolution_of(key: str) -> Resolution | None:
    """What the key of a file of ``plays_resolved`` says; None for any other file."""
    match = RESOLUTION.search(key)
    return Resolution(match["month"] or match["of"], int(match["number"]), match["of"] is not None) if match else None


def first_month_apart(moment: datetime) -> str:
    """The first month (YYYY-MM) that has a partition of its own for good: the one before this."""
    return f"{moment.replace(day=1) - timedelta(days=1):%Y-%m}"


def partition_prefix(generation: str, table: str, month: str) -> str:
    """Hive partition of a physical table; ``month`` is ``YYYY-MM``, of old months ``YYYY`` or EARLIER."""
    return f"{table_prefix(generation, table)}month={month}/"

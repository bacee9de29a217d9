"""The write-ahead journal of a run: each answer is durable the moment it arrives.

An entry is one write: an answer (with everything that taking it in needs) or a note. In a folder it is appended to
one file per segment and flushed to the disk; in a bucket it is one small object. When a segment is full its answers
are packed into raw objects, the state snapshot is saved, and the segment is dropped, in that order. Whoever finds a
segment that the snapshot has not taken in replays it: nothing is lost and nothing is asked twice.

::

    state/journal/<name>/<run>/000001            a folder's segment: entries one after another
    state/journal/<name>/<run>/000001/000042     a bucket's: one object an entry

``<name>`` is the listener's whose state the entries change, or the app's (see state.py): who holds that lock takes in
what dead runs left below it, and nobody else. Earlier releases had one journal for all, ``state/journal/<run>/…``.

An entry is a line of JSON and then, for an answer, its body and a newline, as in a raw object (see raw.py).
"""

from __future__ import annotations

import io
import json
import re
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from chalicelib.errors import RawObjectInvalid
from chalicelib.lake import STATE, Appendable, Appender, ObjectStore
from chalicelib.raw import Answer, read_answer

JOURNAL = f"{STATE}journal/"
SEGMENT = re.compile(r"(?:(app|listener-[^/]+)/)?([^/]+)/(\d{6})(?:/\d{6})?$")  # whose, run, segment, a bucket's entry
FOR_ALL = ""  # the name of the one journal that earlier releases had


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An answer, or a note (what changed without an answer worth keeping), or an answer that says nothing lasting."""

    answer: Answer | None = None
    note: dict[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        body = self.answer.body if self.answer else b""
        line = {"note": self.note, "crc": zlib.crc32(body), "answer": self.answer.header() if self.answer else None}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n" + body + b"\n"


def decode(data: bytes) -> Iterator[JournalEntry]:
    """The whole entries at the start of ``data``; a torn last one is a call whose answer was never taken in."""
    stream = io.BytesIO(data)
    while line := stream.readline():
        try:
            document = json.loads(line)
            header = document["answer"]
            if header is None:
                stream.readline()
                yield JournalEntry(None, document["note"])
                continue
            answer = read_answer(json.dumps(header).encode(), stream)
            if zlib.crc32(answer.body) != document["crc"]:
                return
        except (ValueError, KeyError, TypeError, RawObjectInvalid):
            return
        yield JournalEntry(answer, document["note"])


class Journal:
    """The journal being written by this run. Appending may be done by several threads at once."""

    def __init__(self, store: ObjectStore, run_id: str, name: str) -> None:
        self._store = store
        self._name = name
        self._growing = store if isinstance(store, Appendable) else None
        self._run_id = run_id
        self._lock = threading.Lock()
        self._appender: Appender | None = None
        self.segment = 1
        self.entries = 0  # in this segment

    def append(self, entry: JournalEntry) -> None:
        """Make ``entry`` durable; after this it is never lost."""
        data = entry.encode()
        if self._growing is not None:
            with self._lock:
                if self._appender is None:
                    self._appender = self._growing.appender(segment_key(self._name, self._run_id, self.segment))
                self.entries += 1
                self._appender.append(data)
        else:
            with self._lock:
                self.entries += 1
                key = f"{segment_key(self._name, self._run_id, self.segment)}/{self.entries:06d}"
            self._store.write(key, data)

    def drop(self) -> None:
        """Forget the segment, whose entries are in the snapshot and the raw zone, and begin the next."""
        if self._appender is not None:
            self._appender.close()
            self._appender = None
        if self.entries:
            drop_segment(self._store, self._name, self._run_id, self.segment)
        self.segment, self.entries = self.segment + 1, 0

    def close(self) -> None:
        """Leave the segment as it lies, for the next run to take in."""
        if self._appender is not None:
            self._appender.close()
            self._appender = None


@dataclass(frozen=True, slots=True)
class Segment:
    """What a dead run left behind in the journal of ``name``: the keys below which its entries lie."""

    name: str
    run_id: str
    number: int
    keys: tuple[str, ...]

    def entries(self, store: ObjectStore) -> list[JournalEntry]:
        """What was written down, in order."""
        return list(decode(b"".join(store.read(key) for key in self.keys)))


def segments(store: ObjectStore) -> list[Segment]:
    """The segments in the lake, those of each journal in the order in which they were written."""
    found: dict[tuple[str, str, int], list[str]] = {}
    for info in store.list(JOURNAL):
        if match := SEGMENT.match(info.key.removeprefix(JOURNAL)):  # else somebody's file, a folder's .DS_Store say
            found.setdefault((match[1] or FOR_ALL, match[2], int(match[3])), []).append(info.key)
    return [Segment(*which, tuple(keys)) for which, keys in sorted(found.items())]


def drop_segment(store: ObjectStore, name: str, run_id: str, number: int) -> None:
    """Delete a segment of a journal, in whichever form it lies there."""
    prefix = segment_key(name, run_id, number)
    store.delete([info.key for info in store.list(prefix) if info.key == prefix or info.key.startswith(f"{prefix}/")])


def segment_key(name: str, run_id: str, number: int) -> str:
    """Key of a run's segment of a journal."""
    return f"{JOURNAL}{name}/{run_id}/{number:06d}" if name else f"{JOURNAL}{run_id}/{number:06d}"

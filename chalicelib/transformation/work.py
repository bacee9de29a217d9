"""One raw object under work: its notes, its files, and its place in quarantine.

What is about to be published is written down first (``state/transforms/<generation>/open/``), that it is done last
(``.../done/``): whatever is interrupted is found and driven again, and files that an earlier transform of the same
object left are removed. A raw object that cannot be published lies in ``quarantine/`` beside the reason until it can.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chalicelib.errors import LakeError, NotFound
from chalicelib.lake import QUARANTINE, RAW, RAW_ANSWERS, RAW_RUNS, Lake
from chalicelib.quarantine import REASON, Reason, copy_key, note_reason, release
from chalicelib.transformation.backlog import forget_files
from chalicelib.transforms import (
    DONE,
    OPEN,
    TRANSFORM_VERSION,
    Built,
    DoneNote,
    OpenNote,
    done_key,
    done_note,
    open_key,
)

PARQUET = "application/vnd.apache.parquet"
WRITES_AT_ONCE = 8
Files = Mapping[str, bytes | Path]  # by key: the content, or the file that holds it and may be moved


@dataclass(frozen=True, slots=True)
class RawWork:
    """A raw object as it was when work on it began (``etag``; empty where it is gone), for one generation."""

    lake: Lake
    generation: str
    key: str
    etag: str

    @classmethod
    def on(cls, lake: Lake, key: str) -> RawWork:
        """Work on an object for the generation in force. Raises NotFound."""
        info = lake.store.stat(key)
        if info is None:
            raise NotFound(f"there is no object {key} in the lake", key=key)
        return cls(lake, lake.generation(), key, info.etag)

    @property
    def name(self) -> str:
        """What its files are called: its run and source, readable, and a digest of the whole key."""
        run, _, part = self.key.removeprefix(RAW).rpartition("/")
        stem = f"{run.rpartition('/')[2]}-{part.partition('.')[0]}"
        readable = re.sub(r"[^0-9A-Za-z-]+", "-", stem).strip("-")[:80]
        return f"{readable}-{hashlib.blake2b(self.key.encode(), digest_size=6).hexdigest()}"

    def done(self) -> DoneNote | None:
        """The note about it, where this version of this program has transformed it as it is now."""
        note = done_note(self.lake, self.generation, self.key)
        return note if note and note.etag == self.etag and note.version == TRANSFORM_VERSION else None

    def attempt(self) -> OpenNote:
        """Note that it is driven once more; answers the note."""
        _, begun = self._notes()
        begun.attempts += 1
        OPEN.write(self.lake.store, open_key(self.generation, self.key), begun)
        return begun

    def publish(self, built: Built, files: Files) -> list[str]:
        """Make its files visible and those of an earlier transform of it disappear; answers their keys."""
        done, begun = self._notes()
        stale = files_of(done, begun) - files.keys()
        OPEN.write(self.lake.store, open_key(self.generation, self.key), begun.touching(files.keys() | stale))
        write_all(self.lake, files)
        self._delete(stale)
        if done and done.quarantined:
            release(self.lake, self.key)
        self.finish(sorted(files), built)
        return sorted(files)

    def finish(self, files: list[str], built: Built, quarantined: Reason | None = None) -> None:
        """Note that it is done. Written last: until then the object counts as not transformed."""
        note = DoneNote(self.key, self.etag, TRANSFORM_VERSION, files, built, quarantined)
        DONE.write(self.lake.store, done_key(self.generation, self.key), note)
        self.abandon()

    def abandon(self) -> None:
        """Forget that it was begun."""
        self.lake.store.delete([open_key(self.generation, self.key)])

    def quarantine(self, error: LakeError, files: Files | None = None) -> list[str]:
        """Put a copy of an object that cannot be published and the reason aside, and take back what it had published.

        ``files`` tell what its checks have found; answers their keys.
        """
        files = files or {}
        self.lake.store.copy(self.key, copy_key(self.key))
        reason = note_reason(self.lake, self.key, error)
        write_all(self.lake, files)
        self._delete(files_of(*self._notes()) - files.keys())
        self.finish(sorted(files), Built(failures={error.code: 1}), reason)
        return sorted(files)

    def _delete(self, stale: set[str]) -> None:
        """Take back files that an earlier transform of it has made."""
        forget_files(self.lake, stale)
        self.lake.store.delete(sorted(stale))

    def _notes(self) -> tuple[DoneNote | None, OpenNote]:
        """What is noted of its last transform, and of one that was begun since."""
        begun = OPEN.read(self.lake.store, open_key(self.generation, self.key))
        return done_note(self.lake, self.generation, self.key), begun or OpenNote(self.key)


def files_of(*notes: DoneNote | OpenNote | None) -> set[str]:
    """The files that the notes name."""
    return {name for note in notes if note for name in note.files}


def write_all(lake: Lake, files: Files) -> None:
    """Write files side by side: each waits for the disk or the network most of its time."""

    def write(name: str) -> None:
        content = files[name]
        if isinstance(content, Path):
            lake.store.write_file(name, content)
        else:
            lake.store.write(name, content, content_type=PARQUET)

    writing = [writers().submit(write, name) for name in files]
    wait(writing)
    for written in writing:
        written.result()


@cache
def writers() -> ThreadPoolExecutor:
    """Threads that stay: starting them for each object would take longer than some objects do."""
    return ThreadPoolExecutor(WRITES_AT_ONCE, thread_name_prefix="write")


def release_mended(lake: Lake) -> None:
    """Take out of quarantine what the generation in force has published."""
    generation = lake.generation()
    for key in quarantined_keys(lake):
        note = done_note(lake, generation, key)
        if note and not note.quarantined:
            release(lake, key)


def quarantined_keys(lake: Lake) -> Iterator[str]:
    """Raw objects that transforms have put in quarantine."""
    for prefix in (RAW_ANSWERS, RAW_RUNS):
        for info in lake.store.list(QUARANTINE + prefix.removeprefix(RAW)):
            if info.key.endswith(REASON):
                yield RAW + info.key.removeprefix(QUARANTINE).removesuffix(REASON)

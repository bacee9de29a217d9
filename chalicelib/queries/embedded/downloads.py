"""CSV files of results: each is written once, by a process, whoever asks for it meanwhile, and no longer than somebody
waits for it."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from chalicelib.errors import LakeError, NotFound, QueryFailed
from chalicelib.queries.embedded.process import Process, ProcessEnded
from chalicelib.queries.embedded.slots import Job, Session, Slots
from chalicelib.queries.embedded.space import Space
from chalicelib.queries.embedded.tasks import WriteCsv
from chalicelib.queries.engine import ResultColumn

AT_ONE_TIME = 2  # files being written
WAITING = 64  # files that wait for that
AT_ONCE = 1.0  # s within which a file is sent whole
LONGEST = 3_600.0  # s that writing one may take
PIECE = 1 << 18  # bytes of a file sent at a time
LOOK = 0.02  # s between two looks whether a file has grown
FIRST = 1_000_000  # bytes that are written before more are asked for
REMEMBERED = 256  # results of which it is known that they do not become a file


@dataclass(slots=True)
class Writing:
    """A file on its way."""

    job: Job
    scratch: Path
    target: Path
    readers: int = 0
    error: LakeError | None = None


class CsvFiles:
    """Safe for threads."""

    def __init__(self, open_process: Callable[[], Process], space: Space, most_bytes: int) -> None:
        self._slots = Slots(AT_ONE_TIME, WAITING, open_process, name="csv")
        self._space = space
        self._most_bytes = most_bytes
        self._writing: dict[Path, Writing] = {}
        self._impossible: OrderedDict[Path, LakeError] = OrderedDict()
        self._lock = threading.Lock()

    def file(self, result: Path, target: Path, columns: Sequence[ResultColumn], client: str) -> Path | CsvChunks:
        """The file ``target`` with the rows of ``result``: whole, where that takes but a moment, or as it comes.

        Raises QueryFailed where it would be larger than a result may be.
        """
        if error := self._impossible.get(target):
            raise error
        if target.exists():
            return target
        writing = self._join(result, target, columns, client)
        if not writing.job.done.wait(AT_ONCE):
            return CsvChunks(writing, self)
        self.leave(writing)
        if writing.error or not target.exists():
            raise writing.error or QueryFailed("the file was not written; ask again")
        return target

    def leave(self, writing: Writing) -> None:
        """A reader has gone; the last one ends the writing."""
        with self._lock:
            writing.readers -= 1
            if writing.readers or writing.job.done.is_set():
                return
            self._writing.pop(writing.target, None)
        if self._slots.stop(writing.job, "cancelled"):
            writing.job.done.set()

    def close(self) -> None:
        self._slots.close()

    def _join(self, result: Path, target: Path, columns: Sequence[ResultColumn], client: str) -> Writing:
        with self._lock:
            writing = self._writing.get(target)
            if writing is None:
                writing = self._begin(result, target, columns, client)
            writing.readers += 1
            return writing

    def _begin(self, result: Path, target: Path, columns: Sequence[ResultColumn], client: str) -> Writing:
        def run(_job: Job, process: Session) -> None:
            self._write(writing, result, columns, process)

        def fail(error: Exception) -> None:
            writing.error = error if isinstance(error, LakeError) else QueryFailed("the file could not be written")

        scratch = target.with_name(f".{target.name}.{os.getpid()}.{time.monotonic_ns()}")
        writing = Writing(Job(target.name, client, run, fail, LONGEST), scratch, target)
        self._slots.submit(writing.job)
        self._writing[target] = writing
        return writing

    def _write(self, writing: Writing, result: Path, columns: Sequence[ResultColumn], process: Session) -> None:
        assert isinstance(process, Process)
        promised = self._space.take(0, min(FIRST, self._most_bytes))
        written = 0

        def more(least: int, liked: int) -> int:
            nonlocal promised
            taken = self._space.take(least, liked)
            promised += taken
            return taken

        try:
            task = WriteCsv(str(result), str(writing.scratch), columns, self._most_bytes, promised)
            written = process.call(task, more)
            os.replace(writing.scratch, writing.target)
        except ProcessEnded:
            raise QueryFailed("the file was not written: nobody waited for it") from None
        except QueryFailed as error:
            if not writing.job.stopped:
                self._remember(writing.target, error)
            raise
        finally:
            writing.scratch.unlink(missing_ok=True)
            self._space.give(promised, written)
            with self._lock:
                if self._writing.get(writing.target) is writing:
                    del self._writing[writing.target]

    def _remember(self, target: Path, error: LakeError) -> None:
        with self._lock:
            self._impossible[target] = error
            while len(self._impossible) > REMEMBERED:
                self._impossible.popitem(last=False)


class CsvChunks:
    """A file in pieces, as it grows. An iterator; close it when it is no longer wanted."""

    def __init__(self, writing: Writing, files: CsvFiles) -> None:
        self._writing = writing
        self._files = files
        self._stream: BinaryIO | None = None
        self._left = False

    def __iter__(self) -> CsvChunks:
        return self

    def __next__(self) -> bytes:
        ended = self._writing.job.done.is_set()
        if (piece := self._read()) or not ended:
            if not piece:
                time.sleep(LOOK)
            return piece
        self.close()
        if self._writing.error:
            raise self._writing.error
        raise StopIteration

    def close(self) -> None:
        """Stop waiting for the file; when nobody does any more, it is not written on."""
        if self._stream:
            self._stream.close()
            self._stream = None
        if not self._left:
            self._left = True
            self._files.leave(self._writing)

    def __del__(self) -> None:
        self.close()

    def _read(self) -> bytes:
        if self._left:
            return b""
        if self._stream is None:
            for path in (self._writing.scratch, self._writing.target):
                try:
                    self._stream = path.open("rb")
                    break
                except FileNotFoundError:
                    continue
            else:
                return b""
        if self._writing.job.done.is_set() and not os.fstat(self._stream.fileno()).st_nlink:  # it made room for others
            raise self._writing.error or NotFound("the file was removed while it was sent; ask for it again")
        return self._stream.read(PIECE)

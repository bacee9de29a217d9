"""What runs in the engine's processes: judging statements, queries, CSV files, looks at the tables' files.

A process takes one task at a time from its socket. A thread beside listens, so that the process ends with the engine,
whatever it is doing. Memory is bounded by the system: what does not fit fails this task alone. Nothing is imported
before it is needed, but for what the first message says.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import queue
import re
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from chalicelib.errors import LakeError, QueryFailed, QueryRefused
from chalicelib.queries.embedded.limits import OUT_OF_MEMORY
from chalicelib.queries.embedded.tasks import (
    DescribeTables,
    Done,
    Failed,
    Grant,
    Judge,
    LookAt,
    MoreBytes,
    RunQuery,
    Start,
    Task,
    TaskOutcome,
    Verdict,
    WriteCsv,
)

if TYPE_CHECKING:
    from chalicelib.queries.embedded.catalogue import Found
    from chalicelib.queries.embedded.duck import Duck
    from chalicelib.queries.sql import Checked

JUDGING = 1.0  # s of CPU that judging one statement may take
LARGEST_TRANSLATION = 4_000_000  # characters
LOST_FILES = 20  # times a query is begun again because a compaction took its files away


class OutOfTime(BaseException):
    """Judging takes too long. No handler of Exception stops it."""


class QueryWorker:
    """One process's end of the socket."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._grants: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._duck: Duck | None = None
        self.start: Start = connection.recv()
        threading.Thread(target=self._listen, daemon=True).start()
        for name in self.start.modules:
            import_module(name)
        if self.start.database:
            self._duck = open_database(self.start)
        self._base = bound_memory(self.start.memory)

    def run(self) -> None:
        self._connection.send(Done(None))  # ready
        while True:
            self._connection.send(self._answer(self._tasks.get()))

    @property
    def duck(self) -> Duck:
        """The database of a process that has one."""
        assert self._duck is not None
        return self._duck

    def more(self, least: int, liked: int) -> int:
        """Ask for more bytes to write."""
        self._connection.send(MoreBytes(least, liked))
        return self._grants.get()

    def _answer(self, task: Task) -> Done | Failed:
        try:
            value = TASKS[type(task)](self, task)
        except LakeError as error:
            inside = getattr(error, "inside", "")
            return Failed(error, inside, bool(inside) or error.message == OUT_OF_MEMORY or self._worn())
        except MemoryError:
            return Failed(QueryFailed(OUT_OF_MEMORY), worn=True)
        except Exception:
            return Failed(QueryFailed("the engine failed; the log says more"), traceback.format_exc(), worn=True)
        return Done(value, self._worn())

    def _worn(self) -> bool:
        """Whether what earlier tasks left behind takes more than half of what may be held."""
        return data_bytes() > self._base + self.start.memory // 2

    def _listen(self) -> None:
        """What the engine says while a task goes on; its end is this process's end."""
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                os._exit(0)
            if isinstance(message, Grant):
                self._grants.put(message.bytes)
            else:
                self._tasks.put(message)


def bound_memory(more: int) -> int:
    """Let the system refuse memory beyond what is held now and ``more``; answers what is held now.

    Of the limits that there are, the one on data counts what is asked for to be written, and neither libraries nor
    addresses that are only set aside. macOS does not enforce it.
    """
    held = data_bytes()
    if held:
        with suppress(ValueError, OSError):  # a lower limit that somebody else has set
            resource.setrlimit(resource.RLIMIT_DATA, (held + more, held + more))
    return held


def data_bytes() -> int:
    """What the limit on data counts; 0 where the system does not say."""
    with suppress(OSError, TypeError):
        match = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(match[1]) * 1024 if match else 0
    return 0


def open_database(start: Start) -> Duck:
    """DuckDB over the lake, as the engine asks for it."""
    from chalicelib.queries.embedded.duck import open_duck

    return open_duck(start)


# --- the tasks ----------------------------------------------------------------------------------------------------


def judge(_worker: QueryWorker, task: Judge) -> Verdict:
    """Judge a statement within its bound of processor time."""
    from chalicelib.queries.sql import check_unbound
    from chalicelib.views import user_tables

    signal.signal(signal.SIGPROF, out_of_time)
    signal.setitimer(signal.ITIMER_PROF, JUDGING)
    try:
        return verdict(check_unbound(task.sql, user_tables(), task.parameters))
    except OutOfTime:
        raise QueryRefused(f"the statement is too complex: reading it takes more than {JUDGING:g} s") from None
    except (MemoryError, RecursionError):
        raise QueryRefused("the statement is too complex") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def verdict(checked: Checked) -> Verdict:
    """What the engine needs to know of a statement that may run. Raises QueryRefused for a translation that is too
    long."""
    if len(checked.duckdb) > LARGEST_TRANSLATION:
        raise QueryRefused("the statement is too complex")
    digest = hashlib.sha256(repr((checked.sql, checked.duckdb)).encode()).hexdigest()
    return Verdict(
        checked.sql,
        checked.columns,
        checked.tables,
        checked.volatile,
        digest,
        pickle.dumps(checked),
        checked.any_values,
    )


def out_of_time(_number: int, _frame: FrameType | None) -> None:
    """The signal's handler: the statement's processor time is over."""
    raise OutOfTime


def run_query(worker: QueryWorker, task: RunQuery, again: int = LOST_FILES) -> TaskOutcome:
    """A query whose files change while it reads them, because a compaction took them away, is begun again."""
    from chalicelib.queries.embedded.failures import failure
    from chalicelib.queries.embedded.results import FETCH_ROWS, Caps, write_result
    from chalicelib.queries.sql import with_values

    duck = worker.duck
    checked = with_values(pickle.loads(task.statement), task.parameters)  # noqa: S301 - our own judge wrote it
    try:
        scanned = duck.refresh(checked.tables)
        caps = Caps(task.most_rows, task.most_bytes, task.granted, worker.more)
        written = write_result(duck.batches(checked, FETCH_ROWS), checked.columns, Path(task.path), caps)
        return TaskOutcome(scanned, written.rows, written.bytes, written.truncated)
    except Exception as error:
        duck.finish()
        if again and duck.has_other_files(checked.tables):
            return run_query(worker, task, again - 1)
        raise failure(error, duck.files(checked.tables)) from error
    finally:
        duck.finish()


def write_csv(worker: QueryWorker, task: WriteCsv) -> int:
    """Write a result's CSV file, within what is granted of the disk."""
    from chalicelib.queries.embedded.csv_file import write_csv
    from chalicelib.queries.embedded.results import Caps

    caps = Caps(0, task.most_bytes, task.granted, worker.more)
    return write_csv(Path(task.result), Path(task.path), task.columns, caps)


def look_at(worker: QueryWorker, task: LookAt) -> None:
    """Open the tables, so that the first query finds them open."""
    from chalicelib.queries.embedded.failures import failure

    try:
        worker.duck.refresh(task.tables)
    except Exception as error:
        raise failure(error, worker.duck.files(task.tables)) from error


def describe_tables(worker: QueryWorker, task: DescribeTables) -> Found:
    """What a crawl tells of the tables."""
    from chalicelib.queries.embedded.catalogue import describe_all
    from chalicelib.queries.embedded.failures import failure

    duck = worker.duck
    try:
        return describe_all(duck, task.before)
    except Exception as error:
        raise failure(error) from error


TASKS: dict[type[Any], Callable[[QueryWorker, Any], Any]] = {
    Judge: judge,
    RunQuery: run_query,
    WriteCsv: write_csv,
    LookAt: look_at,
    DescribeTables: describe_tables,
}


def main() -> None:
    """The process: read tasks from the engine's pipe until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # CTRL-C is the engine's to hear; it ends this process
    QueryWorker(Connection(int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()

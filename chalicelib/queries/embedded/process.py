"""A process that works for the engine, seen from the engine: asked, and ended by a signal.

A task that is not to go on is killed with its process, and not asked to end first: there is always something that does
not heed it, and a process that broke off may hold memory. Whoever needs the next one starts it. What a process holds is
bounded by the system (see worker.py) and watched from here.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from chalicelib.queries.embedded.nursery import NURSERY, Child, run_module
from chalicelib.queries.embedded.tasks import Done, Failed, Grant, MoreBytes, Start, Task

LOOK = 0.2  # s between two looks whether a process has gone
ITSELF = 250_000_000  # bytes that a process holds before it does anything
log = logging.getLogger(__name__)


class ProcessEnded(Exception):
    """The process ended before it answered; ``status`` is its exit status, negative for a signal."""

    def __init__(self, status: int | None) -> None:
        super().__init__(f"the process ended ({status})")
        self.status = status


def no_more(_least: int, _liked: int) -> int:
    """A grant of disk that gives nothing."""
    return 0


class Process:
    """One process, which does one task at a time. ``stop`` and ``held`` may be called from any thread."""

    def __init__(self, start: Start, on_close: Callable[[], object] = lambda: None) -> None:
        self._on_close = on_close
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = begin(theirs)
        except OSError:
            ours.close()
            raise
        self._line = ours
        self._connection = Connection(os.dup(ours.fileno()))
        self._most = start.memory
        self._busy = False
        self._stopped = False
        self._sending = threading.Lock()
        self.worn = False
        self._send(start)

    def ready(self) -> Process:
        """Wait until it has begun. Raises ProcessEnded."""
        try:
            self._reply()
        except (EOFError, OSError):
            self.close()
            raise ProcessEnded(self._process.returncode) from None
        return self

    def call(self, task: Task, grant: Callable[[int, int], int] = no_more) -> Any:
        """The answer to a task. ``grant`` answers how many bytes more may be written, of so many needed and
        so many liked.

        Raises what the task raised, or ProcessEnded.
        """
        self._busy = True
        try:
            self._send(task)
            while isinstance(reply := self._reply(), MoreBytes):
                self._send(Grant(grant(reply.least, reply.liked)))
        except (EOFError, OSError):
            self.worn = True
            raise ProcessEnded(None if self._stopped else self._ended()) from None
        finally:
            self._busy = False
        self.worn = self.worn or reply.worn
        if isinstance(reply, Done):
            return reply.value
        if reply.trace:
            log.error("%s\n%s", reply.error, reply.trace)
        raise reply.error

    def stop(self) -> None:
        """End the process and with it the task going on, which fails with ProcessEnded at once, however long the
        system takes to clear away what the process holds."""
        if self._busy:
            self.worn = self._stopped = True
            self._process.kill()
            with suppress(OSError):  # it has ended
                self._line.shutdown(socket.SHUT_RDWR)

    def overloaded(self) -> bool:
        """Whether it holds more memory than it may; the system's own limit mostly comes first."""
        return held_bytes(self._process.pid) > ITSELF + self._most

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._ended()
        self._connection.close()
        self._line.close()
        self._on_close()

    def _reply(self) -> MoreBytes | Done | Failed:
        while not self._connection.poll(LOOK):
            if self._process.poll() is not None and not self._connection.poll(0):
                raise EOFError
        reply: MoreBytes | Done | Failed = self._connection.recv()
        return reply

    def _send(self, message: Any) -> None:
        with self._sending:
            self._connection.send(message)

    def _ended(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(1)
        return None


def begin(theirs: socket.socket) -> Child | subprocess.Popen[bytes]:
    """A process whose end of the line is ``theirs``: from the nursery where the system can name a process safely."""
    if hasattr(os, "pidfd_open"):
        return NURSERY.bear(theirs)
    return run_module("chalicelib.queries.embedded.worker", theirs)


def held_bytes(pid: int) -> int:
    """Memory that a process holds now; 0 where the system does not say (not Linux), or where it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")

"""Where the engine's processes come from: forked from one that has already imported what they need.

Importing takes half a second of a processor, forking takes milliseconds, and what was imported is in memory once. There
is one nursery for all engines of a service; it begins with the first process and ends with the service. It has one
thread beside the memory allocator's, which knows of forks, so that forking is safe; it knows nothing of any lake.
"""

from __future__ import annotations

import atexit
import gc
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

from chalicelib.settings import PROJECT

PRELOADED = (
    "chalicelib.queries.embedded.worker",
    "chalicelib.queries.embedded.duck",
    "chalicelib.queries.embedded.failures",
    "chalicelib.queries.embedded.results",
    "chalicelib.queries.embedded.csv_file",
    "chalicelib.queries.sql",
)
NAME = "lake-worker"  # of a forked process, as ps shows it
NUMBER = struct.Struct("q")
LONGEST_FOLDER = 65_536  # bytes of a working folder's name
ENDING = 5.0  # s that the nursery may take to end
BEARING = 30.0  # s that it may take to fork, to begin with and on a busy machine too


class Child:
    """One process of the nursery's, as its engine sees it. What subprocess.Popen can, as far as it is needed."""

    def __init__(self, report: socket.socket, patience: float) -> None:
        self._report = report
        self._handle = -1
        self._lock = threading.Lock()
        report.settimeout(patience)
        self.pid = self._number()
        report.settimeout(None)
        self.returncode: int | None = None
        self._handle = os.pidfd_open(self.pid)

    def kill(self) -> None:
        """End it by force; nothing happens where it has ended."""
        with self._lock, suppress(ProcessLookupError):
            if self._handle >= 0:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it lives."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired after ``timeout`` seconds."""
        with self._lock:
            if self.returncode is None:
                if not select.select([self._report], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("a process of the engine's", timeout)
                self.returncode = self._number()
                self._close()
            return self.returncode

    def _number(self) -> int:
        """What the nursery says next; that it was killed where the nursery itself has ended."""
        said = self._report.recv(NUMBER.size)
        return int(NUMBER.unpack(said)[0]) if said else -signal.SIGKILL

    def _close(self) -> None:
        self._report.close()
        os.close(self._handle)
        self._handle = -1


class Nursery:
    """The process that forks, as a service sees it. Safe for threads. One that does not fork within ``patience``
    seconds is ended, and another takes its place."""

    def __init__(self, patience: float = BEARING) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def bear(self, theirs: socket.socket) -> Child:
        """A new process whose end of the line to the engine is ``theirs``. Raises OSError where there is none."""
        with self._lock:
            try:
                return self._ask(theirs)
            except OSError:  # it was killed, or stands still
                self._end()
                return self._ask(theirs)

    def end(self) -> None:
        """End it; the next process begins another."""
        with self._lock:
            self._end()

    def _ask(self, theirs: socket.socket) -> Child:
        line = self._line or self._begin()
        report, reporting = socket.socketpair()
        try:
            with reporting:
                folder = os.fsencode(Path.cwd())
                socket.send_fds(line, [folder], [theirs.fileno(), reporting.fileno()])
            return Child(report, self._patience)
        except OSError:
            report.close()
            raise

    def _begin(self) -> socket.socket:
        atexit.unregister(self.end)
        atexit.register(self.end)
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = run_module("chalicelib.queries.embedded.nursery", theirs)
        return self._line

    def _end(self) -> None:
        if self._line:
            self._line.close()
        if self._process:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDING)
            self._process.kill()
            self._process.wait()
        self._line = self._process = None


def run_module(module: str, line: socket.socket) -> subprocess.Popen[bytes]:
    """A process that runs a module with its end of a line."""
    return subprocess.Popen(
        [sys.executable, "-m", module, str(line.fileno())],
        pass_fds=[line.fileno()],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def environment() -> dict[str, str]:
    """Arrow's own memory pool sets a gigabyte of addresses aside, which the limit on data would count; one thread of
    OpenBLAS's is enough, and none must run when the nursery forks."""
    inherited = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    path = os.pathsep.join([str(PROJECT), *inherited])
    return {**os.environ, "PYTHONPATH": path, "ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}


NURSERY = Nursery()


# --- the process itself -------------------------------------------------------------------------------------------


class Forking:
    """Forks whenever it is asked, and says how each of its children ended."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._reports: dict[int, socket.socket] = {}  # by process id
        self._woken, waking = os.pipe()  # readable when a child has ended
        os.set_blocking(waking, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)

    def run(self) -> socket.socket | None:
        """Fork until nobody asks any more (None); in a child, its end of the line to the engine."""
        while True:
            ready = select.select([self._line.fileno(), self._woken], [], [])[0]
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._line.fileno() in ready:
                folder, handles, _, _ = socket.recv_fds(self._line, LONGEST_FOLDER, 2)
                if not handles:
                    return None
                theirs, report = (socket.socket(fileno=handle) for handle in handles)
                if self._fork(report):
                    os.chdir(folder)
                    return theirs
                theirs.close()

    def _fork(self, report: socket.socket) -> bool:
        """Whether this is the child."""
        pid = os.fork()
        if pid:
            self._reports[pid] = report
            report.send(NUMBER.pack(pid))
            return False
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (self._line, report, *self._reports.values()):
            each.close()
        with suppress(OSError):
            Path("/proc/self/comm").write_text(NAME)
        return True

    def _reap(self) -> None:
        while self._reports:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self._reports.pop(pid) as report, suppress(OSError):  # the engine has gone
                report.send(NUMBER.pack(os.waitstatus_to_exitcode(status)))


def main() -> None:
    """Fork until the service closes its end, or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # CTRL-C is the engine's to hear; it ends this process
    for name in PRELOADED:
        import_module(name)
    gc.freeze()
    line = Forking(socket.socket(fileno=int(sys.argv[1]))).run()
    if line is not None:
        from chalicelib.queries.embedded.worker import QueryWorker

        QueryWorker(Connection(line.detach())).run()


if __name__ == "__main__":
    main()

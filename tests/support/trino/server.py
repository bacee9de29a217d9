"""Trino's process: one for all test processes of a machine, started by the first and ended after the last.

Whoever uses it holds a shared lock on ``users``; the operating system lets go of it when a process dies, however it
dies. The keeper, a process of its own, starts Trino and waits for the exclusive lock, which it gets when nobody is
left; then it ends Trino. ``door`` is held by whoever looks whether a server is running and starts one if not.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from tests.support.trino.client import Answer, Session, TrinoFailed, ask

ROOT = Path(__file__).parents[3]
#: ``TRINO_VERSION=435`` asks the second judge, nearest to Athena's own version. It needs a JDK 17 on the PATH.
VERSION = os.environ.get("TRINO_VERSION", "476")
PATIENCE = 180.0  # s that a start may take on a busy machine
SECONDS_TO_END = 10.0  # between SIGTERM and SIGKILL

HEAP = "2g"
JAVA_OPTIONS = [
    f"-Xmx{HEAP}",
    "-XX:+UseSerialGC",  # the one for few cores
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:ReservedCodeCacheSize=256M",
    "-Dfile.encoding=UTF-8",
    "-Duser.timezone=UTC",
    "-Djdk.attach.allowAttachSelf=true",
    "-Djdk.nio.maxCachedBufferSize=2000000",
]
#: What starts each release, on the Java that it is for.
STARTED_BY = {
    "476": [
        "-XX:+EnableDynamicAgentLoading",
        "--sun-misc-unsafe-memory-access=allow",
        "--enable-native-access=ALL-UNNAMED",
        "io.trino.server.TrinoServer",
    ],
    "435": [str(Path(__file__).with_name("TrinoServer.java"))],
}
#: ``catalog.management=dynamic``: each emulation of AWS brings a catalogue of its own (CREATE CATALOG).
CONFIGURATION = """\
node.environment=test
node.internal-address=127.0.0.1
node.bind-ip=127.0.0.1
coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
http-server.log.enabled=false
http-server.max-request-header-size=1MB
discovery.uri=http://127.0.0.1:{port}
plugin.dir={plugins}
catalog.management=dynamic
catalog.store=memory
query.max-memory=500MB
query.max-memory-per-node=500MB
memory.heap-headroom-per-node=300MB
query.max-history=20
query.min-expire-age=10s
sql.forced-session-time-zone=UTC
task.concurrency=2
task.max-worker-threads=4
exchange.max-buffer-size=4MB
optimizer.join-reordering-strategy=NONE
join-distribution-type=BROADCAST
"""
KEEPERS: list[subprocess.Popen[bytes]] = []  # of this process: Python warns of one let go of while it runs


class TrinoAbsent(Exception):
    """There is no Trino to ask; the message says how to get one."""


@dataclass(frozen=True)
class Server:
    url: str
    pid: int

    def session(self, **chosen: Any) -> Session:
        return Session(self.url, **chosen)

    def ask(self, sql: str, parameters: tuple[str, ...] = (), **chosen: Any) -> Answer:
        """Run a statement to its end. Raises TrinoFailed."""
        return ask(self.session(**chosen), sql, parameters)


def home() -> Path:
    return ROOT / "build" / "trino" / VERSION


def absence() -> str:
    """Why there is no Trino here, or nothing if there is."""
    if not java().is_file():
        return "no Trino to ask: make trino"
    return ""


def java() -> Path:
    """The Java that ``make trino`` installed with pip and noted when all else was there; no file if it has not."""
    note = home() / "java"
    return Path(note.read_text()) if note.exists() else note / "none"


def needed() -> None:
    """Skip the test that asks where there is no Trino; fail it where there has to be one (``TRINO=required``)."""
    import pytest

    if lacking := absence():
        (pytest.fail if os.environ.get("TRINO") == "required" else pytest.skip)(lacking)


@cache
def shared() -> Server:
    """The machine's Trino, in use by this process until it ends. Raises TrinoAbsent."""
    if lacking := absence():
        raise TrinoAbsent(lacking)
    with held("door", fcntl.LOCK_EX):
        hold("users", fcntl.LOCK_SH)  # waits for a keeper that is ending its server
        return running() or started()


def running() -> Server | None:
    try:
        described = json.loads((home() / "server.json").read_text())
    except FileNotFoundError:
        return None
    server = Server(described["url"], described["pid"])
    return server if answers(server) else None


def started() -> Server:
    """Have a keeper start Trino, and wait until it answers a query. Raises TrinoAbsent with the end of its log."""
    note = home() / "server.json"
    note.unlink(missing_ok=True)
    log = home() / "server.log"
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.support.trino.server"],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    KEEPERS.append(keeper)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and keeper.poll() is None:
        if note.exists() and (server := running()):
            server.ask("CREATE CATALOG memory USING memory")
            return server
        time.sleep(0.2)
    raise TrinoAbsent(f"Trino does not start; the end of {log}:\n{log.read_text(errors='replace')[-2000:]}")


def answers(server: Server) -> bool:
    """Whether a query is answered; for a moment after its start Trino has no node to run one."""
    try:
        with urllib.request.urlopen(f"{server.url}/v1/info", timeout=10) as response:
            if json.loads(response.read())["starting"]:
                return False
        return server.ask("SELECT 1").rows == [[1]]
    except (OSError, TrinoFailed):
        return False


def keep() -> None:
    """The keeper: run Trino until nobody uses it any more, or it ends by itself."""
    folder = Path(tempfile.mkdtemp(prefix="trino-"))
    port = free_port()
    settings = folder / "config.properties"
    settings.write_text(CONFIGURATION.format(port=port, plugins=home() / "plugin"))
    note = home() / "server.json"
    process = subprocess.Popen(command(settings), cwd=folder, stdin=subprocess.DEVNULL)
    draft = note.with_suffix(".new")
    draft.write_text(json.dumps({"url": f"http://127.0.0.1:{port}", "pid": process.pid}))
    draft.rename(note)
    try:
        with (home() / "users").open("a") as users:
            while process.poll() is None and not nobody_else(users):
                time.sleep(0.5)
            note.unlink(missing_ok=True)
            end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def command(settings: Path) -> list[str]:
    (library,) = home().glob("*/lib")
    configured = [f"-Dconfig={settings}", "-cp", f"{library}/*"]
    return [str(java()), *JAVA_OPTIONS, *configured, *STARTED_BY[VERSION]]


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def nobody_else(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def held(name: str, how: int) -> Iterator[None]:
    descriptor = hold(name, how)
    try:
        yield
    finally:
        os.close(descriptor)


def hold(name: str, how: int) -> int:
    """A lock, for as long as the descriptor is open: to the process's end, if nobody closes it."""
    descriptor = os.open(home() / name, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, how)
    return descriptor


if __name__ == "__main__":
    keep()

"""Statements that are slow, large or stuck, against a served lake, while somebody else asks: do the bounds hold?

    python -m bench.killers [--rounds 1] [--seconds 3] [NAME ...]

Each killer (tests/support/killers.py, or those whose names contain NAME) is begun twice by one token: once it runs to
its limit, once it is cancelled. Another token asks for small numbers and for /health all the while. Prints what was the
worst, and exits with 1 where a bar was missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

from bench.api import Client
from chalicelib.queries.embedded.process import held_bytes
from chalicelib.rest.access import Access
from chalicelib.settings import Settings
from chalicelib.stores import open_secrets
from tests.support.killers import KILLERS
from tests.support.server import LakeServer, fill

LATE = 1.0  # s after its limit, or after DELETE, within which a query has ended
OTHERS = 0.3  # s within which another token's SELECT 1 is answered
AROUND = 1_000_000_000  # bytes that all processes may hold beside QUERY_SLOTS x QUERY_MEMORY
SLOTS, MEMORY = 3, 300_000_000
RESULT, RESULTS = 20_000_000, 50_000_000
EVERY = 0.05  # s between two looks, and between two questions
CANCELLED_AFTER = 1.0  # s
QUIET = "nothing"
QUIET_SECONDS = 5.0  # in which nothing goes on, for comparison


@dataclass
class Worst:
    """The largest of some figures, with the killer that was going on."""

    value: float = 0.0
    during: str = ""

    def see(self, value: float, during: str) -> None:
        if value > self.value:
            self.value, self.during = value, during


@dataclass
class Trial:
    """What was seen of a served lake."""

    server: LakeServer
    seconds: float
    others: list[str]  # tokens
    killer: str = QUIET
    stop: threading.Event = field(default_factory=threading.Event)
    overtime: Worst = field(default_factory=Worst)
    cancelled: Worst = field(default_factory=Worst)
    answered: Worst = field(default_factory=Worst)
    health: Worst = field(default_factory=Worst)
    memory: Worst = field(default_factory=Worst)
    disk: Worst = field(default_factory=Worst)
    spilled: Worst = field(default_factory=Worst)
    latencies: dict[str, list[float]] = field(default_factory=dict)  # of small questions: by what went on
    broken: list[str] = field(default_factory=list)

    # What goes on beside

    def ask(self) -> None:
        """Small questions of another token, none of which was asked before."""
        client = Client(self.server.url, self.others[0])
        while not self.stop.wait(EVERY):
            during, begun = self.killer, time.perf_counter()
            try:
                client.rows(f"SELECT {begun}")
            except (RuntimeError, OSError) as error:
                self.broken.append(f"{during}: another token was not answered: {error}")
                continue
            took = time.perf_counter() - begun
            self.latencies.setdefault(during, []).append(took)
            if during != QUIET:
                self.answered.see(took, during)

    def look_at_health(self) -> None:
        client = Client(self.server.url)
        while not self.stop.wait(EVERY):
            during, begun = self.killer, time.perf_counter()
            client.ask("GET", "/health")
            self.health.see(time.perf_counter() - begun, during)

    def watch(self) -> None:
        """Memory of the server and all its processes, and what lies in results/."""
        while not self.stop.wait(EVERY / 2):
            self.memory.see(sum(map(held_bytes, processes_of(self.server.pid()))), self.killer)
            kept, spilled = bytes_below(self.server.lake / "results")
            self.disk.see(kept, self.killer)
            self.spilled.see(spilled, self.killer)

    # The killers

    def run(self, name: str) -> str:
        """A killer to its limit, then one more that is cancelled; a line that says what became of them."""
        self.killer = name
        client = Client(self.server.url, self.server.token)
        done = self.started(client, name)
        if done is None:
            return "refused"
        document = self.ended(client, done)
        took = seconds_between(document)
        self.overtime.see(took - self.seconds, name)
        if document["state"] == "succeeded":
            with suppress(OSError, ValueError, HTTPException):  # its file may be refused, or break off as too long
                client.ask("GET", f"/queries/{done}/download?format=csv")
            client.close()
        report = f"{document['state']} after {took:.2f} s"
        again = self.started(client, name)
        assert again is not None
        time.sleep(CANCELLED_AFTER)
        begun = time.perf_counter()
        client.ask("DELETE", f"/queries/{again}")
        state = self.ended(client, again)["state"]
        took = time.perf_counter() - begun
        self.cancelled.see(took, name)
        return f"{report}; {state} {took:.2f} s after DELETE"

    def started(self, client: Client, name: str) -> str | None:
        status, answer = client.ask("POST", "/queries", {"sql": KILLERS[name]})
        if status == 202:
            return str(answer["query_id"])
        if status != 400:
            self.broken.append(f"{name}: {status} {answer}")
        return None

    def ended(self, client: Client, query_id: str) -> dict[str, Any]:
        while True:
            _, document = client.ask("GET", f"/queries/{query_id}?wait=1")
            if document["ended_at"]:
                return dict(document)


def seconds_between(document: dict[str, Any]) -> float:
    """How long a query ran."""
    if not document["started_at"]:
        return 0.0
    ended, started = (datetime.fromisoformat(document[name]) for name in ("ended_at", "started_at"))
    return (ended - started).total_seconds()


def processes_of(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in path.read_text().split():
                found += processes_of(int(child))
    return found


def bytes_below(results: Path) -> tuple[int, int]:
    """What results take, those being written included, and what queries have spilled."""
    kept = spilled = 0
    for folder, _, names in os.walk(results):
        for name in names:
            with suppress(OSError):
                size = os.stat(os.path.join(folder, name)).st_size
                if "/.spill" in folder:
                    spilled += size
                elif not name.endswith(".json"):
                    kept += size
    return kept, spilled


@contextmanager
def beside(*acts: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def other_token(server: LakeServer) -> str:
    """A token of scope read."""
    settings = Settings(lake_url=str(server.lake), secrets_url=str(server.folder / "secrets"))
    return Access(settings, open_secrets(settings)).add("other", "read")[1]


def verdict(trial: Trial) -> bool:
    bars = (
        ("ended after its limit", trial.overtime, LATE, "s"),
        ("ended after DELETE", trial.cancelled, LATE, "s"),
        ("another token's SELECT answered", trial.answered, OTHERS, "s"),
        ("memory of all processes", trial.memory, AROUND + SLOTS * MEMORY, "bytes"),
        ("disk of results", trial.disk, RESULTS, "bytes"),
    )
    for what, worst, bar, unit in bars:
        word = "held  " if worst.value <= bar else "MISSED"
        print(f"{word} {what}: worst {worst.value:,.3f} of {bar:,} {unit} ({worst.during})")
    for name, values in (
        ("while nothing went on", trial.latencies.get(QUIET, [])),
        ("beside killers", [value for during, each in trial.latencies.items() if during != QUIET for value in each]),
    ):
        last, late = statistics.quantiles(values, n=20)[-1], sum(value > OTHERS for value in values)
        print(
            f"       {len(values)} small questions {name}: median {statistics.median(values):.3f} s, p95 {last:.3f} s, "
            f"worst {max(values):.3f} s, {late} late"
        )
    print(f"       /health {trial.health.value:.3f} s at most; spilled at most {trial.spilled.value:,.0f} bytes")
    print(f"       load of the machine {os.getloadavg()}")
    for line in trial.broken[:20]:
        print(f"BROKEN {line}")
    return not trial.broken and all(worst.value <= bar for _, worst, bar, _ in bars)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0, help="QUERY_SECONDS")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    chosen = [name for name in KILLERS if not options.names or any(word in name for word in options.names)]
    bounds = {
        "QUERY_SECONDS": str(options.seconds), "QUERY_SLOTS": str(SLOTS), "QUERY_MEMORY": str(MEMORY),
        "QUERY_BYTES": str(RESULT), "RESULTS_BYTES": str(RESULTS), "REQUESTS_PER_MINUTE": "1000000",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder))
        with LakeServer(Path(folder), bounds) as server:
            trial = Trial(server, options.seconds, [other_token(server)])
            server.rows("SELECT count(*) FROM plays")
            time.sleep(3)  # all processes have started
            with beside(trial.ask, trial.look_at_health, trial.watch, stop=trial.stop):
                time.sleep(QUIET_SECONDS)
                for name in chosen * options.rounds:
                    print(f"{name:32} {trial.run(name)}", flush=True)
            return 0 if verdict(trial) else 1


if __name__ == "__main__":
    sys.exit(main())

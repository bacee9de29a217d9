"""What the API costs: a small query from POST to rows beside bare DuckDB and an empty Chalice route, and many clients.

    python -m bench.api [--rounds 200] [--clients 50] [--seconds 60]

The three are measured in turn, in one run, and compared by their medians; the machine is noisy. The load trial has
every client ask with its own number and check that the answer is its own.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import figures
from chalicelib.lake import TRANSFORMED
from chalicelib.queries.embedded.duck import Duck, DuckBounds
from chalicelib.queries.embedded.listing import FileListing
from chalicelib.queries.sql import check
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from chalicelib.views import user_tables
from tests.support.server import LakeServer, fill

EMPTY = {
    "chalice": """
from chalice import Chalice
from chalice.config import Config
from chalice.local import LocalDevServer
app = Chalice("empty", configure_logs=False)
@app.route("/health")
def empty():
    return {}
server = LocalDevServer(app, Config(config_from_disk={}, default_params={}), "127.0.0.1", 0)
print(server.server.server_port, flush=True)
server.server.serve_forever()
""",
    "ours": """
import time
from chalicelib.local.httpserver import HttpServer
from chalicelib.rest.messages import Reply
class EmptyApi:
    def handle(self, request):
        return Reply(200, "{}")
api = EmptyApi()
server = HttpServer(lambda: api, None, host="127.0.0.1", port=0)
server.start()
print(server.port, flush=True)
time.sleep(86_400)
""",
}
QUERY = "SELECT count(*) AS n FROM track_artists WHERE position >= ?"
MOST_EMPTY, MOST_DUCKDB = 3, 2  # a small query may cost 3 empty requests and 2 bare DuckDB queries


class Client:
    """One keep-alive connection."""

    def __init__(self, url: str, token: str = "") -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        content = None if body is None else json.dumps(body)
        headers = self._headers | ({"Content-Type": "application/json"} if content else {})
        self._connection.request(method, path, content, headers)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def rows(self, sql: str, *parameters: Any) -> list[list[Any]]:
        status, started = self.ask("POST", "/queries", {"sql": sql, "parameters": parameters})
        if status != 202:
            raise RuntimeError(f"{status} {started}")
        status, page = self.ask("GET", f"/queries/{started['query_id']}/rows?wait=20")
        if status != 200:
            raise RuntimeError(f"{status} {page}")
        return list(page["rows"])

    def close(self) -> None:
        self._connection.close()


# --- one small query ----------------------------------------------------------------------------------------------


@contextmanager
def empty_route(server: str) -> Iterator[str]:
    """An empty route on Chalice's own local server (``chalice``) or on this project's (``ours``)."""
    command = [sys.executable, "-c", EMPTY[server]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def bare_duckdb(lake_folder: Path) -> Callable[[int], int]:
    """The same statement over the same views and files, by DuckDB alone: no guard, queue, record or kept result."""
    lake = open_lake(Settings(lake_url=str(lake_folder)))
    bounds = DuckBounds(500_000_000, os.cpu_count() or 1, lake_folder / "results" / ".bench")
    session = Duck(Path(lake.store.location(TRANSFORMED)), bounds, FileListing(lake))
    session.refresh(["track_artists"])

    def ask(position: int) -> int:
        (row,) = session.run(statement.duckdb, {**statement.values, name: position}).fetchall()
        return int(row[0])

    statement = check(QUERY, user_tables(), [0])
    (name,) = statement.values
    return ask


def compare(server: LakeServer, rounds: int) -> tuple[str, str]:
    ours, bare = Client(server.url, server.token), bare_duckdb(server.lake)
    times: dict[str, list[float]] = {"api": [], "duckdb": [], "empty": [], "chalice": []}
    with empty_route("ours") as url, empty_route("chalice") as slow_url:
        empty, slow = Client(url), Client(slow_url)
        for number in range(rounds + 20):
            measured = {
                "api": timed(lambda: ours.rows(QUERY, -number)),  # noqa: B023
                "duckdb": timed(lambda: bare(-number)),  # noqa: B023
                "empty": timed(lambda: empty.ask("GET", "/health")),
                "chalice": timed(lambda: slow.ask("GET", "/health")),
            }
            if number >= 20:  # the first ones warm up
                for name, seconds in measured.items():
                    times[name].append(seconds * 1000)
    assert ours.rows(QUERY, 0) == [[bare(0)]], "the API and DuckDB disagree"
    medians = {name: statistics.median(values) for name, values in times.items()}
    allowed = MOST_EMPTY * medians["empty"] + MOST_DUCKDB * medians["duckdb"]
    print("a small query from POST to rows; bare DuckDB; an empty answer of this server; an empty route on Chalice's")
    for name, values in times.items():
        print(f"  {name:8} median {medians[name]:7.2f} ms   p90 {statistics.quantiles(values, n=10)[-1]:7.2f} ms")
    print(f"POST to rows: {medians['api']:.2f} ms of at most {allowed:.2f} ms ({medians['api'] / allowed:.2f})\n")
    return f"{medians['api']:.1f} ms", f"an empty route on Chalice's own server {medians['chalice']:.1f} ms"


def timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


# --- many clients -------------------------------------------------------------------------------------------------


@dataclass
class Load:
    """What many clients saw."""

    clients: int
    seconds: float
    answers: int = 0
    errors: list[str] = field(default_factory=list)
    wrong: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def throughput(self) -> float:
        return self.answers / self.seconds


def load(server: LakeServer, clients: int, seconds: float) -> Load:
    seen, lock, end = Load(clients, seconds), threading.Lock(), time.monotonic() + seconds

    def ask(number: int) -> None:
        client, turn = Client(server.url, server.token), 0
        while time.monotonic() < end:
            turn += 1
            mark = f"{number}-{turn}"
            begun = time.perf_counter()
            try:
                rows = client.rows("SELECT ? AS mark, count(*) AS n FROM track_artists", mark)
            except (RuntimeError, OSError, http.client.HTTPException) as error:
                with lock:
                    seen.errors.append(str(error)[:200])
                client.close()
                continue
            with lock:
                seen.answers += 1
                seen.wrong += rows[0][0] != mark
                seen.latencies.append(time.perf_counter() - begun)
        client.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def memory_of(pid: int) -> float:
    """Resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


@contextmanager
def memory_watched(pid: int, every: float) -> Iterator[list[str]]:
    """Resident memory now, ``every`` seconds and at the end."""
    seen, stop = [f"{memory_of(pid):.0f}"], threading.Event()

    def look() -> None:
        while not stop.wait(every):
            seen.append(f"{memory_of(pid):.0f}")

    thread = threading.Thread(target=look)
    thread.start()
    yield seen
    stop.set()
    thread.join()


def many_clients(server: LakeServer, clients: int, seconds: float) -> tuple[str, str]:
    load(server, 8, min(5.0, seconds))  # warm up
    few = load(server, 8, seconds / 2)
    with memory_watched(server.pid(), seconds / 6) as memory:
        many = load(server, clients, seconds)
    for seen in (few, many):
        middle = statistics.median(seen.latencies) * 1000
        last = statistics.quantiles(seen.latencies, n=100)[-1] * 1000
        print(
            f"{seen.clients:3} clients {seen.seconds:4.0f} s: {seen.throughput:6.1f} queries/s, "
            f"median {middle:6.0f} ms, p99 {last:6.0f} ms, errors {len(seen.errors)}, mixed up {seen.wrong}"
        )
    for error in sorted(set(many.errors))[:5]:
        print(f"    {error}")
    print(f"throughput {many.throughput / few.throughput:.2f} x that of 8 clients; memory {', '.join(memory)} MB")
    return f"{many.throughput:.0f} queries/s", f"8 clients {few.throughput:.0f} queries/s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended too
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder))
        with LakeServer(Path(folder), {"REQUESTS_PER_MINUTE": "1000000"}) as server:
            small = compare(server, options.rounds)
            many = many_clients(server, options.clients, options.seconds)
            usual = vars(options) == vars(parser.parse_args([]))
            figures.tell("api", {"The same by HTTP, from POST to rows": small, "50 clients at once": many}, usual=usual)


if __name__ == "__main__":
    main()

"""What the embedded engine costs: a small query beside bare DuckDB, many clients, and five million rows.

``python -m bench.sql [--rows N] [--seconds S]`` prints, from one run: a small query from start to rows, with the same
query on bare DuckDB in turn; queries a second of 8 and of 50 clients; the memory and time that a large result takes
to run, to page through and to download. Ratios are what counts on a noisy machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from bench import figures
from chalicelib.queries.embedded.process import held_bytes
from chalicelib.queries.engine import Engine
from tests.support.engines import Opened, embedded, fill

SMALL = "SELECT item_id, count(*) AS plays FROM plays WHERE ms_played > ? GROUP BY 1 ORDER BY 2 DESC"
BARE = "SELECT item_id, count(*) AS plays FROM read_parquet(?) WHERE ms_played > ? GROUP BY 1 ORDER BY 2 DESC"
ROUNDS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the large result")
    parser.add_argument("--seconds", type=float, default=10, help="how long each number of clients asks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder), query_seconds=600.0) as opened:
        fill(opened)
        small = small_query(opened)
        clients(opened, options.seconds)
        figures.tell(
            "sql",
            {
                "A small query, from start to rows": small,
                "A result of 5,000,000 rows run and written": large_result(opened, options.rows),
            },
            usual=options.rows == parser.get_default("rows"),
        )


def small_query(opened: Opened) -> tuple[str, str]:
    """Each round asks both, so that noise falls on both; parameters differ, so that no result is used again."""
    files = [str(path) for path in Path(opened.settings.lake_url).rglob("plays_resolved/**/resolution-000002.parquet")]
    connection = duckdb.connect()
    ours: list[float] = []
    bare: list[float] = []
    for number in range(ROUNDS):
        ours.append(timed(partial(ask, opened.engine, number)))
        bare.append(timed(partial(bare_answer, connection, files, number)))
    one, other = statistics.median(ours[20:]), statistics.median(bare[20:])
    print("small query, start to rows   median ms   best ms")
    print(f"  embedded engine            {one * 1e3:9.2f} {min(ours) * 1e3:9.2f}")
    print(f"  bare DuckDB                {other * 1e3:9.2f} {min(bare) * 1e3:9.2f}")
    print(f"  ratio                      {one / other:9.2f} {min(ours) / min(bare):9.2f}\n")
    return f"{one * 1e3:.1f} ms", f"bare DuckDB {other * 1e3:.1f} ms"


def bare_answer(connection: duckdb.DuckDBPyConnection, files: list[str], value: int) -> list[Any]:
    return connection.execute(BARE, [files, value]).fetchall()


def ask(engine: Engine, value: int, client: str = "") -> list[tuple[Any, ...]]:
    query = engine.wait(engine.start_query(SMALL, [value], client=client).query_id, 60)
    return engine.rows(query.query_id).rows


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def clients(opened: Opened, seconds: float) -> None:
    rates = {count: throughput(opened, count, seconds) for count in (1, 8, 50)}
    print("clients at once              queries/s")
    for count, rate in rates.items():
        print(f"  {count:3}                        {rate:9.0f}")
    print(f"  50 against 8               {rates[50] / rates[8]:9.2f}\n")


def throughput(opened: Opened, count: int, seconds: float) -> float:
    done: list[int] = []
    until = time.monotonic() + seconds

    def client(name: int) -> None:
        number = 0
        while time.monotonic() < until:
            ask(opened.engine, name * 10_000_000 + number, str(name))
            number += 1
        done.append(number)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


def large_result(opened: Opened, rows: int) -> tuple[str, str]:
    outer = max(1, rows // 10_000)
    sql = (
        "SELECT a.x * 10000 + b.y AS number, 'name ' || CAST(b.y AS varchar) AS name, a.x / 7e0 AS share "
        f"FROM UNNEST(sequence(1, {outer})) AS a(x), UNNEST(sequence(1, 10000)) AS b(y)"
    )
    print("a large result                   rows         s   MB more in memory")
    before = held_bytes(os.getpid())
    with Peak() as peak:
        query = opened.engine.wait(opened.engine.start_query(sql).query_id, 600)
    assert query.error is None, query.error
    report("run and written", query.rows or 0, peak, before)
    told = f"{peak.seconds:.1f} s", f"{(peak.bytes - before) / 1e6:.0f} MB of memory"
    with Peak() as peak:
        found, token = 0, None
        while True:
            page = opened.engine.rows(query.query_id, 10_000, token)
            found += len(page.rows)
            token = page.next_page_token
            if token is None:
                break
    report("paged, 10,000 rows a page", found, peak, before)
    for kind in ("csv", "parquet"):
        with Peak() as peak:
            for _ in opened.engine.download(query.query_id, kind).chunks or ():
                pass  # what was written by then is read from the file
        report(f"downloaded as {kind}", query.rows or 0, peak, before)
    return told


def report(what: str, rows: int, peak: Peak, before: int) -> None:
    print(f"  {what:26} {rows:9,} {peak.seconds:9.1f} {(peak.bytes - before) / 1e6:9.0f}")


class Peak:
    """The most memory that the process held while a block ran, and how long that took."""

    def __enter__(self) -> Peak:
        self.bytes = held_bytes(os.getpid())
        self._started = time.perf_counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.bytes = max(self.bytes, held_bytes(os.getpid()))


if __name__ == "__main__":
    main()

"""How soon the dashboard shows something useful.

    python -m bench.dashboard [--plays N] [--rounds N] [--work FOLDER] [--requests]

A lake of three listeners and twenty years up to today, written by the product's own writers of Parquet, a real
``serve`` and a headless Chromium. What is timed is the navigation, from its start to the first frame that shows the
overview's totals and its first chart:

``cold``      the server has just said its address and the lake's files are not in the machine's memory; the browser
              runs, with nothing cached
``warm``      the same server, a browser with nothing cached, a period that nobody has asked for before
``again``     the same server, the same period (an answer of an unchanged lake is kept for QUERY_REUSE seconds)

Beside each: when the page was complete, and what the server was asked for, in order (``--requests``).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
from playwright.sync_api import Browser, Page

from bench import figures
from bench.history import ARTISTS, HOUSEHOLD, LETTERS, TRACKS, YEARS, fill_details
from chalicelib.lake import FIRST_GENERATION, Lake
from chalicelib.parquet import arrow_schema, by_month, parquet_of_sorted, sort_rows, write_table
from chalicelib.plays.resolutions import COLUMNS, resolution_key, with_resolution
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from chalicelib.tables import PLAYS, PLAYS_RESOLVED
from tests.support.browser import SIGNED_IN, started
from tests.support.server import LakeServer

LEAST = 1.0  # s from navigation to the totals and the first chart: the bar
ROUNDS = 7
#: Watches each frame from the page's start on, in ms since the navigation began.
WATCH = """
(() => {
  const painted = (canvas) => {
    if (!canvas || !canvas.width || !canvas.height) return false;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 3; at < data.length; at += 4) if (data[at]) return true;
    return false;
  };
  const times = { figures: null, shown: null };
  let done;
  window.told = { complete: new Promise((resolve, refuse) => {
    done = resolve;
    setTimeout(() => refuse(new Error("the page did not become complete in two minutes")), 120_000);
  }) };
  const look = () => {
    const figures = [...document.querySelectorAll(".figures .figure dd:first-of-type")];
    if (times.figures === null && figures.length && figures.every((each) => /[0-9]/.test(each.textContent))) {
      times.figures = performance.now();
    }
    else if (times.figures !== null && times.shown === null && painted(document.querySelector(".panel canvas"))) {
      times.shown = performance.now(); // in the frame after the one that painted it
    } else if (times.shown !== null && !document.querySelector("[aria-busy=true], .skeleton")) {
      return done({ ...times, complete: performance.now() });
    }
    requestAnimationFrame(look);
  };
  look();
})();
"""


Requests = tuple[tuple[float, float, str], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """Milliseconds from the navigation's start; ``requests`` are the server's answers: start, end, path."""

    figures: float
    shown: float
    complete: float
    requests: Requests


# --- the lake -----------------------------------------------------------------------------------------------------


def build(folder: Path, plays: int, history: Callable[[int, int, timedelta], pa.Table] | None = None) -> Lake:
    """A lake of ``plays`` listens that end today, with the details of every track. ``history`` makes a listener's."""
    lake = open_lake(Settings(lake_url=str(folder)))
    of_each = plays // len(HOUSEHOLD)
    step = timedelta(days=365.25 * YEARS) / max(1, of_each)
    listens = pa.concat_tables([(history or listens_of)(number, of_each, step) for number in range(len(HOUSEHOLD))])
    for month, rows in by_month(sort_rows(PLAYS, listens), PLAYS.partition_by):
        write_table(lake, FIRST_GENERATION, PLAYS, rows, "bench")
        decided = parquet_of_sorted(PLAYS_RESOLVED, with_resolution(rows.select(COLUMNS), 1, month))
        lake.store.write(resolution_key(FIRST_GENERATION, month, 1), decided)
    fill_details(lake)
    return lake


def listens_of(listener: int, plays: int, step: timedelta) -> pa.Table:
    """One listener's history as an extended export brings it, evenly over the years up to this hour."""
    ids = track_ids(listener)
    rng = np.random.default_rng(listener)
    steps = (step / timedelta(milliseconds=1)) * (0.2 + 1.6 * rng.random(plays))
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0).timestamp() * 1000
    ended = (end - np.cumsum(steps)[::-1]).astype("int64") // 1000 * 1000
    track = (rng.random(plays) ** 3 * TRACKS).astype("int64")
    skipped = rng.random(plays) < 0.3
    played = np.where(skipped, rng.integers(400, 29_000, plays), rng.integers(120_000, 300_000, plays))
    told: dict[str, Any] = {
        "play_id": pa.array([rng.bytes(16).hex() for _ in range(plays)]),
        "user_id": pa.repeat(HOUSEHOLD[listener], plays),
        "ended_at": pa.array(ended).cast(pa.timestamp("ms")),
        "started_at": pa.array(ended - played).cast(pa.timestamp("ms")),
        "ms_played": pa.array(played),
        "item_type": pa.repeat("track", plays),
        "item_id": pa.array(ids).take(pa.array(track)),
        "item_name": named("The song number {}", track, TRACKS),
        "artist_name": named("Artist {}", track * ARTISTS // TRACKS, ARTISTS),
        "album_name": named("Album {}", track // 9, TRACKS // 9 + 1),
        "origin": pa.repeat("extended_history", plays),
        "platform": pa.array(np.where(played % 3 > 0, "ios", "windows")),
        "country": pa.repeat("DE", plays),
        "reason_start": pa.repeat("trackdone", plays),
        "reason_end": pa.array(np.where(skipped, "fwdbtn", "trackdone")),
        "shuffle": pa.repeat(True, plays),
        "skipped": pa.array(skipped),
        "offline": pa.repeat(False, plays),
        "incognito": pa.repeat(False, plays),
        "observed_at": pa.repeat(pa.scalar(int(end), pa.timestamp("ms")), plays),
    }
    schema = arrow_schema(PLAYS)
    columns = [told[field.name] if field.name in told else pa.nulls(plays, field.type) for field in schema]
    return pa.table(columns, schema=schema)


def track_ids(listener: int) -> list[str]:
    """The same that ``fill_details`` knows."""
    rng = Random(listener)
    return ["".join(rng.choices(LETTERS, k=22)) for _ in range(TRACKS)]


def named(pattern: str, numbers: Any, count: int) -> pa.Array:
    return pa.array([pattern.format(number) for number in range(count)]).take(pa.array(numbers))


# --- looking ------------------------------------------------------------------------------------------------------


@contextmanager
def tab(browser: Browser, watch: str = WATCH) -> Iterator[Page]:
    """A tab of a browser that has nothing cached, whose pages begin with the script ``watch``."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, timezone_id="Europe/Berlin", locale="en-GB")
    try:
        context.add_init_script(watch)
        yield context.new_page()
    finally:
        context.close()


def look(browser: Browser, server: LakeServer, period: str) -> Look:
    with tab(browser) as page:
        page.add_init_script(SIGNED_IN % server.token)
        page.goto(f"{server.url}/#/overview?period={period}", wait_until="commit")
        told = page.evaluate("window.told.complete")
        requests = requests_of(page)
    return Look(told["figures"], told["shown"], told["complete"], requests)


def requests_of(page: Page) -> Requests:
    """What a page has asked for until now."""
    found = page.evaluate(
        """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .map(({ startTime, responseEnd, name }) => [startTime, responseEnd, new URL(name).pathname])"""
    )
    return tuple(tuple(each) for each in found)


def forget_files(folder: Path) -> None:
    """Put the lake's files out of the machine's memory, so that they are read from the disk."""
    os.sync()
    for path in folder.rglob("*.parquet"):
        with path.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(work: Path, rounds: int) -> Iterator[tuple[str, Look]]:
    years = [str(datetime.now(UTC).year - back) for back in range(1, YEARS - 1)]
    with started() as browser:
        for number in range(rounds):
            forget_files(work / "lake")
            with LakeServer(work) as server:
                yield "cold", look(browser, server, "1y")
                unasked = years[number % len(years)]
                yield "warm", look(browser, server, unasked)
                yield "again", look(browser, server, unasked)


def told_in_words(name: str, looks: list[Look]) -> str:
    def column(part: str) -> str:
        values = [getattr(each, part) / 1000 for each in looks]
        return f"{statistics.median(values):>9.2f}{f'{min(values):.2f}-{max(values):.2f}':>12}"

    return f"  {name:<8}{column('figures')}{column('shown')}{column('complete')}"


def show_requests(requests: Requests) -> None:
    for start, end, path in sorted(requests):
        print(f"      {start:>7.0f} {end:>7.0f} ms  {path}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--plays", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--work", type=Path, help="keep the lake here (default: a temporary folder)")
    parser.add_argument("--requests", action="store_true", help="what the last page of each kind asked for, and when")
    chosen = parser.parse_args()
    work = chosen.work or Path(tempfile.mkdtemp(prefix="bench-dashboard-"))
    try:
        if not (work / "lake").exists():
            build(work / "lake", chosen.plays)
        size = sum(path.stat().st_size for path in (work / "lake").rglob("*.parquet"))
        print(f"{chosen.plays:,} plays, {size / 1e6:,.0f} MB of Parquet; {os.cpu_count()} cores, "
              f"load {os.getloadavg()[0]:.1f}; medians and ranges of {chosen.rounds}, in seconds")  # fmt: skip
        looks: dict[str, list[Look]] = {}
        for name, one in measure(work, chosen.rounds):
            looks.setdefault(name, []).append(one)
        figures.tell("dashboard", told(looks), usual=chosen.plays == parser.get_default("plays"))
        return report(looks, requests=chosen.requests)
    finally:
        if not chosen.work:
            shutil.rmtree(work)


def told(looks: dict[str, list[Look]]) -> dict[str, tuple[str, str]]:
    """The figures: seconds until totals and first chart are shown."""
    seconds = (
        f"{statistics.median(one.shown for one in looks[name]) / 1000:.1f} s" for name in ("cold", "warm", "again")
    )
    return {what: (each, "") for what, each in zip(figures.MEASURED["dashboard"], seconds, strict=True)}


def report(looks: dict[str, list[Look]], *, requests: bool) -> int:
    """Print the medians; 1 where the totals and the first chart come too late."""
    print(f"  {'':<8}{'totals':>21}{'+ first chart':>21}{'whole page':>21}")
    late = []
    for name, found in looks.items():
        print(told_in_words(name, found))
        if requests:
            show_requests(found[-1].requests)
        if statistics.median(each.shown for each in found) > LEAST * 1000:
            late.append(name)
    print(f"  totals and first chart within {LEAST:g} s: {'missed: ' + ', '.join(late) if late else 'held'}")
    return 1 if late else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""How soon each page shows something of the lake's, and a search its answers, over half a million listens.

    python -m bench.walk [--plays N] [--rounds N] [--work FOLDER] [--requests]

The lake of ``bench.dashboard`` with podcasts among the music, playlists, and last months that only the API told; a real
``serve``, ready as it is a moment after its start, and a headless Chromium with nothing cached. Nothing that is asked
has been asked before: each round looks at another year, artist, album, track, show, genre, playlist and text.

Of a page: from the navigation's start to the first frame with a figure, a drawn chart, or rows in it. Of a search: from
the last letter, as a person types it, to the first frame with what was found.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
from playwright.sync_api import Browser

from bench import dashboard, figures
from bench.history import ARTISTS, HOUSEHOLD, TRACKS, YEARS
from chalicelib.lake import FIRST_GENERATION, Lake
from chalicelib.parquet import arrow_schema, write_table
from chalicelib.plays.resolutions import gather_years
from chalicelib.tables import PLAYLIST_ITEMS, PLAYLISTS
from tests.support.browser import SIGNED_IN, started
from tests.support.server import LakeServer

LEAST = 1.0  # s from navigation to the first content: the bar
LEAST_SEARCH = 0.3  # s from the last letter to the answers: the bar
ROUNDS = 7
SHOWS, PLAYLISTS_KEPT, ITEMS = 12, 40, 200
BY_API = timedelta(days=90)  # of the last months only the API tells
SETTLED = 3.0  # s after its start until a server has looked at its files
SHOWN = """() => {
  const drawn = (canvas) => {
    if (!canvas.width || !canvas.height) return false;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 3; at < data.length; at += 4) if (data[at]) return true;
    return false;
  };
  const main = document.querySelector("main");
  const bodies = [...main?.querySelectorAll("section.panel[aria-busy=false] .panel-body") ?? []];
  const shown = (body) => body.childElementCount && !body.querySelector(".skeleton")
    && [...body.querySelectorAll("canvas")].every(drawn);
  return [...main?.querySelectorAll(".figure dd:first-of-type") ?? []].some((each) => /[0-9]/.test(each.textContent))
    || Boolean(main?.querySelector("tbody tr")) || bodies.some(shown);
}"""
#: Watches each frame for something that holds, in ms since the navigation began.
WATCH = f"""
window.seen = (holds) => new Promise((done, refuse) => {{
  setTimeout(() => refuse(new Error("nothing was shown in a minute")), 60_000);
  const look = () => (holds() ? requestAnimationFrame(() => done(performance.now())) : requestAnimationFrame(look));
  look();
}});
window.first = window.seen({SHOWN});
"""
ANSWERED = """(text) => window.seen(() => [...document.querySelectorAll("#search-answers:not([hidden]) a")]
    .some((link) => link.textContent.includes(`“${text}”`)))"""


# --- the lake -----------------------------------------------------------------------------------------------------


def build(folder: Path, plays: int) -> None:
    """The lake: old months gathered by the product's own maintenance, as after a first night."""
    lake = dashboard.build(folder, plays, told_by_all)
    write_playlists(lake)
    gather_years(lake)


def told_by_all(listener: int, plays: int, step: timedelta) -> pa.Table:
    """One listener's history: every twentieth is an episode, and of the last months the API tells."""
    listens = dashboard.listens_of(listener, plays, step)
    number = pa.array(range(plays))
    spoken = pc.equal(pc.subtract(number, pc.multiply(pc.divide(number, 20), 20)), 0)
    ended = listens["ended_at"]
    recent = pc.greater(ended, pa.scalar(pc.max(ended).as_py() - BY_API, ended.type))
    shows = dashboard.named("Show {}", [each % SHOWS for each in range(plays)], SHOWS)
    told = {
        "item_type": pc.if_else(spoken, "episode", "track"),
        "artist_name": pc.if_else(spoken, shows, listens["artist_name"]),
        "album_name": without(spoken, listens["album_name"]),
        "ms_played": without(recent, listens["ms_played"]),
        "started_at": without(recent, listens["started_at"]),
        "origin": pc.if_else(recent, "api", listens["origin"]),
    }
    columns = [told.get(name, listens[name]) for name in listens.schema.names]
    return pa.table(columns, schema=listens.schema)


def without(where: pa.Array, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values, null where something holds."""
    return pc.if_else(where, pa.scalar(None, values.type), values)


def write_playlists(lake: Lake) -> None:
    """Playlists of each listener, full of their tracks."""
    moment = datetime(2026, 11, 1)  # noqa: DTZ001
    playlists: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    for number in range(PLAYLISTS_KEPT):
        listener = number % len(HOUSEHOLD)
        ids = dashboard.track_ids(listener)
        known = {"playlist_id": playlist_id(number), "snapshot_id": f"s{number}", "observed_at": moment}
        playlists.append({**known, "name": f"Mix {number}", "owner_id": HOUSEHOLD[listener], "total_items": ITEMS})
        for position in range(ITEMS):
            track = (number * 977 + position * 31) % TRACKS
            items.append({**known, "position": position, "item_type": "track", "item_id": ids[track],
                          "item_uri": f"spotify:track:{ids[track]}", "name": f"The song number {track}",
                          "added_at": moment - timedelta(days=position)})  # fmt: skip
    for table, rows in ((PLAYLISTS, playlists), (PLAYLIST_ITEMS, items)):
        write_table(lake, FIRST_GENERATION, table, pa.Table.from_pylist(rows, schema=arrow_schema(table)), "bench")


def playlist_id(number: int) -> str:
    return f"{number:022d}"


# --- walking ------------------------------------------------------------------------------------------------------


def addresses(number: int) -> dict[str, str]:
    """Where a round looks: what no round before has asked for."""
    year = datetime.now(UTC).year - 1 - number % (YEARS - 2)
    track = 40 + number * 61
    artist, album = f"Artist {track * ARTISTS // TRACKS}", f"Album {track // 9}"
    found = {
        "year in review": "year",
        "listens": "listens",
        "playlist": f"playlist/{playlist_id(number % PLAYLISTS_KEPT)}",
        "show": f"show/{quote(f'Show {number % SHOWS}')}",
        "genre": f"genre/{quote(f'genre {number % 80}')}",
        "artist": f"artist/{quote(artist)}",
        "album": f"album/{quote(artist)}/{quote(album)}",
        "track": f"track/{quote(artist)}/{quote(f'The song number {track}')}",
    }
    return {name: f"#/{path}?period={year}&timezone=UTC" for name, path in found.items()}


def searched(number: int) -> str:
    """What a round looks for: some names hold it."""
    return f"{'song' if number % 2 else 'album'} {'number ' if number % 2 else ''}{31 + number * 7}"


Look = tuple[str, float, dashboard.Requests]


def walk(browser: Browser, server: LakeServer, rounds: int) -> Iterator[Look]:
    """Name, milliseconds and requests of each look."""
    for number in range(rounds):
        for name, address in addresses(number).items():
            with dashboard.tab(browser, WATCH) as page:
                page.add_init_script(SIGNED_IN % server.token)
                page.goto(f"{server.url}/{address}", wait_until="commit")
                yield name, page.evaluate("window.first"), dashboard.requests_of(page)
                page.wait_for_selector("[aria-busy=true], .skeleton", state="detached", timeout=60_000)
                if name == "listens":
                    text = searched(number)
                    page.locator("#search").press_sequentially(text[:-1], delay=40)
                    page.wait_for_timeout(1_000)
                    begun = page.evaluate("performance.now()")
                    page.locator("#search").press(text[-1])
                    yield "search", page.evaluate(ANSWERED, text) - begun, dashboard.requests_of(page)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.walk", description=__doc__)
    parser.add_argument("--plays", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--work", type=Path, help="keep the lake here (default: a temporary folder)")
    parser.add_argument("--requests", action="store_true", help="what the last look of each kind asked for, and when")
    chosen = parser.parse_args()
    work = chosen.work or Path(tempfile.mkdtemp(prefix="bench-walk-"))
    try:
        if not (work / "lake").exists():
            build(work / "lake", chosen.plays)
        print(f"{chosen.plays:,} plays; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
              f"medians and ranges of {chosen.rounds}, in seconds")  # fmt: skip
        with started() as browser, LakeServer(work) as server:
            time.sleep(SETTLED)
            looks = list(walk(browser, server, chosen.rounds))
        figures.tell("walk", told(looks), usual=chosen.plays == parser.get_default("plays"))
        return report(looks, requests=chosen.requests)
    finally:
        if not chosen.work:
            shutil.rmtree(work)


def medians(looks: list[Look]) -> dict[str, float]:
    """Seconds of each kind of look."""
    names = dict.fromkeys(name for name, _, _ in looks)
    return {name: statistics.median(taken(looks, name)) for name in names}


def taken(looks: list[Look], name: str) -> list[float]:
    return [ms / 1000 for each, ms, _ in looks if each == name]


def told(looks: list[Look]) -> dict[str, tuple[str, str]]:
    """The figures: the slowest page, and the search."""
    found = medians(looks)
    search = found.pop("search")
    slowest = max(found, key=lambda name: found[name])
    pages, answers = figures.MEASURED["walk"]
    return {pages: (f"{found[slowest]:.2f} s", f"the {slowest} page"), answers: (f"{search * 1000:.0f} ms", "")}


def report(looks: list[Look], *, requests: bool) -> int:
    """Print the medians; 1 where something comes too late."""
    late = []
    for name, median in medians(looks).items():
        values = taken(looks, name)
        print(f"  {name:<16}{median:>7.2f}{f'{min(values):.2f}-{max(values):.2f}':>12}")
        if requests:
            dashboard.show_requests([asked for each, _, asked in looks if each == name][-1])
        if median > (LEAST_SEARCH if name == "search" else LEAST):
            late.append(name)
    bars = f"pages within {LEAST:g} s, search within {LEAST_SEARCH:g} s"
    print(f"  {bars}: {'missed: ' + ', '.join(late) if late else 'held'}")
    return 1 if late else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What Athena asks of S3 for a report, counted: a real Trino reads ten years of a lake from the emulated S3."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib import pipeline
from chalicelib.clock import now
from chalicelib.lake import Lake
from chalicelib.plays.resolutions import after, before, first_moment, resolve
from chalicelib.reports import catalogue
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from deploy import costs
from tests.emulator import shared
from tests.reports.test_years import CONDITION
from tests.support.engines import Opened, OpenedOnAws, Row, athena, embedded, put_rows

pytestmark = pytest.mark.timeout(600)  # a hundred and twenty months of every table

YEARS = 10
THIS_MONTH = f"{now():%Y-%m}"
LAST_MONTH = before(THIS_MONTH)
PATIENCE = 200.0  # s, on a busy machine
MOST_LISTINGS, MOST_READINGS = 40, 150
#: Reports that join listens with tracks, artists or albums.
JOINING = ("top_tracks", "genres", "features")
BY_HAND = """
    SELECT artists.name, count(*) AS plays, max(tracks.duration_ms) AS longest
    FROM plays
    JOIN tracks ON tracks.track_id = plays.item_id
    JOIN track_artists ON track_artists.track_id = tracks.track_id
    JOIN artists ON artists.artist_id = track_artists.artist_id
    WHERE plays.year = {year} AND ended_at >= TIMESTAMP '{first} 00:00:00' AND ended_at < TIMESTAMP '{after} 00:00:00'
    GROUP BY 1 ORDER BY 1
"""


def months() -> list[str]:
    """The months of ten years, this one the last."""
    found = [THIS_MONTH]
    while len(found) < 12 * YEARS:
        found.append(before(found[-1]))
    return found[::-1]


def write_month(lake: Lake, number: int, month: str) -> None:
    """A few listens, and what was learned of their tracks in that month."""
    at = first_moment(month) + timedelta(days=4)
    seen = {"observed_at": at}
    tracks = [f"t{(7 * number + each) % 50}" for each in range(6)]
    plays = [
        {
            "play_id": f"{number:04d}{each:028d}",
            "user_id": "u",
            "ended_at": at + timedelta(hours=each),
            "ms_played": None if each % 3 == 0 else 100_000,
            "item_type": "track",
            "item_id": track,
            "item_name": f"Song {track}",
            "artist_name": f"Band {each % 5}",
            "album_name": "Album",
            "origin": "api" if each % 3 == 0 else "extended_history",
            **seen,
        }
        for each, track in enumerate(tracks)
    ]
    described = [{"track_id": track, "name": track, "duration_ms": 200_000 + number, **seen} for track in tracks]
    performed = [{"track_id": track, "position": 0, "artist_id": f"a{int(track[1:]) % 5}", **seen} for track in tracks]
    put(lake, "plays", plays)
    put(lake, "tracks", described)
    put(lake, "track_artists", performed)
    put(lake, "artists", [{"artist_id": f"a{number % 5}", "name": f"Band {number % 5}", "genres": ["pop"], **seen}])
    put(lake, "albums", [{"album_id": "b", "name": "Album", "release_year": 2000, **seen}])


def put(lake: Lake, table: str, rows: Sequence[Row]) -> None:
    put_rows(lake, table, tuple(rows), "part", "g1")


@dataclass(frozen=True)
class Asked:
    """An answer, and how often each table was listed and read for it."""

    rows: list[tuple[Any, ...]]
    listings: Counter[str]
    readings: Counter[str]


def ask(opened: Opened, sql: str, bound: Sequence[Any] = ()) -> Asked:
    reads = shared().athena.reads = []
    try:
        query = opened.engine.wait(opened.engine.start_query(sql, bound).query_id, PATIENCE)
    finally:
        shared().athena.reads = None
    assert query.error is None and query.state.ended, query
    rows = opened.engine.rows(query.query_id, 1000).rows
    of_tables = [each.split(" ", 1) for each in reads if "/g1/" in each]
    listings, readings = (
        Counter(place.split("/g1/")[1].split("/")[0] for kind, place in of_tables if kind == wanted)
        for wanted in ("LIST", "GET")
    )
    return Asked(rows, listings, readings)


def report(opened: Opened, name: str, period: str, *, every_year: bool = False) -> Asked:
    chosen = catalogue.report(name)
    if every_year:
        chosen = replace(chosen, sql=CONDITION.sub("", chosen.sql))
    bound = catalogue.bind(chosen, {"period": period, "timezone": "Pacific/Kiritimati"})
    return ask(opened, bound.sql, bound.bound)


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Ten years in a folder, each month apart, under the embedded engine."""
    with embedded(tmp_path_factory.mktemp("loose")) as made:
        for number, month in enumerate(months()):
            write_month(made.lake, number, month)
        resolve(made.lake)
        yield made


@pytest.fixture(scope="module")
def kept(loose: Opened, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The same under Athena, after maintenance has come by: it puts together, an hour later it deletes."""
    folder = tmp_path_factory.mktemp("kept")
    shutil.copytree(loose.lake.store.location(""), folder / "lake")
    tidied = open_lake(Settings(lake_url=str(folder / "lake")))
    for hours in (0, 2, 4):
        later = now() + timedelta(hours=hours)
        pipeline.tidy(tidied, min_files=25, clock=lambda moment=later: moment)  # type: ignore[misc]
    with athena(folder) as made:
        assert isinstance(made, OpenedOnAws)
        for info in tidied.store.list("transformed/"):
            if "/plays_history/" not in info.key:  # no view reads it
                made.lake.store.write(info.key, tidied.store.read(info.key))
        made.register.register_all()
        yield made


@pytest.mark.thorough
@pytest.mark.parametrize("name", JOINING)
def test_a_month_of_ten_years_joined_with_tracks_and_artists_is_few_requests(
    kept: Opened, loose: Opened, name: str
) -> None:
    asked = report(kept, name, LAST_MONTH)
    assert asked.rows == report(loose, name, LAST_MONTH).rows != []
    assert sum(asked.listings.values()) <= MOST_LISTINGS, asked.listings
    assert sum(asked.readings.values()) <= MOST_READINGS, asked.readings


def test_so_is_a_statement_that_names_the_year(kept: Opened, loose: Opened) -> None:
    first, last = first_moment(LAST_MONTH), first_moment(after(LAST_MONTH))
    sql = BY_HAND.format(year=first.year, first=f"{first:%Y-%m-%d}", after=f"{last:%Y-%m-%d}")
    asked = ask(kept, sql)
    assert asked.rows == ask(loose, sql).rows and sum(plays for _, plays, _ in asked.rows) == 6
    assert sum(asked.listings.values()) <= MOST_LISTINGS, asked.listings
    assert sum(asked.readings.values()) <= MOST_READINGS, asked.readings


def test_a_report_says_which_years_it_needs_and_loses_nothing_by_it(kept: Opened) -> None:
    chosen, all_years = (report(kept, "top_tracks", LAST_MONTH, every_year=each) for each in (False, True))
    assert chosen.rows == all_years.rows
    assert chosen.listings["plays_resolved"] <= 4 < YEARS <= all_years.listings["plays_resolved"]


def test_all_years_of_listens_are_a_listing_a_year(kept: Opened) -> None:
    asked = ask(kept, "SELECT count(*), count(DISTINCT play_id) FROM plays")
    assert asked.rows == [(6 * 12 * YEARS,) * 2]
    assert asked.listings["plays_resolved"] <= YEARS + 3


def test_the_cost_model_counts_what_a_report_asks(kept: Opened) -> None:
    month, always = (report(kept, "top_artists", period) for period in (LAST_MONTH, "all"))
    for found, of_all in ((month, False), (always, True)):
        listings, readings = costs.asked_by_athena(YEARS, of_all=of_all)
        assert sum(found.listings.values()) <= listings
        assert sum(found.readings.values()) <= readings
    assert sum(always.readings.values()) == costs.asked_by_athena(YEARS, of_all=True)[1]

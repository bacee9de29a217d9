"""What exports tell late or deny, and what the reports make of it: listens of a flight, and skips of some years."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.exports.importing import import_export
from chalicelib.reports import catalogue
from tests.support.engines import ENGINES, Opened
from tests.support.listening import USER, extended_row, write_export

Rows = list[dict[str, Any]]
NOW = datetime(2025, 4, 1, tzinfo=UTC)
SKIPS = ("fwdbtn", "backbtn", "endplay")  # how a skip ends, by exports that say of each listen whether it was one
DENIED = ("2015-04", "2022-11")  # from which month to before which exports made since 2023 deny every skip
YEARS = range(2013, 2025)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Opened]:
    with ENGINES["embedded"](tmp_path) as opened:
        yield opened


def bring(lake: Opened, folder: Path, rows: Rows) -> None:
    import_export(lake.lake, lake.settings, write_export(folder / "endsong_0.json", rows), USER)


def answered(lake: Opened, name: str, /, **values: Any) -> Rows:
    values = {"period": "all", "timezone": "UTC", **values}
    done = catalogue.run(lake.engine, catalogue.report(name), values, wait=60, clock=lambda: NOW)
    assert done.page is not None, done.query.error
    names = [column.name for column in done.query.columns]
    return [dict(zip(names, row, strict=True)) for row in done.page.rows]


# --- skips --------------------------------------------------------------------------------------------------------


def told(ts: str, reason: str, vintage: str) -> bool | None:
    """What an export says of whether a listen was skipped: one made since 2023, one made before, or a sparse one."""
    if vintage == "sparse" or (vintage == "recent" and DENIED[0] <= ts < DENIED[1]):
        return None if vintage == "sparse" else False
    return reason in SKIPS


def listened(vintage: str) -> Rows:
    """The same listening each year: six of ten songs are skipped, in every way."""
    ends = [*SKIPS, *SKIPS, "trackdone", "trackdone", "logout", "trackerror"]
    return [
        extended_row(ts, 4_000 if reason in SKIPS else 200_000, reason_end=reason, skipped=told(ts, reason, vintage))
        for year in YEARS
        for day, reason in enumerate(ends, 1)
        for ts in [f"{year}-{(3, 11)[day % 2]:02}-{day:02}T12:00:00Z"]
    ]


@pytest.mark.thorough
@pytest.mark.parametrize("vintage", ["recent", "older", "sparse"])
def test_the_same_listening_is_skipped_alike_in_every_year_and_export(
    lake: Opened, tmp_path: Path, vintage: str
) -> None:
    bring(lake, tmp_path, listened(vintage))
    for year in YEARS:
        (row,) = answered(lake, "skips_and_completion", period=str(year), min_plays=1)
        assert (year, row["starts"], row["percent_skipped"]) == (year, 10, 60.0)
    (page,) = answered(lake, "dashboard_item", artist="Band a", kind="artist", name="")
    assert page["skipped"] == 0.6


@pytest.mark.thorough
def test_a_skip_that_one_export_tells_and_a_newer_one_denies_counts_once(lake: Opened, tmp_path: Path) -> None:
    for at, vintage in enumerate(("older", "recent", "sparse")):
        bring(lake, tmp_path / str(at), listened(vintage))
    (row,) = answered(lake, "skips_and_completion", min_plays=1)
    assert (row["starts"], row["percent_skipped"]) == (10 * len(YEARS), 60.0)


# --- flights ------------------------------------------------------------------------------------------------------

DEPARTURE = datetime(2024, 6, 10, 6, tzinfo=UTC)
SONG = timedelta(minutes=4)


def flight(songs: int, hours: float, unit: int) -> Rows:
    """Songs one after another from the departure on, all told by the device so many hours later."""
    landed = (DEPARTURE + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    begun = [int((DEPARTURE + at * SONG).timestamp()) for at in range(songs)]
    return [
        extended_row(landed, 240_000 - at, letter, offline=True, offline_timestamp=stamp * unit)
        for at, (stamp, letter) in enumerate(zip(begun, "abcdefghijklmno", strict=False))
    ]


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
@pytest.mark.parametrize(("songs", "hours"), [(10, 12), (3, 13.5), (15, 400)])
def test_a_flight_counts_when_it_was_heard_and_no_session_is_shorter_than_what_was_heard_in_it(
    lake: Opened, tmp_path: Path, songs: int, hours: float, unit: int
) -> None:
    bring(lake, tmp_path, flight(songs, hours, unit))
    ends = [DEPARTURE + at * SONG + timedelta(milliseconds=240_000 - at) for at in range(songs)]
    by_hour = {(row["weekday"], row["hour"]): row["plays"] for row in answered(lake, "listening_by_hour_and_weekday")}
    assert by_hour == {place: sum((each.isoweekday(), each.hour) == place for each in ends) for place in places(ends)}
    (session,) = answered(lake, "longest_sessions")
    assert session["plays"] == songs
    assert session["minutes"] == session["minutes_heard"] == round(4.0 * songs, 1)
    assert session["started_local"] == DEPARTURE.replace(tzinfo=None)


def places(ends: list[datetime]) -> set[tuple[int, int]]:
    return {(each.isoweekday(), each.hour) for each in ends}

"""What is left out is in no report but where that is said: every report is walked with and without it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.exclusions import leave_out, take_back
from chalicelib.pipeline import transform_key
from chalicelib.reports import catalogue
from chalicelib.reports.catalogue import Report
from tests.support.engines import ENGINES, Opened

USER, OTHER = "u", "v"
DAY = datetime(2025, 3, 3, 20)  # noqa: DTZ001 - UTC without a zone, as everywhere in tables
#: Reports that show a thing itself, not how it was listened to: what is left out, and what playlists hold.
SAYING = {"left_out", "dashboard_playlist", "dashboard_playlist_changes"}
READS_LISTENS = re.compile(r"\b(?:FROM|JOIN)\s+plays\b", re.IGNORECASE)
GONE = ("Rain", "Drops", "Sleep", "drizzle", "R9")  # artist, track, album, genre and recording
WHOLE = ("Ann", "Alpha")


def listen(number: int, artist: str, title: str, album: str, track: str, user: str) -> dict[str, Any]:
    ended = DAY + timedelta(days=number % 40, minutes=7 * number)
    told = {"item_type": "track", "origin": "extended_history", "resolution": 1, "ms_played": 200_000}
    names = {"artist_name": artist, "item_name": title, "album_name": album, "item_id": track}
    more = {"platform": "ios", "country": "DE", "reason_start": "trackdone", "reason_end": "fwdbtn", "skipped": True}
    return {"play_id": f"p{number}", "user_id": user, "ended_at": ended, **told, **names, **more}


def fill(opened: Opened) -> None:
    """Two artists, of whom one will be left out, in every table that a report may read."""
    old = {"observed_at": DAY}
    things = (("Ann", "Alpha", "First", "1", "pop"), ("Rain", "Drops", "Sleep", "9", "drizzle"))
    plays = [
        listen(2 * number + which, artist, title, album, f"t{key}", (USER, OTHER)[number % 2])
        for number in range(60)
        for which, (artist, title, album, key, _) in enumerate(things)
    ]
    opened.put("plays_resolved", *plays, name="resolution-000001")
    for artist, title, album, key, genre in things:
        track = {"track_id": f"t{key}", "name": title, "album_id": f"b{key}", "duration_ms": 200_000, "isrc": f"R{key}"}
        unheard = {**track, "track_id": f"n{key}", "name": f"{title} Never", "isrc": None}
        opened.put("tracks", {**track, **old}, {**unheard, **old}, name=key)
        for each in ("t", "n"):
            performer = {"track_id": f"{each}{key}", "position": 0, "artist_id": f"a{key}"}
            opened.put("track_artists", {**performer, **old}, name=f"{each}{key}")
        opened.put("album_artists", {"album_id": f"b{key}", "position": 0, "artist_id": f"a{key}", **old}, name=key)
        opened.put("artists", {"artist_id": f"a{key}", "name": artist, "genres": [genre], **old}, name=key)
        opened.put(
            "albums", {"album_id": f"b{key}", "name": album, "release_year": 2001, "label": album, **old}, name=key
        )
        saved = {"user_id": USER, "added_at": DAY, **old}
        opened.put("saved_items", {**saved, "item_type": "track", "item_id": f"n{key}"}, name=key)
        opened.put("saved_items", {**saved, "item_type": "album", "item_id": f"b{key}"}, name=f"album{key}")
    opened.put("runs", {"run_id": "r", "started_at": DAY, "ended_at": DAY})


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with ENGINES["embedded"](tmp_path_factory.mktemp("left out")) as made:
        fill(made)
        yield made


def ways_to_ask(report: Report) -> Iterator[dict[str, Any]]:
    """A report's parameters, for every choice that it offers, with the names in question."""
    said: dict[str, Any] = {}
    for parameter in report.parameters:
        if parameter.type == "period":
            said[parameter.name] = "all"
        elif parameter.name == "limit":
            said[parameter.name] = 100
        elif parameter.name in ("artist", "name", "album", "track", "search", "show", "title"):
            said[parameter.name] = {"album": "Sleep", "track": "Drops", "title": "Drops"}.get(parameter.name, "Rain")
    choices = [(each.name, each.values) for each in report.parameters if each.type == "choice"]
    yield said
    for name, values in choices:
        for value in values:
            named = {"album": "Sleep", "track": "Drops", "artist": "Rain"}.get(value)
            yield {**said, name: value, **({"name": named} if named and "name" in said else {})}


def cells(opened: Opened, report: Report) -> Iterator[str]:
    """Every text that a report shows, however it is asked."""
    for parameters in ways_to_ask(report):
        answer = catalogue.run(opened.engine, report, parameters, wait=60)
        assert answer.page is not None, (report.name, answer.query)
        for row in answer.page.rows:
            yield from (str(cell) for cell in row if isinstance(cell, (str, list)))


def naming(opened: Opened, names: tuple[str, ...]) -> set[str]:
    """The reports that show one of these names."""
    wanted = [name.casefold() for name in names]
    return {
        report.name
        for report in catalogue.reports()
        if any(name in cell.casefold() for cell in cells(opened, report) for name in wanted)
    }


@pytest.mark.thorough
def test_an_artist_who_is_left_out_is_in_no_report_until_taken_back(opened: Opened) -> None:
    before = naming(opened, GONE)
    assert {"top_artists", "genres", "saved_never_played", "new_since_last_run", "dashboard_item_details"} <= before
    decided, key = leave_out(opened.lake, "artist", {"artist_name": "RAIN"})
    transform_key(opened.lake, key or "")
    assert naming(opened, GONE) <= SAYING and "left_out" in naming(opened, GONE)
    assert "top_artists" in naming(opened, WHOLE)
    _, key = take_back(opened.lake, decided.exclusion_id)
    transform_key(opened.lake, key)
    assert naming(opened, GONE) == before - {"left_out"}


@pytest.mark.thorough
@pytest.mark.parametrize("what", [("Rain", "Drops"), ("Rain", "Drops Never")])
def test_a_track_that_is_left_out_is_in_no_report_that_tells_of_tracks(opened: Opened, what: tuple[str, str]) -> None:
    artist, title = what
    decided, key = leave_out(opened.lake, "track", {"artist_name": artist, "item_name": title.upper()})
    transform_key(opened.lake, key or "")
    shown = {
        report.name
        for report in catalogue.reports()
        if any(cell.casefold() == title.casefold() for cell in cells(opened, report))
    }
    _, key = take_back(opened.lake, decided.exclusion_id)
    transform_key(opened.lake, key)
    assert shown <= SAYING


def test_only_reports_of_what_is_there_read_what_is_left_out_too() -> None:
    """``heard`` and what stands on it leave it out; a report that reads listens elsewhere would not."""
    reading = {each.name for each in catalogue.reports() if READS_LISTENS.search(each.sql)}
    assert reading == set()

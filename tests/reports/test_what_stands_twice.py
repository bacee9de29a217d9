"""What stands twice: a track in a playlist, two recordings of one title, one recording on two albums."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chalicelib.reports import catalogue
from tests.support.engines import ENGINES, Opened, Row

NOW = datetime(2025, 4, 1, tzinfo=UTC)


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2025, 3, day, hour)  # noqa: DTZ001 - UTC without a zone, as tables have it


def answered(lake: Opened, name: str, **values: Any) -> list[dict[str, Any]]:
    done = catalogue.run(lake.engine, catalogue.report(name), values, wait=100, clock=lambda: NOW)
    assert done.page is not None
    names = [column.name for column in done.query.columns]
    return [dict(zip(names, row, strict=True)) for row in done.page.rows]


def entries(version: str, day: int, uris: str) -> list[Row]:
    """A version of a playlist, a letter for each entry; a space is one without an item."""
    return [
        {
            "playlist_id": "p",
            "snapshot_id": version,
            "position": place,
            "item_type": "track",
            "item_uri": uri.strip() or None,
            "name": uri.strip() or None,
            "observed_at": at(day),
        }
        for place, uri in enumerate(uris)
    ]


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("abc", "abca", {("added", "a"): 1}),
        ("abcaa", "abc", {("removed", "a"): 2}),
        ("aab", "bbac", {("removed", "a"): 1, ("added", "b"): 1, ("added", "c"): 1}),
        ("a b", "ba", {}),
    ],
)
def test_copies_in_a_playlist_are_added_and_removed_one_by_one(
    tmp_path: Path, before: str, after: str, changes: dict[tuple[str, str], int]
) -> None:
    with ENGINES["embedded"](tmp_path) as lake:
        lake.put("playlist_items", *entries("v1", 1, before), *entries("v2", 2, after))
        rows = answered(lake, "dashboard_playlist_changes")
    found = [(row["change"], row["item"]) for row in rows]
    assert {change: found.count(change) for change in found} == changes


def test_recordings_are_told_by_their_code_whatever_their_titles_albums_and_capitals(tmp_path: Path) -> None:
    codes = {"t1": "USHM80865849", "t2": "ushm80865849", "t3": "DEA000000002", "t4": None}
    titles = {"t1": "Intro", "t2": "Intro (Live)", "t3": "Intro", "t4": "Outro"}
    heard = ["t1", "t1", "t2", "t3", "t3", "t4", None]
    with ENGINES["embedded"](tmp_path) as lake:
        described = ({"track_id": key, "name": titles[key], "isrc": code} for key, code in codes.items())
        lake.put("tracks", *({**one, "observed_at": at(1)} for one in described))
        lake.put("plays_resolved", *(play(number, key, titles) for number, key in enumerate(heard)))
        rows = answered(lake, "top_tracks", period="all")
    assert sorted((row["track"], row["plays"]) for row in rows) == [
        ("Intro", 1),
        ("Intro", 2),
        ("Intro", 3),
        ("Outro", 1),
    ]


def play(number: int, track: str | None, titles: dict[str, str]) -> Row:
    """A play of half an hour after the last; without an id one of a title that two recordings have."""
    return {
        "play_id": f"{number:032x}",
        "user_id": "u",
        "ended_at": at(2 + number),
        "ms_played": 200_000,
        "item_type": "track",
        "item_id": track,
        "item_name": titles[track] if track else "Intro",
        "artist_name": "Band",
        "origin": "extended_history" if track else "account_data",
        "resolution": 1,
    }

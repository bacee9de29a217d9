"""What is left out is in no number, until it is taken back; nothing is deleted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.clock import parse_rfc3339
from chalicelib.errors import InvalidRequest, NotFound
from chalicelib.exclusions import Exclusion, in_force, leave_out, take_back
from chalicelib.listeners import IMPORT, note
from chalicelib.pipeline import rebuild, transform_key
from chalicelib.reports import catalogue
from tests.support.engines import ENGINES, Opened

NIGHT = datetime(2025, 3, 5, 22)  # noqa: DTZ001 - UTC without a zone, as everywhere in tables
PLAYLIST = "spotify:playlist:37i9dQZF1DXcBWIGoYBM5M"


def play(number: int, artist: str, title: str, **more: Any) -> dict[str, Any]:
    row = {"play_id": f"p{number}", "user_id": "u", "ended_at": NIGHT + timedelta(hours=number), "ms_played": 60_000}
    said = {"item_type": "track", "artist_name": artist, "item_name": title, "origin": "extended_history"}
    return {**row, **said, "resolution": 1, **more}


PLAYS = (
    play(0, "Rain", "Drops"),
    play(1, "RAIN", "Thunder"),
    play(2, "Ann", "Alpha"),
    play(3, "Ann", "Beta", user_id="v"),
    play(4, "Tales", "One", item_type="episode"),
    play(5, "Tales", "Song"),
    play(6, "Bob", "Gamma", context_uri=PLAYLIST),
)
CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({"kind": "artist", "artist_name": "rain"}, {"p0", "p1"}),
    ({"kind": "track", "artist_name": "Ann", "item_name": "ALPHA"}, {"p2"}),
    ({"kind": "show", "artist_name": "Tales"}, {"p4"}),
    ({"kind": "playlist", "context_uri": PLAYLIST}, {"p6"}),
    ({"kind": "period", "from_at": "2025-03-06T00:00:00+01:00", "to_at": "2025-03-06T01:00:00Z"}, {"p1", "p2"}),
    ({"kind": "artist", "artist_name": "Ann", "user_id": "vera"}, {"p3"}),
]
EVERY = {f"p{number}" for number in range(7)}


def heard(opened: Opened) -> set[str]:
    return {play_id for (play_id,) in opened.ask("SELECT play_id FROM heard")}


def names_heard(opened: Opened) -> set[str]:
    """The plays that bear a name that was heard: no two have the same."""
    told = {(row["user_id"], row["artist_name"], row["item_name"]): row["play_id"] for row in PLAYS}
    return {told[row] for row in opened.ask("SELECT user_id, artist_name, item_name FROM heard_names")}


def left(opened: Opened, what: dict[str, Any]) -> Exclusion:
    said = {name: value for name, value in what.items() if name not in ("kind", "user_id")}
    decided, key = leave_out(opened.lake, what["kind"], said, listener=what.get("user_id"))
    if key:
        transform_key(opened.lake, key)
    return decided


def back(opened: Opened, decided: Exclusion) -> Exclusion:
    taken, key = take_back(opened.lake, decided.exclusion_id)
    transform_key(opened.lake, key)
    return taken


def filled(opened: Opened) -> Opened:
    opened.put("plays_resolved", *PLAYS, name="resolution-000001")
    note(opened.lake, IMPORT, "v", ["v"], given_name="Vera")
    return opened


def each(engine: str, folder: Path, check: Callable[[Opened], None]) -> None:
    with ENGINES[engine](folder) as opened:
        check(filled(opened))


@pytest.mark.parametrize(("what", "gone"), CASES)
def test_what_is_left_out_is_not_heard_and_taken_back_is(tmp_path: Path, what: dict[str, Any], gone: set[str]) -> None:
    def check(opened: Opened) -> None:
        assert names_heard(opened) == EVERY
        decided = left(opened, what)
        assert heard(opened) == names_heard(opened) == EVERY - gone
        assert {row[0] for row in opened.ask("SELECT play_id FROM left_out")} == gone
        assert opened.ask("SELECT count(*) FROM plays") == [(7,)]
        back(opened, decided)
        assert heard(opened) == names_heard(opened) == EVERY
        assert in_force(opened.lake) == []

    each("embedded", tmp_path, check)


def test_listens_are_held_against_what_is_left_out_only_while_there_is_any(tmp_path: Path) -> None:
    def compares(opened: Opened) -> bool:
        plan = "".join(str(row[0]) for row in opened.ask("EXPLAIN SELECT * FROM heard"))
        return "blockwise" in plan.lower()  # how a join by more than equal values is called

    def check(opened: Opened) -> None:
        assert not compares(opened)
        left(opened, CASES[0][0])
        assert compares(opened)

    each("embedded", tmp_path, check)


def test_every_number_agrees_on_every_engine(tmp_path: Path) -> None:
    def check(opened: Opened) -> None:
        for what, _ in CASES[:3]:
            left(opened, what)
        opened.crawl()
        assert heard(opened) == {"p3", "p5", "p6"}
        assert opened.ask("SELECT count(*) FROM play_details") == [(3,)]

    for engine in sorted(ENGINES):
        if engine != "trino":
            each(engine, tmp_path / engine, check)


@pytest.mark.thorough
def test_the_report_says_what_is_left_out_and_how_much(tmp_path: Path) -> None:
    def check(opened: Opened) -> None:
        ids = [left(opened, what).exclusion_id for what, _ in CASES[:2]]
        page = catalogue.run(opened.engine, catalogue.report("left_out"), {}, wait=60).page
        assert page is not None
        assert page.rows == [
            ("artist", "rain", None, None, None, 2, 0.0, ids[0]),
            ("track", "Ann", "ALPHA", None, None, 1, 0.0, ids[1]),
        ]
        page = catalogue.run(opened.engine, catalogue.report("top_artists"), {"period": "all"}, wait=60).page
        assert page is not None
        assert {row[1] for row in page.rows} == {"Ann", "Tales", "Bob"}

    each("embedded", tmp_path, check)


def test_decisions_are_kept_raw_and_made_again(tmp_path: Path) -> None:
    def check(opened: Opened) -> None:
        left(opened, {"kind": "artist", "artist_name": "Rain"})
        again = back(opened, left(opened, {"kind": "artist", "artist_name": "Ann"}))
        assert not again.is_active
        kept = opened.ask("SELECT * FROM exclusions ORDER BY exclusion_id")
        rebuild(opened.lake, opened.lake.publish_generation)
        assert opened.ask("SELECT * FROM exclusions ORDER BY exclusion_id") == kept
        assert [each.artist_name for each in in_force(opened.lake)] == ["Rain"]

    each("embedded", tmp_path, check)


def test_what_names_nothing_is_refused(tmp_path: Path) -> None:
    def check(opened: Opened) -> None:
        with pytest.raises(InvalidRequest, match="item_name"):
            left(opened, {"kind": "track", "artist_name": "Ann"})
        for wrong in ({"kind": "mood", "artist_name": "x"}, {"kind": "artist", "artist_name": "  "}):
            with pytest.raises(InvalidRequest):
                left(opened, wrong)
        with pytest.raises(InvalidRequest, match="not a moment"):
            left(opened, {"kind": "period", "from_at": "yesterday", "to_at": "2025-01-01T00:00:00Z"})
        with pytest.raises(InvalidRequest, match="spotify:playlist"):
            left(opened, {"kind": "playlist", "context_uri": "spotify:album:37i9dQZF1DXcBWIGoYBM5M"})
        with pytest.raises(InvalidRequest, match="begin before"):
            left(opened, {"kind": "period", "from_at": "2025-01-02T00:00:00Z", "to_at": "2025-01-01T00:00:00Z"})
        with pytest.raises(NotFound, match="leave-out"):
            take_back(opened.lake, "nothing")

    each("embedded", tmp_path, check)


def test_what_is_left_out_already_is_not_decided_again(tmp_path: Path) -> None:
    def check(opened: Opened) -> None:
        first = left(opened, {"kind": "playlist", "context_uri": PLAYLIST})
        link = "https://open.spotify.com/intl-de/playlist/37i9dQZF1DXcBWIGoYBM5M?si=1"
        assert left(opened, {"kind": "playlist", "context_uri": link}) == first
        back(opened, first)
        assert left(opened, {"kind": "playlist", "context_uri": PLAYLIST}).exclusion_id != first.exclusion_id
        assert heard(opened) == EVERY - {"p6"}

    each("embedded", tmp_path, check)


def test_a_decision_taken_back_at_once_or_by_a_clock_turned_back_is_taken_back(tmp_path: Path) -> None:
    def check(opened: Opened) -> None:
        decided = left(opened, {"kind": "artist", "artist_name": "Rain"})
        earlier = parse_rfc3339(decided.decided_at) - timedelta(hours=1)
        taken, key = take_back(opened.lake, decided.exclusion_id, clock=lambda: earlier)
        transform_key(opened.lake, key)
        assert taken.decided_at > decided.decided_at
        assert heard(opened) == EVERY

    each("embedded", tmp_path, check)

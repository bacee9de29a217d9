"""Each report on a history small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlglot

from chalicelib.errors import QueryRefused
from chalicelib.queries.sql import check
from chalicelib.reports import catalogue
from chalicelib.views import user_tables
from tests.support.engines import ENGINES, Opened, Row

MARCH = {"user": "u", "period": "2025-03", "timezone": "Europe/Berlin"}
ALWAYS = {**MARCH, "period": "all"}
OWN = "dashboard_"  # reports of the dashboard have tests of their own


def at(month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    """A moment of 2025."""
    return datetime(2025, month, day, hour, minute, second)  # noqa: DTZ001


def play(play_id: str, ended_at: datetime, names: tuple[str, str, str | None], item_id: str | None, **more: Any) -> Row:
    artist, title, album = names
    told = {"user_id": "u", "item_type": "track", "origin": "extended_history", "resolution": 1}
    return {
        "play_id": play_id,
        "ended_at": ended_at,
        "artist_name": artist,
        "item_name": title,
        "album_name": album,
        "item_id": item_id,
        **told,
        **more,
    }


FIRST, HITS, BETA = ("Ann", "Alpha", "First"), ("Ann", "Alpha", "Hits"), ("Bob", "Beta", "Third")
DONE = {"reason_start": "trackdone", "reason_end": "trackdone", "platform": "ios", "country": "DE"}
SKIPPED = {**DONE, "reason_end": "fwdbtn", "skipped": True, "platform": "android"}
PLAYS = (
    play("p1", at(2, 10, 12), FIRST, "t1", started_at=at(2, 10, 11, 56, 40), ms_played=200_000, **DONE),
    play("p2", at(3, 3, 22, 30), FIRST, "t1", started_at=at(3, 3, 22, 26, 40), ms_played=200_000, **DONE),
    play("p3", at(3, 3, 22, 40), HITS, "t2", started_at=at(3, 3, 22, 38, 20), ms_played=100_000, **SKIPPED),
    play(
        "p4", at(3, 3, 23, 30), BETA, "t3", started_at=at(3, 3, 23, 27), ms_played=180_000,
        **{**DONE, "reason_start": "clickrow", "country": "FR"},
    ),
    play("p5", at(3, 5, 8), BETA, "t3", origin="api"),
    play("p6", at(3, 5, 8, 1), ("Ann", "Alpha", None), None, origin="account_data", ms_played=20_000),
    play(
        "p7", at(3, 5, 9), ("Show", "Ep1", None), "e1", item_type="episode", ms_played=600_000,
        started_at=at(3, 5, 8, 50), reason_end="endplay", platform="ios", country="DE",
    ),
    play("p8", at(3, 6, 10), FIRST, "t1", user_id="v", ms_played=200_000),
    play("p9", at(3, 7, 10), ("Cat", "Gamma", None), None, user_id="v", origin="account_data", ms_played=60_000),
)  # fmt: skip
RAIN = ("Rain", "Drops", "Sleep")
LEFT_OUT_PLAYS = (  # in no other report
    play("q1", at(3, 4, 4), RAIN, "t6", ms_played=3_600_000, **DONE),
    play("q2", at(3, 6, 4), RAIN, "t6", ms_played=1_800_000, **DONE),
    play("q3", at(3, 6, 5), RAIN, "t6", user_id="v", ms_played=1_800_000, **DONE),
    play("q4", at(3, 8, 20), BETA, "t3", user_id="v", ms_played=180_000, **DONE),
)
EXCLUSIONS: tuple[Row, ...] = (
    {"exclusion_id": "x1", "kind": "artist", "artist_name": "rain"},
    {"exclusion_id": "x2", "kind": "period", "from_at": at(3, 8, 18), "to_at": at(3, 9), "user_id": "v"},
    {"exclusion_id": "x3", "kind": "track", "artist_name": "Bob", "item_name": "Never", "user_id": "u"},
    {"exclusion_id": "x4", "kind": "artist", "artist_name": "Ann"},
    {"exclusion_id": "x4", "kind": "artist", "artist_name": "Ann", "is_active": False, "decided_at": at(3, 10)},
)


def fill(opened: Opened) -> None:
    old = {"observed_at": at(1, 1)}
    opened.put("plays_resolved", *PLAYS, *LEFT_OUT_PLAYS, name="resolution-000001")
    opened.put("exclusions", *({"is_active": True, "decided_at": at(3, 9), **each} for each in EXCLUSIONS))
    opened.put(
        "tracks",
        {"track_id": "t1", "name": "Alpha", "album_id": "b1", "duration_ms": 200_000, "isrc": "I1", **old},
        {"track_id": "t2", "name": "Alpha", "album_id": "b2", "duration_ms": 200_000, "isrc": "I1", **old},
        {"track_id": "t3", "name": "Beta", "album_id": "b3", "duration_ms": 180_000, "isrc": "I3", **old},
        {"track_id": "t4", "name": "Delta", "album_id": "b1", "duration_ms": 90_000, "isrc": "I4", **old},
        {"track_id": "t5", "name": "Alpha (1999)", "album_id": "b2", "duration_ms": 200_000, "isrc": "I1", **old},
    )
    by = {"t1": ["a1"], "t2": ["a1"], "t3": ["a2", "a1"], "t4": ["a1"], "t5": ["a1"]}
    performers = [
        {"track_id": track, "position": position, "artist_id": artist, **old}
        for track, artists in by.items()
        for position, artist in enumerate(artists)
    ]
    opened.put("track_artists", *performers)
    opened.put(
        "artists",
        {"artist_id": "a1", "name": "Ann", "genres": ["pop", "indie"], **old},
        {"artist_id": "a2", "name": "Bob", "genres": [], **old},
        {"artist_id": "a3", "name": "Cat", "observed_at": at(3, 5, 7, 50)},
    )
    opened.put(
        "albums",
        {"album_id": "b1", "name": "First", "release_year": 2001, **old},
        {"album_id": "b2", "name": "Hits", "release_year": 2010, **old},
        {"album_id": "b3", "name": "Third", "release_year": 1995, **old},
    )
    saved = {"user_id": "u", "item_type": "track", "added_at": at(1, 2), **old}
    opened.put(
        "saved_items",
        {**saved, "item_id": "t1"},
        {**saved, "item_id": "t4", "added_at": at(3, 5, 7, 45)},
        {**saved, "item_id": "t5"},
    )
    runs = [at(3, 4), at(3, 5, 7, 30), at(3, 5, 12)]
    opened.put("runs", *({"run_id": f"r{n}", "started_at": run, "ended_at": run} for n, run in enumerate(runs)))
    hole = {"raw_key": "k", "table_name": "plays", "check_name": "hole", "severity": "warn", "observed_at": at(3, 5)}
    opened.put("quality_results", {**hole, "window_start": at(3, 4), "window_end": at(3, 4, 12)})


def filled(engine: str, folder: Path) -> Iterator[Opened]:
    with ENGINES[engine](folder) as made:
        fill(made)
        yield made


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    yield from filled("embedded", tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="module")
def athena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    yield from filled("athena", tmp_path_factory.mktemp("reports"))


#: Report, its parameters, and the rows it must answer.
EXPECTED: list[tuple[str, dict[str, Any], list[tuple[Any, ...]]]] = [
    ("top_artists", MARCH, [(1, "Ann", 2, 5.3, 1, 1, 0), (1, "Bob", 2, 6.0, 1, None, None)]),
    ("top_artists", {**MARCH, "by": "time"}, [(1, "Bob", 2, 6.0, 1, None, None), (2, "Ann", 2, 5.3, 1, 1, -1)]),
    ("top_artists", {**MARCH, "min_seconds": 0, "limit": 1}, [(1, "Ann", 3, 5.3, 1, 1, 0)]),
    ("top_artists", {**MARCH, "user": "v"}, [(1, "Ann", 1, 3.3, 1, None, None), (1, "Cat", 1, 1.0, 1, None, None)]),
    (
        "top_tracks",
        MARCH,
        [(1, "Alpha", "Ann", 2, 5.3, 1, 0, "t1"), (1, "Beta", "Bob", 2, 6.0, None, None, "t3")],
    ),
    (
        "top_albums",
        MARCH,
        [
            (1, "Third", "Bob", 2, 6.0, 1, None, None),
            (2, "First", "Ann", 1, 3.3, 1, 1, -1),
            (2, "Hits", "Ann", 1, 1.7, 1, None, None),
        ],
    ),
    (
        "listening_over_time",
        {**MARCH, "unit": "day"},
        [(at(3, 3), 2, 5.0, 1, 1), (at(3, 4), 1, 3.0, 1, 1), (at(3, 5), 2, 13.3, 1, 2)],
    ),
    ("listening_over_time", {**MARCH, "unit": "week"}, [(at(3, 3), 5, 21.3, 2, 3)]),
    ("listening_over_time", {**ALWAYS, "unit": "month"}, [(at(2, 1), 1, 3.3, 1, 1), (at(3, 1), 5, 21.3, 2, 3)]),
    ("listening_over_time", {**ALWAYS, "unit": "year"}, [(at(1, 1), 6, 24.7, 2, 3)]),
    (
        "listening_over_time",
        {**MARCH, "unit": "hour", "from": "2025-03-04", "to": "2025-03-05"},
        [(at(3, 4), 1, 3.0, 1, 1), (at(3, 5, 9), 1, 3.3, 1, 1), (at(3, 5, 10), 1, 10.0, 0, 1)],
    ),
    (
        "listening_by_hour_and_weekday",
        MARCH,
        [(1, 23, 2, 5.0), (2, 0, 1, 3.0), (3, 9, 1, 3.3), (3, 10, 1, 10.0)],
    ),
    (
        "best_of_each_hour",
        MARCH,
        [
            (0, "Bob", 1, "Beta", "Bob", 1),
            (9, "Bob", 1, "Beta", "Bob", 1),
            (23, "Ann", 2, "Alpha", "Ann", 2),
        ],
    ),
    (
        "longest_sessions",
        MARCH,
        [
            (at(3, 3, 23, 26, 40), at(3, 3, 23, 40), 13.3, 5.0, 2, 1, "u", "u"),
            (at(3, 5, 9, 50), at(3, 5, 10), 10.0, 10.0, 1, 1, "u", "u"),
            (at(3, 5, 8, 57), at(3, 5, 9, 1), 4.0, 3.3, 1, 1, "u", "u"),
            (at(3, 4, 0, 27), at(3, 4, 0, 30), 3.0, 3.0, 1, 1, "u", "u"),
        ],
    ),
    (
        "first_and_last_listens",
        ALWAYS,
        [
            ("Ann", 3, at(2, 10, 13), "Alpha", at(3, 3, 23, 40), "Alpha", 21),
            ("Bob", 2, at(3, 4, 0, 30), "Beta", at(3, 5, 9), "Beta", 1),
        ],
    ),
    (
        "first_and_last_listens",
        {**ALWAYS, "search": "OB"},
        [("Bob", 2, at(3, 4, 0, 30), "Beta", at(3, 5, 9), "Beta", 1)],
    ),
    ("discovery", MARCH, [(date(2025, 3, 1), 2, 1, 4, 2, 50.0)]),
    ("streaks", MARCH, [(3, date(2025, 3, 3), date(2025, 3, 5), 5, "u", "u")]),
    ("skips_and_completion", {**MARCH, "min_plays": 1}, [("Ann", 3, 33.3, 33.3, 75.0), ("Bob", 1, 0.0, 0.0, 100.0)]),
    ("skips_and_completion", {**MARCH, "min_plays": 3, "by": "track"}, [("Ann - Alpha", 3, 33.3, 33.3, 75.0)]),
    (
        "starts_and_ends",
        MARCH,
        [
            ("start", "trackdone", 2, 50.0),
            ("start", "clickrow", 1, 25.0),
            ("start", "not said", 1, 25.0),
            ("end", "trackdone", 2, 50.0),
            ("end", "endplay", 1, 25.0),
            ("end", "fwdbtn", 1, 25.0),
        ],
    ),
    (
        "platforms_and_countries",
        MARCH,
        [
            ("platform", "ios", 3, 16.3, at(3, 3, 23, 30), at(3, 5, 10)),
            ("platform", "android", 1, 1.7, at(3, 3, 23, 40), at(3, 3, 23, 40)),
            ("country", "DE", 3, 15.0, at(3, 3, 23, 30), at(3, 5, 10)),
            ("country", "FR", 1, 3.0, at(3, 4, 0, 30), at(3, 4, 0, 30)),
        ],
    ),
    ("podcasts", MARCH, [("podcast", "Show", 1, 1, 10.0, at(3, 5, 10))]),
    (
        "listening_holes",
        ALWAYS,
        [
            ("silence", at(2, 10, 13), at(3, 3, 23, 30), 21.4, "u", "u"),
            ("plays may be lost", at(3, 4, 1), at(3, 4, 13), 0.5, None, None),
        ],
    ),
    (
        "obsessions",
        ALWAYS,
        [(date(2025, 3, 3), "Alpha", "Ann", 2, 3), (date(2025, 3, 3), "Beta", "Bob", 2, 2)],
    ),
    (
        "forgotten_favourites",
        {**MARCH, "period": "2025-04", "min_plays": 2},
        [("Alpha", "Ann", 3, at(2, 10, 13), at(3, 3, 23, 40)), ("Beta", "Bob", 2, at(3, 4, 0, 30), at(3, 5, 9))],
    ),
    ("forgotten_favourites", {**MARCH, "min_plays": 1}, []),
    ("genres", MARCH, [("indie", 2, 5.3, 1, 50.0, 47.1, "spotify"), ("pop", 2, 5.3, 1, 50.0, 47.1, "spotify")]),
    ("release_years", MARCH, [(1995, 2, 6.0, 1), (2001, 1, 3.7, 1), (2010, 1, 1.7, 1)]),
    ("release_years", {**MARCH, "user": "v"}, [(2001, 1, 3.3, 1), (None, 1, 1.0, 1)]),
    ("features", MARCH, [(date(2025, 3, 1), 4, 0.5, 50.0)]),
    (
        "compare_listeners",
        {"period": "2025-03"},
        [
            ("u and v have 50 % of their listening in common.", "match", None, 4, 2, None, None, 50.0, "u", "v"),
            ("Both hear Ann: u 2 plays, v 1.", "both", "Ann", 2, 1, 50.0, 50.0, 50.0, "u", "v"),
            ("Only u hears Bob: 2 plays.", "only one", "Bob", 2, 0, 50.0, 0.0, 0.0, "u", "v"),
            ("Only v hears Cat: 1 play.", "only one", "Cat", 0, 1, 0.0, 50.0, 0.0, "u", "v"),
        ],
    ),
    *(
        (
            "compare_listeners",
            {"period": "2025-03", "limit": 1, **chosen},
            [
                ("v and u have 50 % of their listening in common.", "match", None, 2, 4, None, None, 50.0, "v", "u"),
                ("Both hear Ann: v 1 play, u 2.", "both", "Ann", 1, 2, 50.0, 50.0, 50.0, "v", "u"),
                ("Only v hears Cat: 1 play.", "only one", "Cat", 1, 0, 50.0, 0.0, 0.0, "v", "u"),
                ("Only u hears Bob: 2 plays.", "only one", "Bob", 0, 2, 0.0, 50.0, 0.0, "v", "u"),
            ],
        )
        for chosen in ({"user": "v"}, {"other_user": "u"})
    ),
    (
        "left_out",
        {},
        [
            ("artist", "rain", None, None, None, 3, 2.0, "x1"),
            ("period", None, None, at(3, 8, 18), at(3, 9), 1, 0.1, "x2"),
            ("track", "Bob", "Never", None, None, 0, 0.0, "x3"),
        ],
    ),
    (
        "left_out",
        {"user": "u"},
        [("artist", "rain", None, None, None, 2, 1.5, "x1"), ("track", "Bob", "Never", None, None, 0, 0.0, "x3")],
    ),
    ("saved_never_played", {"user": "u"}, [("Delta", "Ann", at(3, 5, 7, 45), "t4", "u", "u")]),
    (
        "year_in_review",
        {**MARCH, "period": "2024"},
        [
            ("minutes", None, 0),
            ("plays", None, 0),
            ("days with listening", None, 0),
            ("artists", None, 0),
            ("artists heard for the first time", None, 0),
            ("tracks", None, 0),
        ],
    ),
    (
        "year_in_review",
        MARCH,
        [
            ("minutes", None, 21),
            ("plays", None, 5),
            ("days with listening", None, 3),
            ("artists", None, 2),
            ("artists heard for the first time", None, 1),
            ("tracks", None, 2),
            ("top artist", "Ann", 2),
            ("top track", "Ann - Alpha", 2),
            ("top album", "Bob - Third", 2),
            ("top podcast (minutes)", "Show", 10),
            ("busiest day (minutes)", "2025-03-05", 13),
            ("top genre", "indie", 2),
            ("time with a known genre (percent)", "spotify", 47),
        ],
    ),
    (
        "recently_played",
        {"user": "u", "timezone": "Europe/Berlin", "limit": 2},
        [
            (at(3, 5, 10), "Ep1", "Show", None, 10.0, "episode", "extended_history", "u", "u"),
            (at(3, 5, 9, 1), "Alpha", "Ann", None, 0.3, "track", "account_data", "u", "u"),
        ],
    ),
    (
        "new_since_last_run",
        {"user": "u"},
        [
            ("play", "Ep1", "Show", at(3, 5, 9)),
            ("play", "Beta", "Bob", at(3, 5, 8)),
            ("new artist", "Cat", "Cat", at(3, 5, 7, 50)),
            ("saved track", "Delta", "Ann", at(3, 5, 7, 45)),
        ],
    ),
    (
        "library_overview",
        {"user": "u"},
        [
            ("plays", 6),
            ("hours listened", 0),
            ("artists", 3),
            ("albums", 3),
            ("tracks", 5),
            ("playlists", 0),
            ("saved tracks", 3),
            ("saved albums", 0),
            ("followed artists", 0),
        ],
    ),
]


EACH = pytest.mark.parametrize(
    ("name", "values", "expected"), EXPECTED, ids=[f"{name}-{number}" for number, (name, *_) in enumerate(EXPECTED)]
)


def test_a_play_that_only_the_api_reported_counts_with_its_tracks_length(tmp_path: Path) -> None:
    with ENGINES["embedded"](tmp_path) as made:
        made.put("plays_resolved", play("p", at(3, 5, 8), FIRST, "t", origin="api"), name="resolution-000001")
        made.put("tracks", {"track_id": "t", "name": "Alpha", "duration_ms": 3_600_000, "observed_at": at(1, 1)})
        made.put("artists", {"artist_id": "a", "name": "Ann", "genres": ["pop"], "observed_at": at(1, 1)})
        assert answered(made, "genres", {"period": "all"}) == [("pop", 1, 60.0, 1, 100.0, 100.0, "spotify")]
        assert ("hours listened", 1) in answered(made, "library_overview", {})


SAMPLE = [case for case in EXPECTED if case[0] in ("streaks", "genres")]  # the emulated Athena is slow


def answered(opened: Opened, name: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    report = catalogue.report(name)
    done = catalogue.run(opened.engine, report, values, wait=100, clock=lambda: datetime(2025, 4, 1, tzinfo=UTC))
    assert done.page is not None
    return done.page.rows


@EACH
def test_a_report_answers_what_a_hand_count_gives(
    opened: Opened, name: str, values: dict[str, Any], expected: list[tuple[Any, ...]]
) -> None:
    assert answered(opened, name, values) == expected


@pytest.mark.parametrize(("name", "values", "expected"), SAMPLE, ids=[name for name, *_ in SAMPLE])
def test_a_report_answers_the_same_in_athena(
    athena: Opened, name: str, values: dict[str, Any], expected: list[tuple[Any, ...]]
) -> None:
    assert answered(athena, name, values) == expected


@pytest.mark.soak
@EACH
def test_every_report_answers_the_same_in_athena(
    athena: Opened, name: str, values: dict[str, Any], expected: list[tuple[Any, ...]]
) -> None:
    assert answered(athena, name, values) == expected


LISTED = [report for report in catalogue.reports() if not report.name.startswith(OWN)]


def test_every_report_is_counted_by_hand() -> None:
    assert {name for name, *_ in EXPECTED} == {report.name for report in LISTED}
    assert len(LISTED) >= 20


@pytest.mark.parametrize("report", LISTED, ids=lambda report: report.name)
def test_a_report_names_only_what_is_declared_and_parses_as_athena_sql(report: catalogue.Report) -> None:
    bound = catalogue.bind(report, {})
    checked = check(bound.sql, user_tables(), bound.bound)
    assert checked.columns
    shown = report.chart.keys() - {"kind"}
    assert {report.chart[axis] for axis in shown} <= {column.name for column in checked.columns}
    (tree,) = sqlglot.parse(bound.sql, read="athena")
    assert len(list(tree.find_all(sqlglot.exp.Placeholder))) == len(bound.bound)  # type: ignore[union-attr]


@pytest.mark.parametrize("report", LISTED, ids=lambda report: report.name)
def test_a_report_on_an_empty_lake_answers_without_error(report: catalogue.Report, empty: Opened) -> None:
    assert catalogue.run(empty.engine, report).page is not None


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with ENGINES["embedded"](tmp_path_factory.mktemp("empty")) as made:
        yield made


def test_an_own_report_passes_the_same_guard(opened: Opened) -> None:
    text = '-- title = "Mine"\n-- description = "Files."\nSELECT * FROM read_csv(\'/etc/passwd\')'
    opened.lake.store.write("reports/mine.sql", text.encode())
    with pytest.raises(QueryRefused):
        catalogue.run(opened.engine, catalogue.report("mine", opened.lake))


def test_a_report_that_takes_longer_goes_on(opened: Opened) -> None:
    done = catalogue.run(opened.engine, catalogue.report("top_artists"), {"period": "2024"}, wait=0.0)
    assert opened.engine.wait(done.query.query_id, 30).state == "succeeded"

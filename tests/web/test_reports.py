"""The reports behind the dashboard's pages, on a history small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from chalicelib.queries.sql import check
from chalicelib.reports import catalogue
from chalicelib.views import user_tables
from tests.reports.test_reports import MARCH, OWN, at
from tests.reports.test_reports import fill as fill_listening
from tests.support.engines import ENGINES, Opened

BEHIND_PAGES = [report for report in catalogue.reports() if report.name.startswith(OWN)]
ANN = {**MARCH, "kind": "artist", "artist": "Ann"}
FIRST = {**MARCH, "kind": "album", "artist": "Ann", "name": "First"}
SHOW = {**MARCH, "artist": "Show"}
ALPHA = {"kind": "track", "artist": "Ann", "name": "Alpha"}


def fill(opened: Opened) -> None:
    fill_listening(opened)
    playlist = {"playlist_id": "l1", "name": "Mix", "owner_id": "u"}
    opened.put(
        "playlists",
        {**playlist, "snapshot_id": "s1", "total_items": 2, "observed_at": at(3, 1)},
        {**playlist, "snapshot_id": "s2", "total_items": 2, "observed_at": at(3, 2)},
        {"playlist_id": "l2", "name": "Gone", "snapshot_id": "x1", "total_items": 1, "observed_at": at(3, 1)},
        {"playlist_id": "l2", "name": "Gone", "snapshot_id": "x2", "total_items": 0, "observed_at": at(3, 3)},
    )
    versions = {
        ("l1", "s1"): (at(3, 1), {"A": "Alpha", "B": "Beta"}),
        ("l1", "s2"): (at(3, 2), {"A": "Alpha", "C": "Gamma"}),
        ("l2", "x1"): (at(3, 1), {"D": "Delta"}),
    }
    opened.put(
        "playlist_items",
        *(
            {"playlist_id": playlist_id, "snapshot_id": snapshot, "position": place, "item_type": "track",
             "item_uri": uri, "item_id": {"A": "t1"}.get(uri), "name": name, "added_at": at(1, 1 + place),
             "observed_at": seen}
            for (playlist_id, snapshot), (seen, items) in versions.items()
            for place, (uri, name) in enumerate(items.items())
        ),
    )  # fmt: skip
    found = {"table_name": "tracks", "check_name": "pattern:track_id", "severity": "reject"}
    opened.put(
        "quality_results",
        {"raw_key": "k1", **found, "rows_checked": 10, "failures": 2, "detail": "older", "observed_at": at(3, 6)},
        {"raw_key": "k2", **found, "rows_checked": 5, "failures": 1, "detail": "why", "observed_at": at(3, 7)},
        {"raw_key": "k3", **found, "rows_checked": 5, "failures": 0, "observed_at": at(3, 8)},
        name="checks",
    )
    opened.put(
        "rejected_rows",
        {"raw_key": "k1", "answer": 0, "item": 3, "table_name": "tracks", "check_name": "pattern:track_id",
         "reason": "an odd id", "content": "{}", "observed_at": at(3, 6)},
    )  # fmt: skip


@pytest.fixture(scope="module", params=["embedded", pytest.param("athena", marks=pytest.mark.soak)])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with ENGINES[request.param](tmp_path_factory.mktemp("web-reports")) as made:
        fill(made)
        yield made


HISTORY = "extended_history"
P4 = (at(3, 4, 0, 30), "Beta", "Bob", "Third", 3.0, "track", False, "ios", HISTORY, "u", at(3, 3, 23, 30), "p4")
#: Report, its parameters, and the rows it must answer.
EXPECTED: list[tuple[str, dict[str, Any], list[tuple[Any, ...]]]] = [
    (
        "dashboard_listeners",
        {},
        [("u", "u", 6, at(2, 10, 12), at(3, 5, 9)), ("v", "v", 2, at(3, 6, 10), at(3, 7, 10))],
    ),
    ("dashboard_totals", MARCH, [(5, 1, 0.4, 0.1, 2, 1, 1, 1)]),
    ("dashboard_totals", {**MARCH, "period": "2024"}, [(0, 0, 0.0, 0.0, 0, 0, 0, 0)]),
    ("dashboard_item", ANN, [(3, 0.1, 1, 2, 0.1, 1, at(2, 10, 12), at(3, 3, 22, 40), 1, 0.333, "t1")]),
    ("dashboard_item", FIRST, [(2, 0.1, 1, 1, 0.1, 2, at(2, 10, 12), at(3, 3, 22, 30), 1, 0.0, "t1")]),
    (
        "dashboard_item",
        {**FIRST, "period": "2024"},
        [(2, 0.1, 1, 0, 0.0, None, at(2, 10, 12), at(3, 3, 22, 30), 1, 0.0, "t1")],
    ),
    ("dashboard_item", {**ANN, "artist": "Nobody"}, []),
    (
        "dashboard_item_months",
        {"artist": "Ann", "user": "u", "timezone": "Europe/Berlin"},
        [(date(2025, 2, 1), 1, 3.3), (date(2025, 3, 1), 2, 5.3)],
    ),
    ("dashboard_item_tops", ANN, [(1, "Alpha", 2, 5.3, at(3, 3, 22, 40))]),
    (
        "dashboard_item_tops",
        {**ANN, "items": "albums"},
        [(1, "First", 1, 3.3, at(3, 3, 22, 30)), (1, "Hits", 1, 1.7, at(3, 3, 22, 40))],
    ),
    ("dashboard_item_hours", ANN, [(9, 0, 0.3), (23, 2, 5.0)]),
    ("dashboard_item_hours", {**ALPHA, "period": "2024"}, []),
    ("dashboard_item", {**SHOW, "kind": "show"}, [(1, 0.2, 1, 1, 0.2, 1, at(3, 5, 9), at(3, 5, 9), 1, 1.0, "e1")]),
    ("dashboard_item_months", {"kind": "show", "artist": "Show", "user": "u"}, [(date(2025, 3, 1), 1, 10.0)]),
    ("dashboard_item_tops", {**SHOW, "kind": "show"}, [(1, "Ep1", 1, 10.0, at(3, 5, 9))]),
    ("dashboard_ranks", {"kind": "show", "artist": "Show", "user": "u"}, [(date(2025, 3, 1), 1, 1)]),
    (
        "dashboard_genre",
        {**MARCH, "genre": "pop"},
        [(2, 0.1, 50.0, 47.1, 1, 1, at(3, 3, 22, 30), at(3, 3, 22, 40))],
    ),
    ("dashboard_genre", {**MARCH, "genre": "polka"}, []),
    ("dashboard_genre_tops", {**MARCH, "genre": "indie"}, [(1, "Ann", "Ann", 2, 5.3)]),
    (
        "dashboard_genre_tops",
        {**MARCH, "genre": "indie", "items": "albums"},
        [(1, "First", "Ann", 1, 3.3), (1, "Hits", "Ann", 1, 1.7)],
    ),
    ("dashboard_genre_tops", {**MARCH, "genre": "indie", "items": "tracks"}, [(1, "Alpha", "Ann", 2, 5.3)]),
    (
        "dashboard_genre_months",
        {"genre": "pop", "user": "u", "timezone": "Europe/Berlin"},
        [(date(2025, 2, 1), 1, 3.3, 100.0), (date(2025, 3, 1), 2, 5.3, 50.0)],
    ),
    ("dashboard_item_details", ALPHA, [("Album", "First"), ("Length", "3 min 20 s"), ("ISRC", "I1")]),
    (
        "dashboard_library_growth",
        {"user": "u", "timezone": "Europe/Berlin"},
        [(date(2025, 1, 1), "track", 2, 2), (date(2025, 3, 1), "track", 1, 3)],
    ),
    ("dashboard_library_years", {}, [(2001, 2, 0), (2010, 1, 0)]),
    (
        "dashboard_playlists",
        {},
        [
            ("l1", "Mix", "u", 2, 2, at(1, 2), at(3, 1), "u", None),
            ("l2", "Gone", None, 0, 2, None, at(3, 1), None, None),
        ],
    ),
    (
        "dashboard_playlist_changes",
        {},
        [
            (at(3, 3), "Gone", "removed", "Delta", "D", "l2"),
            (at(3, 2), "Mix", "added", "Gamma", "C", "l1"),
            (at(3, 2), "Mix", "removed", "Beta", "B", "l1"),
        ],
    ),
    (
        "dashboard_playlist_changes",
        {"playlist": "l1", "limit": 1},
        [(at(3, 2), "Mix", "added", "Gamma", "C", "l1")],
    ),
    ("dashboard_playlists", {"user": "v"}, []),
    ("dashboard_playlist_changes", {"user": "u", "limit": 1}, [(at(3, 2), "Mix", "added", "Gamma", "C", "l1")]),
    (
        "dashboard_listens",
        {**MARCH, "limit": 2},
        [
            (at(3, 5, 10), "Ep1", "Show", None, 10.0, "episode", True, "ios", HISTORY, "u", at(3, 5, 9), "p7"),
            (at(3, 5, 9), "Beta", "Bob", "Third", 3.0, "track", None, None, "api", "u", at(3, 5, 8), "p5"),
        ],
    ),
    ("dashboard_listens", {**MARCH, "after": "2025-03-05 08:00:00.000", "after_id": "p5", "limit": 1}, [P4]),
    ("dashboard_listens", {**MARCH, "weekday": 2, "hour": 0}, [P4]),
    ("dashboard_listens", {**MARCH, "artist": "Bob", "skipped": "no", "order": "oldest", "limit": 1}, [P4]),
    ("dashboard_listens", {**MARCH, "search": "THIRD", "order": "oldest", "limit": 1}, [P4]),
    (
        "dashboard_listens",
        {**MARCH, "kind": "track", "order": "oldest", "limit": 1},
        [(at(3, 3, 23, 30), "Alpha", "Ann", "First", 3.3, "track", False, "ios", HISTORY, "u", at(3, 3, 22, 30), "p2")],
    ),
    (
        "dashboard_search",
        {"search": "A", "user": "u"},
        [("artist", "Ann", "Ann", 3, None), ("track", "Alpha", "Ann", 3, None), ("track", "Beta", "Bob", 2, None)],
    ),
    ("dashboard_search", {"search": "mi"}, [("playlist", "Mix", None, None, "l1")]),
    ("dashboard_search", {"search": "mi", "user": "u"}, [("playlist", "Mix", None, None, "l1")]),
    ("dashboard_search", {"search": "mi", "user": "v"}, []),
    ("dashboard_playlist", {"playlist": "l1", "user": "v"}, []),
    ("dashboard_search", {"search": "sho"}, [("show", "Show", "Show", 1, None)]),
    (
        "dashboard_ranks",
        {"artist": "Ann", "user": "u", "timezone": "Europe/Berlin"},
        [(date(2025, 2, 1), 1, 1), (date(2025, 3, 1), 1, 2)],
    ),
    ("dashboard_ranks", {"artist": "Cat", "timezone": "Europe/Berlin"}, [(date(2025, 3, 1), 3, 1)]),
    (
        "dashboard_playlist",
        {"playlist": "l1"},
        [
            (1, "Alpha", "Ann", at(1, 1), None, 3, "track", "A"),
            (2, "Gamma", None, at(1, 2), None, 0, "track", "C"),
        ],
    ),
    ("dashboard_quality", {}, [("tracks", "pattern:track_id", "reject", 3, 15, 2, at(3, 7), "why")]),
    ("dashboard_holes", {}, [(at(3, 4), at(3, 4, 12), None, None, None, at(3, 5))]),
    ("dashboard_rejected", {}, [(at(3, 6), "tracks", "pattern:track_id", "an odd id", "{}", "k1", 0, 3)]),
]


@pytest.mark.parametrize(("name", "values", "expected"), EXPECTED, ids=lambda value: str(value)[:60])
def test_a_report_behind_a_page_answers_what_a_hand_count_gives(
    opened: Opened, name: str, values: dict[str, Any], expected: list[tuple[Any, ...]]
) -> None:
    done = catalogue.run(opened.engine, catalogue.report(name), values, clock=lambda: datetime(2025, 4, 1, tzinfo=UTC))
    assert done.page is not None
    assert done.page.rows == expected


def test_every_report_behind_a_page_is_counted_by_hand() -> None:
    assert {name for name, *_ in EXPECTED} == {report.name for report in BEHIND_PAGES}


@pytest.mark.parametrize("report", BEHIND_PAGES, ids=lambda report: report.name)
def test_a_report_behind_a_page_charts_columns_that_it_has(report: catalogue.Report) -> None:
    bound = catalogue.bind(report, {})
    columns = {column.name for column in check(bound.sql, user_tables(), bound.bound).columns}
    assert {report.chart[axis] for axis in report.chart.keys() - {"kind"}} <= columns

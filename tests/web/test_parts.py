"""What the dashboard's modules compute, asked of them in the browser that runs them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import Visit
from tests.support.server import LakeServer


@pytest.fixture(scope="module")
def page(browser: Browser, empty: LakeServer) -> Iterator[Page]:
    visit = Visit(browser, empty.url, empty.token)
    yield visit.open("#/reports")
    visit.close()


def call(page: Page, module: str, expression: str, *given: Any) -> Any:
    """The value of an expression over a module ``m`` and arguments ``given``."""
    source = f"async ([name, given]) => {{ const m = await import(name); return {expression}; }}"
    return page.evaluate(source, [f"/static/{module}.js", list(given)])


@pytest.mark.parametrize(
    ("type", "values", "down", "order"),
    [
        ("bigint", [3, None, 1, 2], False, [2, 3, 0, 1]),
        ("bigint", [3, None, 1, 2], True, [0, 3, 2, 1]),
        ("bigint", ["9007199254740993", 5, "9007199254740992"], False, [1, 2, 0]),
        ("decimal(10,2)", ["10.50", "9.75"], False, [1, 0]),
        ("varchar", ["b", "a", "b"], True, [0, 2, 1]),
        ("boolean", [True, False], False, [1, 0]),
        ("timestamp(3)", ["2025-02-01T00:00:00.000", "2024-12-31T23:59:59.999"], False, [1, 0]),
    ],
)
def test_rows_sort_by_value_with_nulls_last_and_ties_as_they_were(page, type, values, down, order):
    rows = [[value] for value in values]
    assert call(page, "sheet", "m.permutation(given[0], 0, given[1], given[2])", rows, type, down) == order


def test_parameters_become_literals_but_not_within_strings_and_comments(page):
    sql = """SELECT ':user', ":limit" -- :user
FROM plays WHERE user_id = :user AND ended_at >= :from /* :user */
AND x::int = 1 LIMIT :limit"""
    values = {"user": "O'Hara", "from": "2025-01-01 00:00:00", "limit": 5}
    assert (
        call(page, "highlight", "m.withValues(given[0], given[1])", sql, values)
        == """SELECT ':user', ":limit" -- :user
FROM plays WHERE user_id = 'O''Hara' AND ended_at >= TIMESTAMP '2025-01-01 00:00:00' /* :user */
AND x::int = 1 LIMIT 5"""
    )


def test_days_weeks_and_months_without_plays_are_drawn_as_zero(page):
    rows = [{"starts": "2025-01-30", "plays": 2}, {"starts": "2025-02-02", "plays": 1}]
    filled = call(page, "spans", "m.filled(given[0], 'day', { by: 'starts', values: ['plays'] })", rows)
    assert [(row["key"], row["plays"]) for row in filled] == [
        ("2025-01-30", 2),
        ("2025-01-31", 0),
        ("2025-02-01", 0),
        ("2025-02-02", 1),
    ]
    months = [{"starts": "2024-11-01", "plays": 2}, {"starts": "2025-02-01T00:00:00.000", "plays": 1}]
    filled = call(page, "spans", "m.filled(given[0], 'month', { by: 'starts', values: ['plays'] })", months)
    assert [row["plays"] for row in filled] == [2, 0, 0, 1]


def test_a_period_is_drawn_whole_and_empty_where_nothing_is_known(page):
    rows = [{"starts": "2025-02-10", "plays": 2}, {"starts": "2025-02-24", "plays": 1}]
    how = "{ by: 'starts', values: ['plays'], period: given[1] }"
    filled = call(page, "spans", f"m.filled(given[0], 'week', {how})", rows, ["2025-01-29", "2025-03-05"])
    assert [(row["key"], row["plays"]) for row in filled] == [
        ("2025-01-27", None),
        ("2025-02-03", None),
        ("2025-02-10", 2),
        ("2025-02-17", 0),
        ("2025-02-24", 1),
        ("2025-03-03", None),
    ]


def test_a_period_that_has_hardly_begun_is_drawn_from_its_first_listen(page):
    values = [None] * 40 + [3, 1, None]
    rows = [{"key": str(at), "plays": value} for at, value in enumerate(values)]
    assert [row["key"] for row in call(page, "spans", "m.fitted(given[0], 'plays')", rows)] == ["40", "41", "42"]
    assert len(call(page, "spans", "m.fitted(given[0], 'plays')", rows[38:])) == 5


@pytest.mark.parametrize(
    ("keys", "grain", "period", "places"),
    [
        (["2026-01-05", "2026-01-12"], "week", ["2026-01-05", "2026-01-18"], []),
        (["2026-01-05", "2026-01-12"], "week", ["2026-01-07", "2026-01-18"], [0]),
        (["2026-01-05", "2026-01-12"], "week", ["2026-01-05", "2026-01-17"], [1]),
        (["2026-02-01", "2026-03-01"], "month", ["2026-02-01", "2026-03-20"], [1]),
        (["2026-02-01", "2026-03-01"], "month", [], [1]),
        (["2026-01-01", "2026-02-01"], "month", [], []),
        (["2026-03-19", "2026-03-20"], "day", ["2026-03-19", "2026-03-20"], [1]),
        (["2026-03-18", "2026-03-19"], "day", ["2026-03-18", "2026-03-19"], []),
    ],
)
def test_steps_that_are_not_whole_are_known(page, keys, grain, period, places):
    rows = [{"key": key} for key in keys]
    found = call(page, "spans", "m.partialSteps(given[0], given[1], given[2], '2026-03-20')", rows, grain, period)
    assert found == places


@pytest.mark.parametrize(
    ("rows", "series"),
    [
        ([["2025-01", "u", 3], ["2025-01", "v", 2], ["2025-02", "u", 1]], "user_id"),
        ([["2025-01", "u", 3], ["2025-02", "u", 1]], ""),
        ([["2025-01", f"track {at}", 3] for at in range(40)], ""),
    ],
)
def test_what_tells_rows_of_one_place_apart_is_a_line_each(page, rows, series):
    columns = [{"name": "month", "type": "varchar"}, {"name": "user_id", "type": "varchar"},
               {"name": "plays", "type": "bigint"}]  # fmt: skip
    chosen = {"x": "month", "y": "plays"}
    assert call(page, "query_result", "m.seriesOf(given[0], given[1], given[2])", columns, rows, chosen) == series


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2025-12-31 23:00:00", "2026-12-31 23:00:00", ["2026-01-01", "2026-11-27"]),
        ("2026-02-02 23:00:00", "2026-04-20 22:00:00", ["2026-02-03", "2026-04-20"]),
        ("1969-12-31 23:00:00", "2199-12-31 23:00:00", []),
    ],
)
def test_a_period_has_days_up_to_today_in_its_time_zone(page, start, end, days):
    now = "new Date('2026-11-26T23:30:00Z')"
    told = call(page, "spans", f"m.daysOfPeriod(given[0], 'Europe/Berlin', {now})", {"from": start, "to": end})
    assert told == days


@pytest.mark.parametrize(
    ("name", "initials"),
    [
        ("The Velvet Cinemas", "VC"),
        ("Björk", "BJ"),
        ("A", "A"),
        ("AC/DC", "AD"),
        ("🌈🦄 Emoji Band", "🌈E"),
        ("👩‍👩‍👧‍👦🏳️‍🌈", "👩‍👩‍👧‍👦🏳️‍🌈"),
        ("宇多田ヒカル", "宇多"),
        (" - ", "?"),
        (None, "?"),
    ],
)
def test_a_cover_without_a_picture_shows_initials(page, name, initials):
    assert call(page, "covers", "m.initials(given[0])", name) == initials


@pytest.mark.parametrize(
    ("selection", "grain"),
    [
        ({"period": "7d"}, "day"),
        ({"period": "4w"}, "day"),
        ({"period": "2025-03"}, "day"),
        ({"period": "6m"}, "week"),
        ({"period": "2025"}, "week"),
        ({"period": "1y"}, "week"),
        ({"period": "3y"}, "month"),
        ({"period": "all"}, "month"),
        ({"period": "1y", "from": "2025-01-01", "to": "2025-01-31"}, "day"),
    ],
)
def test_a_period_is_drawn_as_fine_as_suits_it(page, selection, grain):
    assert call(page, "spans", "m.grainOf(given[0])", selection) == grain


@pytest.mark.parametrize(
    ("function", "value", "shown"),
    [
        ("count", 1234567, "1,234,567"),
        ("count", None, "–"),
        ("hours", 12.34, "12.3 h"),
        ("hours", 1234.5, "1,235 h"),
        ("duration", 45, "45 s"),
        ("duration", 92, "1 min 32 s"),
        ("duration", 7260, "2 h 1 min"),
        ("bytes", 0, "0 B"),
        ("bytes", 8123456, "8.1 MB"),
        ("day", "2026-11-20", "20 Nov 2026"),
        ("month", "2026-11-01", "Nov 2026"),
        ("words", "saved_tracks", "Saved tracks"),
    ],
)
def test_numbers_and_times_read_well(page, function, value, shown):
    assert call(page, "format", f"m.{function}(given[0])", value) == shown


def test_a_moment_is_shown_in_the_chosen_time_zone(page):
    for written in ("2026-07-01T22:30:00Z", "2026-07-01T22:30:00.000", "2026-07-01 22:30:00.000"):
        assert call(page, "format", "m.moment(given[0], 'Europe/Berlin')", written) == "2 Jul 2026, 00:30"


def test_names_with_slashes_and_percent_signs_survive_the_address(page):
    address = call(page, "state", "m.href('track', given[0], {})", ["AC/DC", "100% ?&# ü"])
    assert call(page, "state", "m.route(given[0]).args", address) == ["AC/DC", "100% ?&# ü"]


@pytest.mark.parametrize(
    ("local", "zone", "moment"),
    [
        ("2025-03-10T09:00", "Asia/Tokyo", "2025-03-10T00:00:00.000Z"),
        ("2025-07-01T00:30", "Europe/Berlin", "2025-06-30T22:30:00.000Z"),
        ("2025-01-01T00:30", "America/New_York", "2025-01-01T05:30:00.000Z"),
        ("2025-03-30T02:30", "Europe/Berlin", "2025-03-30T01:30:00.000Z"),  # clocks skip that hour
        ("2025-03-30T04:30", "Europe/Berlin", "2025-03-30T02:30:00.000Z"),
    ],
)
def test_a_time_on_the_readers_clock_is_a_moment(page, local, zone, moment):
    assert call(page, "spans", "m.instantIn(given[0], given[1]).toISOString()", local, zone) == moment

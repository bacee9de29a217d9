"""One meaning of plays: every figure that two reports show is the same, for each listener and period."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chalicelib.reports import catalogue
from chalicelib.tables import PLAY_SECONDS
from tests.support.engines import ENGINES, Opened, Row

NOW = datetime(2025, 4, 1, tzinfo=UTC)
FIRST = datetime(2024, 11, 20)  # noqa: DTZ001 - UTC without a zone, as tables have it
LISTENERS = ("u", "v", "w")
ZONE = "Europe/Berlin"
AROUND = ("7d", "4w", "6m", "1y", "2025-01-10/2025-02-20")  # that end today, and a first and a last day
CASES = [
    *(
        (user, period, seconds)
        for user in ("", *LISTENERS)
        for period, seconds in (("2025", None), ("2025-02", None), ("2025-02", 0), ("all", None))
    ),
    *(
        pytest.param(user, period, None, marks=pytest.mark.thorough)
        for user in ("", *LISTENERS)
        for period in AROUND
    ),
]  # fmt: skip


def generated(seed: int) -> list[Row]:
    """Listens of three people: short ones, of the API, without an id, offline ones of another month, podcasts."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for number in range(600):
        ended = FIRST + timedelta(minutes=rng.randrange(60 * 24 * 130), seconds=rng.randrange(60))
        track = rng.randrange(40)
        episode = rng.random() < 0.1
        api = not episode and rng.random() < 0.2
        offline = not api and rng.random() < 0.15
        device = ended - timedelta(hours=rng.randrange(1, 200))
        rows.append(
            {
                "play_id": f"{number:032x}",
                "user_id": rng.choice(LISTENERS),
                "ended_at": ended,
                "ms_played": None if api else rng.choice([0, 4_000, 29_999, 30_000, 61_000, 200_000]),
                "item_type": "episode" if episode else "track",
                "item_id": f"e{track}" if episode else None if number % 11 == 0 and not api else f"t{track}",
                "item_name": f"Episode {track}" if episode else f"Song {track}",
                "artist_name": f"Show {track % 3}" if episode else f"Band {track % 9}",
                "album_name": None if episode else f"Album {track % 13}",
                "origin": "api" if api else "extended_history",
                "platform": rng.choice(["ios", "osx"]),
                "country": rng.choice(["DE", "FR", None]),
                "offline": offline,
                "offline_at": device if offline else None,
                "resolution": 1,
            }
        )
    return rows


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with ENGINES["embedded"](tmp_path_factory.mktemp("figures")) as lake:
        rows = generated(7)
        for month in sorted({f"{row['ended_at']:%Y-%m}" for row in rows}):
            part = [row for row in rows if f"{row['ended_at']:%Y-%m}" == month]
            lake.put("plays_resolved", *part, name="resolution-000001")
        tracks = [
            {
                "track_id": f"t{at}",
                "name": f"Song {at}",
                "duration_ms": 180_000 + at,
                "isrc": f"I{at}",
                "observed_at": FIRST,
            }
            for at in range(0, 40, 2)
        ]
        lake.put("tracks", *tracks)
        yield lake


Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def ask(opened: Opened) -> Ask:
    def answer(report_name: str, /, **values: Any) -> list[dict[str, Any]]:
        report = catalogue.report(report_name)
        offered = {parameter.name for parameter in report.parameters}
        if "period" in offered and "/" in str(values.get("period")):
            values["from"], _, values["to"] = values.pop("period").partition("/")
            offered |= {"from", "to"}
        chosen = {key: value for key, value in values.items() if key in offered and value is not None}
        done = catalogue.run(opened.engine, report, chosen, wait=100, clock=lambda: NOW)
        assert done.page is not None
        names = [column.name for column in done.query.columns]
        return [dict(zip(names, row, strict=True)) for row in done.page.rows]

    return answer


def days(period: str) -> tuple[date, date]:
    """First and last day of a period, by hand, on the first of April 2025."""
    first, _, last = period.partition("/")
    return {
        "7d": (date(2025, 3, 26), NOW.date()),
        "4w": (date(2025, 3, 5), NOW.date()),
        "6m": (date(2024, 10, 2), NOW.date()),
        "1y": (date(2024, 4, 2), NOW.date()),
        "2025": (date(2025, 1, 1), date(2025, 12, 31)),
        "2025-02": (date(2025, 2, 1), date(2025, 2, 28)),
        "all": (date.min, date.max),
    }.get(period) or (date.fromisoformat(first), date.fromisoformat(last))


def counted(user: str, period: str, seconds: int | None) -> int:
    """Plays of a period, counted by hand: by the listener's day on which a device says it was heard."""
    first, last = days(period)
    least = PLAY_SECONDS if seconds is None else seconds
    found = 0
    for row in generated(7):
        ended, played = row["ended_at"], row["ms_played"]
        heard = min(ended, row["offline_at"] + timedelta(milliseconds=played)) if row["offline"] else ended
        day = heard.replace(tzinfo=UTC).astimezone(ZoneInfo(ZONE)).date()
        is_play = played is None or played >= least * 1000  # Spotify's API tells of no shorter ones
        found += first <= day <= last and user in ("", row["user_id"]) and is_play
    return found


def total(rows: list[dict[str, Any]], column: str) -> Any:
    return sum(row[column] or 0 for row in rows)


@pytest.mark.parametrize(("user", "period", "seconds"), CASES, ids=str)
def test_plays_and_time_of_a_period_are_the_same_in_every_report(
    ask: Ask, user: str, period: str, seconds: int | None
) -> None:
    common = {"user": user, "period": period, "min_seconds": seconds, "timezone": ZONE, "limit": 1000}
    (totals,) = ask("dashboard_totals", **common)
    review = {row["what"]: row["number"] for row in ask("year_in_review", **common)}
    assert totals["plays"] == review["plays"] == counted(user, period, seconds) > 0
    for unit in ("hour", "day", "week", "month", "year"):
        over_time = ask("listening_over_time", **common, unit=unit)
        assert total(over_time, "plays") == totals["plays"]
        assert total(over_time, "minutes") / 60 == pytest.approx(totals["hours"], abs=0.1 + len(over_time) * 0.001)
    by_hour = ask("listening_by_hour_and_weekday", **common)
    assert total(by_hour, "plays") == totals["plays"]
    assert review["minutes"] / 60 == pytest.approx(totals["hours"], abs=0.1)
    artists, shows = ask("top_artists", **common), ask("podcasts", **common)
    assert total(artists, "plays") + total(shows, "plays") == totals["plays"]
    assert len(artists) == totals["artists"] == review["artists"]
    assert total(artists, "tracks") == review["tracks"]
    assert total(ask("top_tracks", **common), "plays") == total(artists, "plays")
    assert total(ask("top_albums", **common), "plays") == total(artists, "plays")
    assert total(ask("release_years", **common), "plays") == total(artists, "plays")
    discovery = ask("discovery", **common)
    assert total(discovery, "new_artists") == totals["new_artists"] == review["artists heard for the first time"]
    assert total(discovery, "plays") == total(artists, "plays")
    used = ask("platforms_and_countries", **common)
    assert total([row for row in used if row["kind"] == "platform"], "plays") == total(
        [row for row in used if row["kind"] == "country"], "plays"
    )
    assert total(ask("streaks", **common), "plays") == totals["plays"]


@pytest.mark.parametrize(("user", "period", "seconds"), CASES, ids=str)
def test_what_a_list_shows_of_an_item_its_page_shows_too(ask: Ask, user: str, period: str, seconds: int | None) -> None:
    common = {"user": user, "period": period, "min_seconds": seconds, "timezone": ZONE, "limit": 1000}
    firsts = {row["artist"]: row for row in ask("first_and_last_listens", **common)}
    for place, listed in enumerate(ask("top_artists", **common)[:3]):
        (page,) = ask("dashboard_item", **common, kind="artist", artist=listed["artist"], name="")
        assert (page["plays_in_period"], page["place_in_period"]) == (listed["plays"], listed["place"])
        assert page["hours_in_period"] == pytest.approx(listed["minutes"] / 60, abs=0.1)
        assert firsts[listed["artist"]]["plays"] == listed["plays"]
        (ever,) = [
            row for row in ask("top_artists", **{**common, "period": "all"}) if row["artist"] == listed["artist"]
        ]
        assert page["tracks"] == ever["tracks"] > 0
        months = ask("dashboard_item_months", **common, kind="artist", artist=listed["artist"], name="")
        assert total(months, "plays") == page["plays"]
        for items in ("tracks", "albums") if place == 0 else ():
            tops = ask("dashboard_item_tops", **common, kind="artist", artist=listed["artist"], name="", items=items)
            assert total(tops, "plays") == listed["plays"]
    for kind, report in (("album", "top_albums"), ("track", "top_tracks")):
        listed = ask(report, **common)[0]
        (page,) = ask("dashboard_item", **common, kind=kind, artist=listed["artist"], name=listed[kind])
        assert page["plays_in_period"] == listed["plays"]


@pytest.mark.parametrize("seconds", [None, 0])
def test_the_whole_library_is_the_sum_of_its_listeners(ask: Ask, seconds: int | None) -> None:
    listeners = {row["user_id"]: row["plays"] for row in ask("dashboard_listeners", min_seconds=seconds)}
    for user in ("", *LISTENERS):
        counts = {row["what"]: row["number"] for row in ask("library_overview", user=user, min_seconds=seconds)}
        assert counts["plays"] == (listeners[user] if user else sum(listeners.values()))
        (totals,) = ask("dashboard_totals", user=user, min_seconds=seconds, period="all")
        assert totals["plays"] == counts["plays"]
    pair = ask("compare_listeners", user="u", other_user="v", period="all", min_seconds=seconds, limit=1000)
    own = {
        row["artist"]: row["plays"]
        for row in ask("top_artists", user="u", period="all", min_seconds=seconds, limit=1000)
    }
    assert pair and all(own.get(row["artist"], 0) == row["plays"] for row in pair if row["artist"])


def test_every_report_that_counts_plays_takes_the_one_setting() -> None:
    for report in catalogue.reports():
        names = {parameter.name: parameter for parameter in report.parameters}
        assert ("seconds >= :min_seconds" in report.sql) == ("min_seconds" in names), report.name
        if "min_seconds" in names:
            assert names["min_seconds"].default == PLAY_SECONDS
        assert "AS plays" not in report.sql or "min_seconds" in names, f"{report.name} counts plays in its own way"

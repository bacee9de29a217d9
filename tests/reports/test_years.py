"""A report's condition on ``year`` spares files and takes no listen away: not at the turn of a year, in no zone, and
not where an offline device played it weeks before it could say so."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.reports import catalogue
from chalicelib.reports.catalogue import Report
from tests.support.engines import ENGINES, Opened, Row

NOW = datetime(2025, 1, 9, 11, tzinfo=UTC)
TURNS = [datetime(year, 1, 1) for year in (2023, 2024, 2025)]  # noqa: DTZ001 - UTC without a zone, as tables have it
ZONES = ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin")
PERIODS = ("7d", "4w", "1y", "2024", "2023-12", "2024-01", "2023-12-31", "2024-01-01", "all")
CONDITION = re.compile(r"^\s*AND year BETWEEN .*\n", re.MULTILINE)
REPORTS = [report for report in catalogue.built_in_reports() if report.parameter("period")]


def around_the_turns(seed: int) -> list[Row]:
    """Listens within forty days of a year's end; every third of a device that was offline for up to thirty days."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for number in range(500):
        ended = chance.choice(TURNS) + timedelta(seconds=chance.choice((1, 3600, 86_400)) * chance.randrange(-40, 40))
        offline = number % 3 == 0
        rows.append(
            {
                "play_id": f"{number:032x}",
                "user_id": chance.choice("uv"),
                "ended_at": ended,
                "ms_played": None if number % 7 == 0 else chance.choice((5_000, 61_000, 200_000)),
                "item_type": "track",
                "item_id": f"t{number % 40}",
                "item_name": f"Song {number % 40}",
                "artist_name": f"Band {number % 9}",
                "album_name": f"Album {number % 13}",
                "origin": "api" if number % 7 == 0 else "extended_history",
                "platform": "ios",
                "offline": offline,
                "offline_at": ended - timedelta(minutes=chance.randrange(60 * 24 * 31)) if offline else None,
                "resolution": 1,
            }
        )
    return rows


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with ENGINES["embedded"](tmp_path_factory.mktemp("years")) as lake:
        lake.put("plays_resolved", *around_the_turns(11), name="resolution-000001")
        described = {"observed_at": TURNS[0], "duration_ms": 180_000}
        lake.put("tracks", *({"track_id": f"t{at}", "name": f"Song {at}", **described} for at in range(40)))
        yield lake


def test_every_report_that_reads_from_a_day_on_says_which_years_it_needs() -> None:
    lacking = [
        report.name
        for report in REPORTS
        if len(re.findall(r"AND ended_at >= ", report.sql)) != len(CONDITION.findall(report.sql))
    ]
    assert lacking == []


@pytest.mark.thorough
@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_a_report_answers_the_same_without_its_condition_on_the_year(opened: Opened, report: Report) -> None:
    everything = replace(report, sql=CONDITION.sub("", report.sql))
    for number, period in enumerate(PERIODS):
        values = {"period": period}
        if report.parameter("timezone"):
            values["timezone"] = ZONES[number % len(ZONES)]
        bound, unbound = (catalogue.bind(each, values, clock=lambda: NOW) for each in (report, everything))
        assert opened.ask(bound.sql, *bound.bound) == opened.ask(unbound.sql, *unbound.bound), (period, values)

"""What people reported of programs like this one, with each report's own files (``../shared/cases``) as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chalicelib.exports.importing import ImportSummary, import_export
from chalicelib.reports import catalogue
from tests.exports.test_any_export import zip_of
from tests.support import PROJECT, SHARED
from tests.support.engines import ENGINES, Opened
from tests.support.listening import USER

CASES = SHARED / "cases"
NOW = datetime(2026, 11, 28, tzinfo=UTC)
PLAYS = (
    "SELECT item_type, artist_name, item_name, album_name, ms_played, offline FROM plays ORDER BY ended_at, item_name"
)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Opened]:
    with ENGINES["embedded"](tmp_path) as opened:
        yield opened


def case(name: str) -> Path:
    path = CASES / name
    if not path.exists():
        pytest.skip(f"no {path} to bring")
    return path


def bring(lake: Opened, *sources: Path) -> list[ImportSummary]:
    return [import_export(lake.lake, lake.settings, source, USER) for source in sources]


def answered(lake: Opened, name: str, /, **values: Any) -> list[dict[str, Any]]:
    values = {"period": "all", "timezone": "UTC", **values}
    done = catalogue.run(lake.engine, catalogue.report(name), values, wait=60, clock=lambda: NOW)
    assert done.page is not None, done.query.error
    names = [column.name for column in done.query.columns]
    return [dict(zip(names, row, strict=True)) for row in done.page.rows]


OLD, NEW = "together/MyData", "together/Spotify Account Data"


@pytest.mark.parametrize("brought", [["together"], [OLD, NEW], [NEW, OLD]], ids=str)
def test_a_podcast_is_an_episode_whichever_files_come_in_one_import(lake: Opened, brought: list[str]) -> None:
    bring(lake, *map(case, brought))
    assert [row[:3] for row in lake.ask(PLAYS)] == [
        ("episode", "The Tidewater Show", "Episode Nine"),
        ("track", "Nora Quill", "Glass Harbour"),
    ]
    assert [row["title"] for row in answered(lake, "podcasts", min_seconds=0)] == ["The Tidewater Show"]
    assert [row["artist"] for row in answered(lake, "top_artists", min_seconds=0)] == ["Nora Quill"]


@pytest.mark.parametrize("packed", [False, True])
def test_files_under_any_name_are_read(lake: Opened, tmp_path: Path, packed: bool) -> None:
    source = case("names")
    (summary,) = bring(lake, zip_of(tmp_path / "names.zip", source) if packed else source)
    assert (summary.total("new"), summary.passed_over) == (4, [])
    assert lake.ask("SELECT year(ended_at) FROM plays ORDER BY 1") == [(2021,), (2022,), (2023,), (2024,)]


def test_skips_that_an_export_denies_are_told_by_how_the_listens_ended(lake: Opened) -> None:
    bring(lake, case("skips"))
    for year in ("2019", "2023"):
        (row,) = answered(lake, "skips_and_completion", period=year, min_plays=1)
        assert row["percent_skipped"] == 60.0, year
    (page,) = answered(lake, "dashboard_item", artist="Nora Quill", kind="artist", name="")
    assert page["skipped"] == 0.6


def test_overlapping_files_of_two_exports_count_once(lake: Opened) -> None:
    bring(lake, case("renumbered"))
    assert Counter(row[2] for row in lake.ask(PLAYS)) == Counter([*(f"S{number}" for number in range(9)), "New"])


@pytest.mark.parametrize("order", [["older", "newer"], ["newer", "older"]], ids=str)
def test_the_names_of_a_listen_are_those_of_one_report(lake: Opened, order: list[str]) -> None:
    bring(lake, *(case(f"mixed/{name}") for name in order))
    ((_, _, title, album, *_),) = lake.ask(PLAYS)
    assert (title, album) in [("Zebra (Original)", "Alpha Album"), ("Alpha (Remaster)", "Zeta Album")]


def test_a_float_is_the_number_and_what_is_not_needed_costs_no_listen(lake: Opened) -> None:
    bring(lake, case("types"))
    assert [row[4:] for row in lake.ask(PLAYS)] == [(1_000, False), (200_000, False), (1_000, None)]


def test_a_flight_counts_when_its_device_played_it(lake: Opened) -> None:
    bring(lake, case("offline"))
    by_hour = {row["hour"]: row["plays"] for row in answered(lake, "listening_by_hour_and_weekday")}
    assert by_hour == {6: 10}
    (session,) = answered(lake, "longest_sessions")
    assert (session["plays"], session["minutes_heard"]) == (10, 40.0)
    assert session["minutes"] >= session["minutes_heard"]


@pytest.mark.thorough
@pytest.mark.timeout(900)  # a dozen commands, one after another
@pytest.mark.parametrize("name", ["cut", "endless", "rereport", "sql"])
def test_answers_of_spotify_that_people_have_met_are_taken_right(tmp_path: Path, name: str) -> None:
    script = case("api.py")
    if not (PROJECT / ".venv").exists():
        pytest.skip(f"{script} runs commands in a checkout's .venv, which is not there")
    environ = {**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, script, name], cwd=PROJECT, env=environ, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("ok ") for line in lines) and not [line for line in lines if line.startswith("FAIL")]

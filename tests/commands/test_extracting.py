"""Runs from the command line: what a bar counts to, what a run that stops at its budget says, and that the second run
of a library of many pages is no alarm."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from chalicelib.runs import RunRecord, load_run, run_ids
from sandbox.scales import SCALES
from tests.commands.test_cli import run
from tests.support.extraction import World, world
from tests.support.terminal import shown_of

CALLS = 40  # of a run, of some 200 that the sandbox's listener takes
LIBRARY = 600  # saved tracks, on a dozen pages
LAKE = ("-m", "chalicelib")


def environ_of(made: World, **more: str) -> dict[str, str]:
    return {
        "LAKE_URL": str(made.folder / "lake"),
        "SECRETS_URL": str(made.folder / "secrets"),
        "SPOTIFY_API_URL": made.settings.spotify_api_url,
        "SPOTIFY_ACCOUNTS_URL": made.settings.spotify_accounts_url,
        "SPOTIPY_CLIENT_ID": made.settings.spotipy_client_id,
        "SPOTIPY_CLIENT_SECRET": made.settings.spotipy_client_secret,
        "REQUESTS_PER_MINUTE": "100000",
        **more,
    }


def records(made: World) -> list[RunRecord]:
    """Newest first."""
    return [load_run(made.lake, run_id) for run_id in run_ids(made.lake)]


@pytest.mark.thorough
def test_the_second_run_of_a_library_of_many_pages_is_no_alarm(tmp_path: Path) -> None:
    library = replace(SCALES["small"], saved_tracks=LIBRARY)
    with world(tmp_path, scale=library) as made:
        environ = environ_of(made, CALLS_PER_RUN="10000")
        for command in ("extract", "transform") * 2:
            done = run(tmp_path, command, **environ)
            assert done.returncode == 0, done.stderr
        second, first = ({one.source: one.items for one in record.sources} for record in records(made))
        assert second["saved_tracks"] == 50 < first["saved_tracks"] / 5  # the first page is enough where nothing is new
        assert "no check has failed" in run(tmp_path, "doctor", **environ).stdout
        found = run(tmp_path, "query", "SELECT check_name, detail FROM quality_results WHERE failures > 0", **environ)
        assert found.stdout.split() == ["check_name,detail"]


@pytest.fixture
def backlog(tmp_path: Path) -> Iterator[World]:
    """Somebody whose whole library takes several runs."""
    with world(tmp_path, latency_ms=40) as made:
        yield made


@pytest.mark.thorough
def test_the_bar_counts_to_what_the_run_will_do(backlog: World) -> None:
    shown = shown_of(
        [sys.executable, *LAKE, "extract"], backlog.folder, environ=environ_of(backlog, CALLS_PER_RUN=str(CALLS))
    )
    percents = [int(number) for number in re.findall(r"(\d+)%", shown)]
    (record,) = records(backlog)
    assert record.state == "partial" and record.calls >= CALLS
    assert max(percents) >= 90, percents  # a run that ends at its budget has done what it would do
    assert all(now >= before for before, now in pairwise(percents)), percents


@pytest.mark.thorough
def test_a_run_that_ends_at_its_budget_says_by_when_the_rest_is_and_what_is_complete(backlog: World) -> None:
    environ = environ_of(backlog, CALLS_PER_RUN=str(CALLS), EXTRACT_SCHEDULE="rate(1 hour)")
    told = run(backlog.folder, "extract", **environ).stdout
    (said,) = re.findall(
        r"the plays are complete; with a run each time .* the rest is by (.+) UTC$", told, re.MULTILINE
    )
    by = datetime.strptime(said, "%d %B %Y, %H:%M").replace(tzinfo=UTC)
    (record,) = records(backlog)
    ended = datetime.fromisoformat(str(record.ended_at)).replace(second=0, microsecond=0)
    hours = round((by - ended) / timedelta(hours=1))
    runs = 0
    while "still to fetch" in told and runs <= hours:
        told, runs = run(backlog.folder, "extract", **environ).stdout, runs + 1
    assert hours / 2 < runs <= hours  # about as many as it said, and none later

"""What the pipeline's page says of runs: what is left and by when, and why a check has failed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from chalicelib.lake import Lake, run_key
from chalicelib.runs import RunRecord, SourceRecord
from chalicelib.stores.folder import FolderStore
from sandbox.server import Sandbox
from tests.support.dashboard import Filled, served
from tests.support.pages import words

NEVER_CRAWLED = r"404 .*/crawls/latest"  # an answer that the page expects; Chromium logs it all the same
CALLS = 40  # of a run, of some 200 that the sandbox's listener takes


@pytest.fixture(scope="module")
def backlog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A lake whose first run ended at its budget."""
    budget = {"CALLS_PER_RUN": str(CALLS), "EXTRACT_SCHEDULE": "rate(1 hour)"}
    with (
        Sandbox(scale="small", frozen=True) as sandbox,
        served(tmp_path_factory.mktemp("backlog"), sandbox, budget) as filled,
    ):
        filled.run_to_end()
        yield filled


@pytest.mark.thorough
def test_what_is_left_says_by_when_it_will_be_there_and_that_plays_are(
    backlog: Filled, look: Callable[..., Any]
) -> None:
    run = backlog.server.get("/runs").json()["runs"][0]
    assert run["state"] == "partial"
    left = {one["source"]: int(re.findall(r"\d+", one["left"])[0]) for one in run["sources"] if one["left"]}
    runs = -(-sum(left.values()) // CALLS)  # one an hour
    by = datetime.fromisoformat(run["ended_at"]).astimezone(UTC) + timedelta(hours=runs)
    visit = look(backlog.server, timezone_id="UTC")
    visit.allow(NEVER_CRAWLED)
    visit.open("#/pipeline")
    figure = visit.page.locator(".figure", has=visit.page.get_by_text("Left to fetch", exact=True))
    said = words(figure.inner_text())
    assert f"{len(left)} source" in said and "recently played" not in said.lower()
    (told,) = re.findall(r"plays are complete, the rest by (.+)$", said)
    assert datetime.strptime(f"{told} +0000", "%d %b %Y, %H:%M %z") == by.replace(second=0, microsecond=0)


def record(day: int, items: int) -> RunRecord:
    return RunRecord(
        f"202611{day}T100000Z-1a2b3c", "succeeded", "schedule", f"2026-11-{day}T10:00:00Z",
        ended_at=f"2026-11-{day}T10:01:00Z",
        sources=[SourceRecord("saved_tracks", "u1", "succeeded", items=items, whole_readings=1)],
    )  # fmt: skip


@pytest.mark.thorough
def test_a_check_that_found_something_says_what(tmp_path: Path, look: Callable[..., Any]) -> None:
    lake = Lake(FolderStore(tmp_path / "lake"))
    for one in (record(16, 300), record(17, 310), record(19, 10)):
        lake.store.write(run_key(one.run_id), json.dumps(one.as_json()).encode())
    with Sandbox(scale="small", frozen=True) as sandbox, served(tmp_path, sandbox) as filled:
        filled.command("transform")
        visit = look(filled.server)
        visit.allow(NEVER_CRAWLED)
        visit.open("#/pipeline")
        expect(visit.panel("Quality checks")).to_contain_text(
            "saved_tracks brought 10 items; 305 is the median of 2 runs before"
        )

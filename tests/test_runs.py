"""Which runs there are: the newest first, by few requests however old the lake is."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import AuthorizationEnded, EndpointRemoved, LakeError, SpotifyRefused, SpotifyUnavailable
from chalicelib.lake import Lake, run_key
from chalicelib.rest.api import Api
from chalicelib.rest.health import Health
from chalicelib.rest.messages import Reply, Request
from chalicelib.runs import (
    FAILED,
    PARTIAL,
    SUCCEEDED,
    RunRecord,
    SourceRecord,
    complete_at,
    load_run,
    new_run_id,
    plays_are_complete,
    run_ids,
    save_run,
    start_record,
    state_key,
)
from chalicelib.settings import Settings
from chalicelib.telemetry import last_success
from tests.support.memory import MemoryStore

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
FEW = 12  # requests


def clock() -> datetime:
    return NOON


def run_at(lake: Lake, moment: datetime) -> str:
    """A run that succeeded at once."""
    record = start_record(new_run_id(moment), "schedule", moment)
    record.state, record.ended_at = SUCCEEDED, record.started_at
    save_run(lake, record)
    return record.run_id


def lake_of(moments: list[datetime]) -> tuple[Lake, MemoryStore, list[str]]:
    """A lake with a run at each of some moments, given from the newest on, and the runs' ids in that order."""
    store = MemoryStore()
    lake = Lake(store)
    names = [run_at(lake, moment) for moment in moments]
    store.requests.clear()
    return lake, store, names


def hourly(newest: datetime, runs: int) -> list[datetime]:
    return [newest - number * HOUR for number in range(runs)]


def reply_to(lake: Lake, **query: str) -> Reply:
    def unneeded() -> None:
        raise AssertionError("a list of runs needs no engine and no worker")

    api = Api(Settings(), lake, unneeded, unneeded, clock)  # type: ignore[arg-type]
    given = {name: [value] for name, value in query.items()}
    return api.handle(Request("GET", "/runs", {}, given, scope="read", token_id="me"))


@pytest.mark.parametrize("years", [1, 3])
def test_the_newest_runs_cost_as_few_requests_in_an_old_lake_as_in_a_young_one(years: int) -> None:
    lake, store, names = lake_of(hourly(NOON, years * 365 * 24))
    assert list(islice(run_ids(lake, clock=clock), 50)) == names[:50]
    assert store.requests == {"LIST": 2}
    assert list(islice(run_ids(lake, names[5_000], clock), 201)) == names[5_001:5_202]
    assert store.requests["LIST"] <= FEW
    store.requests.clear()
    assert last_success(lake, clock) == NOON
    assert store.requests == {"LIST": 2, "GET": 1}


def test_the_pages_of_the_list_are_every_run_once_newest_first() -> None:
    lake, store, names = lake_of([*hourly(NOON, 500), *hourly(NOON - 2 * YEAR, 500)])
    found: list[str] = []
    query: dict[str, str] = {"limit": "90"}
    while True:
        store.requests.clear()
        page = json.loads(reply_to(lake, **query).content)
        found += [run["run_id"] for run in page["runs"]]
        assert store.requests["LIST"] <= FEW, "even where two years lie between two runs"
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    assert found == names


def test_runs_that_are_far_apart_still_cost_few_requests() -> None:
    lake, store, names = lake_of([NOON - 20 * YEAR, NOON - 20 * YEAR - DAY])
    assert list(run_ids(lake, clock=clock)) == names
    assert store.requests["LIST"] <= FEW + 4


def test_health_tells_what_the_newest_run_has_to_say_however_long_ago_it_was() -> None:
    lake, _, names = lake_of([NOON - 30 * DAY, NOON - 31 * DAY])
    lake.store.write("state/runs/notes.txt", b"left by somebody")
    record = load_run(lake, names[0])
    record.state, record.authorizations = FAILED, [{"user_id": "me", "ends_at": "2026-11-01T00:00:00Z"}]
    save_run(lake, record)
    assert Health(Settings(), lake, clock).report().warnings == [
        "an authorisation ended on 2026-11-01: .venv/bin/lake login",
        f"the newest run failed: GET /runs/{names[0]}",
    ]


@pytest.mark.parametrize(
    "error", [SpotifyRefused("403"), EndpointRemoved("403"), SpotifyUnavailable("502"), AuthorizationEnded("ended")]
)
def test_health_names_the_sources_that_spotify_refused(error: LakeError) -> None:
    lake, _, names = lake_of([NOON])
    record = load_run(lake, names[0])
    record.state = PARTIAL
    record.sources = [SourceRecord("saved_tracks", error=error.as_json()["error"]), SourceRecord("my_playlists")]
    save_run(lake, record)
    said = f"saved_tracks could not be read whole: GET /runs/{names[0]}"
    assert Health(Settings(), lake, clock).report().warnings == [said]


def test_an_empty_lake_has_no_runs() -> None:
    lake, _, _ = lake_of([])
    assert list(run_ids(lake, clock=clock)) == []
    assert Health(Settings(), lake, clock).report().warnings == []


def test_a_page_token_that_names_no_run_is_refused() -> None:
    lake, _, _ = lake_of([NOON])
    assert reply_to(lake, page_token="a/b").status == 400


@given(
    days=st.lists(st.integers(-40, 800), max_size=30),
    lost=st.sets(st.integers(0, 30)),
    unwritten=st.sets(st.integers(0, 30)),
    before=st.one_of(st.none(), st.integers(0, 30), st.sampled_from(["0", "2026", "99999999T", "00000000T", "zzz"])),
)
def test_the_runs_of_state_and_raw_are_one_list_from_wherever_it_is_gone_on_with(
    days: list[int], lost: set[int], unwritten: set[int], before: int | str | None
) -> None:
    """``lost``: the record in state/ is gone. ``unwritten``: the run has not ended, so that raw/ has none."""
    lake, store, names = lake_of([NOON - number * DAY for number in days])
    known = set(names)
    for which, gone, key_of in ((0, lost, state_key), (1, unwritten, run_key)):
        for number in gone & set(range(len(names))):
            del store.objects[key_of(names[number])]
            if which and number in lost:
                known.discard(names[number])
    for stray in ("state/runs/x", "state/runs/notes.json", "raw/runs/2026/11/19/mine.json", "raw/runs/x.json"):
        store.write(stray, b"hello")
    token = (names[before] if before < len(names) else None) if isinstance(before, int) else before
    expected = sorted((name for name in known if token is None or name < token), reverse=True)
    assert list(run_ids(lake, token, clock)) == expected


def test_days_that_no_calendar_has_are_found_too() -> None:
    lake, store, names = lake_of([NOON])
    for odd in ("20261399T000000Z-a", "00000000T000000Z-a"):
        store.write(state_key(odd), b"{}")
    assert list(run_ids(lake, clock=clock)) == ["20261399T000000Z-a", *names, "00000000T000000Z-a"]
    assert list(run_ids(lake, clock=lambda: datetime.combine(date.min, NOON.timetz()))) == list(
        run_ids(lake, clock=clock)
    )


def left_over(*lefts: str | None, plays: str = "succeeded") -> RunRecord:
    sources = [SourceRecord(f"source{at}", left=left) for at, left in enumerate(lefts)]
    return RunRecord(
        "20261129T100000Z-000001", "partial", "command", "2026-11-29T10:00:00Z", ended_at="2026-11-29T10:05:00Z",
        sources=[SourceRecord("recently_played", state=plays), *sources],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lefts", "schedule", "expected"),
    [
        (("about 601 calls", None), "rate(1 hour)", "2026-11-29T13:05:00+00:00"),
        (("about 299 calls", "about 1 call"), "rate(1 hour)", "2026-11-29T11:05:00+00:00"),
        (("about 301 calls",), "cron(30 6 * * ? *)", "2026-12-01T06:30:00+00:00"),
        ((None, "taken up by the next run"), "rate(1 hour)", None),
    ],
)
def test_a_backlog_is_fetched_by_so_many_runs_of_the_schedule(
    lefts: tuple[str | None, ...], schedule: str, expected: str | None
) -> None:
    found = complete_at(left_over(*lefts), 300, schedule)
    assert (found.isoformat() if found else None) == expected


@pytest.mark.parametrize(("state", "complete"), [("succeeded", True), ("skipped", True), ("partial", False)])
def test_plays_are_complete_whatever_else_waits(state: str, complete: bool) -> None:
    assert plays_are_complete(left_over("about 9000 calls", plays=state)) is complete

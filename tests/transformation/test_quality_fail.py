"""Checks of severity ``fail``: nothing of the object is published, everybody is told, and a rebuild finds the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.clock import now
from chalicelib.commands import doctor
from chalicelib.errors import CheckFailed
from chalicelib.lake import Lake, run_key
from chalicelib.raw import Answer
from chalicelib.rest.messages import Asked, Request, as_json
from chalicelib.runs import RunRecord, SourceRecord, save_run
from chalicelib.tables import OBJECT_CHECKS, TABLES
from chalicelib.transformation.backlog import pending
from chalicelib.transformation.transform import rebuild, transform_object, transform_pending
from chalicelib.wiring import Parts
from tests.support.raw_objects import (
    RUN,
    answer,
    artist,
    entry,
    files,
    folder_lake,
    play,
    playlist_page,
    put,
    stored,
    track,
)

LETTERS = "abcdefghijklmnopqrst"
DAYS = 24 * 3600


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return folder_lake(tmp_path / "lake")


def saved(good: int, bad: int, second: int = 0) -> Answer:
    """A complete reading of saved tracks, of which so many lack a time."""
    items = [
        {"added_at": "2026-01-01T00:00:00Z" if number < good else None, "track": track(letter)}
        for number, letter in enumerate(LETTERS[: good + bad])
    ]
    listing = {"started_at": f"2026-11-20T10:{15 + second:02d}:00Z", "complete": True, "items": good + bad}
    return answer("me/tracks", {"items": items}, second=second * 60, context={"listing": listing})


def failed(lake: Lake, *answers: Answer, part: int = 1) -> CheckFailed:
    with pytest.raises(CheckFailed) as caught:
        transform_object(lake, put(lake, answers, part=part))
    return caught.value


def tables_in(lake: Lake) -> set[str]:
    """Tables that have files in the generation in force."""
    return {key.split("/")[2].removesuffix("_history") for key in files(lake, f"transformed/{lake.generation()}/")}


def test_some_checks_are_declared_to_fail() -> None:
    declared = {(table.name, check.name) for table in TABLES for check in table.checks if check.severity == "fail"}
    facts = ("saved_items", "followed_artists", "playlist_items", "top_items", "plays")
    assert declared == {(name, "mostly_rejected") for name in facts}
    assert [(check.name, check.severity) for check in OBJECT_CHECKS] == [("observed_in_run:observed_at", "warn")]


def test_an_object_most_of_whose_rows_are_rejected_is_not_published(lake: Lake) -> None:
    error = failed(lake, saved(good=5, bad=6))
    assert "saved_items: check mostly_rejected failed on 6 of 11 rows: added_at is missing" in error.message
    assert tables_in(lake) == {"quality_results"}
    (result,) = [row for row in stored(lake, "quality_results") if row["severity"] == "fail" and row["failures"]]
    assert (result["table_name"], result["check_name"], result["rows_checked"], result["failures"]) == (
        "saved_items",
        "mostly_rejected",
        11,
        6,
    )
    assert list(pending(lake)) == []


def test_the_object_lies_in_quarantine_beside_the_reason(lake: Lake) -> None:
    key = put(lake, [saved(good=5, bad=6)])
    error = failed(lake, saved(good=5, bad=6))
    aside = f"quarantine/{key.removeprefix('raw/')}"
    assert lake.store.read(aside) == lake.store.read(key)
    reason = json.loads(lake.store.read(f"{aside}.reason.json"))
    assert (reason["raw_key"], reason["code"], reason["message"]) == (key, "quality_check_failed", error.message)


@pytest.mark.parametrize(("good", "bad"), [(10, 10), (3, 6), (20, 0)], ids=["half", "few in all", "none"])
def test_up_to_half_or_a_few_rejected_rows_leave_the_rest_published(lake: Lake, good: int, bad: int) -> None:
    report = transform_object(lake, put(lake, [saved(good, bad)]))
    assert (report.built.rows["saved_items"], report.built.rejected) == (good, bad)


def page_of_plays(good: int, bad: int) -> Answer:
    times = [f"2026-11-20T09:00:{number:02d}.000Z" for number in range(good)] + ["noon"] * bad
    items = [play(track(letter), time) for letter, time in zip(LETTERS, times, strict=False)]
    return answer("me/player/recently-played", {"items": items})


WRONG: dict[str, Answer] = {
    "playlist_items": playlist_page([entry({**track(letter), "type": "painting"}) for letter in LETTERS]),
    "plays": page_of_plays(2, 12),
    "followed_artists": answer("me/following", {"artists": {"items": [artist("a", id="x")] * 12}}),
    "top_items": answer(
        "me/top/tracks", {"items": [track(letter) for letter in LETTERS]}, params={"time_range": "ever"}
    ),
    "saved_items": answer("me/tracks", {"items": [17] * 12}),
}


@pytest.mark.parametrize("table", sorted(WRONG))
def test_each_table_of_the_listeners_own_facts_is_judged(lake: Lake, table: str) -> None:
    assert f"{table}: check mostly_rejected failed" in failed(lake, WRONG[table]).message


@pytest.mark.parametrize("second", [3 * DAYS, 3650 * DAYS, -2 * DAYS], ids=["days after", "years after", "before"])
def test_an_answer_whose_time_is_of_no_part_of_its_run_is_published_and_noticed(lake: Lake, second: int) -> None:
    """Its time is Spotify's; the run's name tells that the clock of this machine was off."""
    odd = answer("me/following", {"artists": {"items": [artist("a")]}}, second=second)
    transform_object(lake, put(lake, [answer("me/following", {"artists": {"items": [artist("b")]}}), odd]))
    assert {row["name"] for row in stored(lake, "artists")} == {"Artist a", "Artist b"}
    (result,) = [row for row in stored(lake, "quality_results") if row["check_name"] == "observed_in_run:observed_at"]
    assert (result["severity"], result["failures"]) == ("warn", 1)
    assert f"an answer of run {RUN} bears the time" in result["detail"]


def test_answers_of_no_run_may_bear_any_time(lake: Lake) -> None:
    odd = answer("me/following", {"artists": {"items": [artist("a")]}}, second=99 * DAYS, run_id="by hand")
    assert transform_object(lake, put(lake, [odd])).state == "done"


def test_a_library_does_not_shrink_by_an_answer_that_cannot_be_read(lake: Lake) -> None:
    transform_object(lake, put(lake, [saved(good=12, bad=0)]))
    failed(lake, saved(good=2, bad=10, second=5), part=2)
    assert len(stored(lake, "listings")) == 1
    assert len(stored(lake, "saved_items")) == 12


def test_what_it_had_published_before_is_taken_back(lake: Lake) -> None:
    transform_object(lake, put(lake, [saved(good=12, bad=0)]))
    failed(lake, saved(good=2, bad=10))
    assert tables_in(lake) == {"quality_results"}


def test_a_rebuild_finds_the_same(lake: Lake) -> None:
    put(lake, [saved(good=12, bad=0)])
    put(lake, [saved(good=2, bad=10, second=5)], part=2)
    transform_pending(lake)
    before = {key.replace("/g1/", "/g2/"): content for key, content in files(lake).items()}
    rebuild(lake, lake.publish_generation)
    assert files(lake, "transformed/g2/") == before
    assert any("-0002" in key for key in files(lake, "quarantine/"))


def test_an_object_that_is_mended_leaves_quarantine(lake: Lake) -> None:
    failed(lake, saved(good=2, bad=10))
    transform_object(lake, put(lake, [saved(good=12, bad=0)]))
    assert files(lake, "quarantine/") == {}
    assert len(stored(lake, "saved_items")) == 12


def test_a_rebuild_that_publishes_it_takes_it_out_of_quarantine(lake: Lake) -> None:
    failed(lake, saved(good=2, bad=10))
    put(lake, [saved(good=12, bad=0)])
    rebuild(lake, lake.publish_generation)
    assert files(lake, "quarantine/") == {}


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts({"LAKE_URL": str(tmp_path / "lake"), "SECRETS_URL": str(tmp_path / "secrets")}, None)


def test_doctor_tells(lake: Lake, parts: Parts) -> None:
    failed(lake, saved(good=2, bad=10))
    said = [finding.line() for check in (doctor.raw_objects, doctor.quality) for finding in check(parts, now)]
    assert any("quarantine: saved_items: check mostly_rejected failed on 10 of 12 rows" in line for line in said), said
    assert any(line.startswith("warning quality: saved_items mostly_rejected: 10 failed") for line in said), said


def test_the_record_of_the_run_tells(lake: Lake, parts: Parts) -> None:
    key = put(lake, [saved(good=2, bad=10)])
    good = put(lake, [saved(good=12, bad=0)], part=2)
    waiting = put(lake, [saved(good=12, bad=0)], part=3)
    failed(lake, saved(good=2, bad=10))
    transform_object(lake, good)
    source = SourceRecord(source="saved_tracks", state="succeeded", raw_keys=[key, good, waiting])
    record: dict[str, Any] = {
        "trigger": "command",
        "started_at": "2026-11-20T10:15:00Z",
        "ended_at": "2026-11-20T10:16:00Z",
    }
    save_run(lake, RunRecord(run_id=RUN, state="succeeded", sources=[source], **record))
    assert lake.store.stat(run_key(RUN))
    told = as_json(parts.api.get_run(Asked(Request("GET", "/runs/{run_id}"), {"run_id": RUN}, {}, {})).content)
    assert told["to_transform"] == [waiting]
    assert [(each["raw_key"], each["code"]) for each in told["quarantined"]] == [(key, "quality_check_failed")]


def quarantine(parts: Parts, limit: int = 50, page_token: str | None = None) -> dict[str, Any]:
    asked = Asked(Request("GET", "/quarantine"), {}, {"limit": limit, "page_token": page_token}, {})
    content: dict[str, Any] = as_json(parts.api.list_quarantine(asked).content)
    return content


def test_what_lies_in_quarantine_is_listed_with_the_reasons_newest_first(lake: Lake, parts: Parts) -> None:
    assert quarantine(parts) == {"objects": [], "next_page_token": None}
    keys = [put(lake, [saved(good=2, bad=10)], part=part) for part in (1, 2, 3)]
    transform_pending(lake)
    first = quarantine(parts, limit=2)
    second = quarantine(parts, page_token=first["next_page_token"])
    listed = first["objects"] + second["objects"]
    assert [each["raw_key"] for each in listed] == keys[::-1] and second["next_page_token"] is None
    for each in listed:
        assert each["code"] == "quality_check_failed" and each["details"] and each["since"].endswith("Z")
        assert "saved_items: check mostly_rejected failed on 10 of 12 rows" in each["message"]
    lake.store.write(keys[0], lake.store.read(put(lake, [saved(good=12, bad=0)], part=4)))
    transform_object(lake, keys[0])
    assert [each["raw_key"] for each in quarantine(parts)["objects"]] == keys[:0:-1]

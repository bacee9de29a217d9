"""Rebuilding: everything anew beside what is in force, the same answers, interrupted and repeated."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chalicelib.lake import Lake
from chalicelib.transformation.backlog import pending
from chalicelib.transformation.compact import compact
from chalicelib.transformation.transform import rebuild, transform_object, transform_pending
from tests.support.raw_objects import RUN, answer, artist, entry, files, folder_lake, playlist_page, put, track

FAR_FUTURE = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return folder_lake(tmp_path / "lake")


def fill(lake: Lake, objects: int) -> list[str]:
    """Raw objects of several days, not transformed yet."""
    keys = []
    for number in range(objects):
        letter = "tuvwxyz"[number % 7]
        run = f"202611{10 + number % 9:02d}T101500Z-1a2b3c"
        page = playlist_page([entry(track(letter))], second=number, snapshot=f"S{number}")
        keys.append(put(lake, [page], part=number, run_id=run))
    return keys


def contents(lake: Lake) -> dict[str, bytes]:
    """Files of the generation in force, by what follows its name."""
    prefix = f"transformed/{lake.generation()}/"
    return {key.removeprefix(prefix): data for key, data in files(lake, prefix).items()}


def test_a_rebuild_gives_the_same_files_in_another_generation(lake: Lake) -> None:
    fill(lake, 8)
    transform_pending(lake)
    before = contents(lake)
    assert rebuild(lake, lake.publish_generation) == "g2"
    assert lake.generation() == "g2"
    assert contents(lake) == before
    assert list(pending(lake)) == []


def test_from_raw_alone_come_the_same_tables(lake: Lake) -> None:
    fill(lake, 8)
    transform_pending(lake)
    before = contents(lake)
    for zone in ("transformed/", "state/", "quarantine/"):
        lake.store.delete([info.key for info in lake.store.list(zone)])
    rebuild(lake, lake.publish_generation)
    assert contents(lake) == before


@pytest.mark.thorough
def test_processes_share_a_rebuild(lake: Lake) -> None:
    fill(lake, 12)
    transform_pending(lake)
    before = contents(lake)
    seen: list[tuple[int, int]] = []
    rebuild(lake, lake.publish_generation, workers=2, progress=lambda done, total, key: seen.append((done, total)))
    assert contents(lake) == before
    assert seen == [(number, 12) for number in range(1, 13)]


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


def test_an_interrupted_rebuild_changes_nothing_and_goes_on(lake: Lake) -> None:
    keys = fill(lake, 6)
    transform_pending(lake)
    before = contents(lake)

    def stop(done: int, total: int, key: str) -> None:
        if done == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        rebuild(lake, lake.publish_generation, workers=1, progress=stop)
    assert lake.generation() == "g1"
    assert contents(lake) == before
    left: list[str] = []
    rebuild(lake, lake.publish_generation, workers=1, progress=lambda done, total, key: left.append(key))
    assert len(left) == len(keys) - 3
    assert contents(lake) == before


def test_what_arrives_during_a_rebuild_is_in_it(lake: Lake) -> None:
    fill(lake, 3)
    late = ""

    def publish(generation: str) -> None:
        nonlocal late
        late = put(lake, [answer("me/following", {"artists": {"items": [artist("z")]}})], part=99)
        transform_object(lake, late)
        lake.publish_generation(generation)

    rebuild(lake, publish)
    assert list(pending(lake)) == []
    assert any("-0099-" in key for key in contents(lake))


def test_with_since_older_files_are_taken_over(lake: Lake) -> None:
    fill(lake, 9)
    transform_pending(lake)
    before = contents(lake)
    driven: list[str] = []
    rebuild(lake, lake.publish_generation, since="2026-11-15", progress=lambda done, total, key: driven.append(key))
    assert contents(lake) == before
    assert sorted({key[:22] for key in driven}) == [f"raw/spotify/2026/11/{day}" for day in range(15, 19)]


def test_with_since_what_was_merged_is_made_anew(lake: Lake) -> None:
    fill(lake, 9)
    transform_pending(lake)
    before = contents(lake)
    compact(lake)
    compact(lake, clock=lambda: FAR_FUTURE)
    rebuild(lake, lake.publish_generation, since="2026-11-15")
    assert contents(lake) == before


def test_only_the_last_generation_is_kept_for_queries_under_way(lake: Lake) -> None:
    fill(lake, 2)
    for _ in range(3):
        rebuild(lake, lake.publish_generation)
    generations = {key.split("/")[1] for key in files(lake)}
    assert generations == {"g3", "g4"}


def test_remote_calls_do_the_work_of_a_rebuild_on_aws(lake: Lake) -> None:
    fill(lake, 5)
    called: list[tuple[str, str]] = []

    def remote(generation: str, key: str) -> None:
        called.append((generation, key))
        transform_object(lake.in_generation(generation), key)

    rebuild(lake, lake.publish_generation, remote=remote)
    assert {generation for generation, _ in called} == {"g2"}
    assert len(called) == 5
    assert list(pending(lake)) == []


def test_a_bad_object_does_not_stop_a_rebuild(lake: Lake) -> None:
    fill(lake, 2)
    lake.store.write(f"raw/spotify/2026/11/20/{RUN}/bad-0001.jsonl.gz", b"no")
    rebuild(lake, lake.publish_generation)
    assert lake.generation() == "g2"
    assert lake.store.stat(f"quarantine/spotify/2026/11/20/{RUN}/bad-0001.jsonl.gz.reason.json")

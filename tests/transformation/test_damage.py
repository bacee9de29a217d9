"""What somebody damages or deletes of the lake is named with what helps, or healed; nothing else stops."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chalicelib import pipeline
from chalicelib.clock import Clock
from chalicelib.commands import doctor
from chalicelib.errors import LakeError
from chalicelib.lake import GENERATION_KEY, Lake, is_whole, run_key, sweep_key
from chalicelib.queries.embedded.engine import EmbeddedEngine
from chalicelib.runs import RunRecord, load_run, save_run
from chalicelib.settings import Settings
from chalicelib.transformation.backlog import SWEEP, lost_files, lost_partitions, pending
from chalicelib.transformation.compact import compact
from chalicelib.transformation.transform import rebuild, transform_pending
from chalicelib.transforms import DONE, TRANSFORM_VERSION, done_key, open_key
from chalicelib.wiring import Parts
from tests.support.damage import DAMAGE
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

PARQUET_DAMAGE = {
    "cut": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "noise": lambda content: bytes(x ^ 0x5A for x in content),
    "empty": lambda _: b"",
}
PLAYED = "2026-11-20T10:00:00.000Z"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two raw objects and the record of a run, transformed, and a merge."""
    lake = folder_lake(tmp_path / "lake")
    put(lake, [playlist_page([entry(track("t"))]), answer("me/following", {"artists": {"items": [artist("b")]}})])
    put(lake, [answer("me/player/recently-played", {"items": [play(track("u"), PLAYED)]}, second=60)], part=2)
    save_run(lake, RunRecord(RUN, "succeeded", "command", "2026-11-20T10:15:00Z", "2026-11-20T10:16:00Z"))
    pipeline.catch_up(lake, Settings(lake_url=str(tmp_path / "lake")))
    compact(lake)
    return lake


@pytest.fixture
def settings(lake: Lake, tmp_path: Path) -> Settings:
    return Settings(lake_url=str(tmp_path / "lake"), secrets_url=str(tmp_path / "secrets"))


def rows(lake: Lake) -> dict[str, list[str]]:
    tables = ("tracks", "artists", "playlist_items", "followed_artists", "plays", "runs")
    return {name: sorted(map(repr, stored(lake, name))) for name in tables}


def commands(lake: Lake, settings: Settings) -> Iterator[Callable[[], object]]:
    """What the commands and the schedule do."""
    yield lambda: pipeline.catch_up(lake, settings)
    yield lambda: pipeline.catch_up(lake, settings, lately=True)
    yield lambda: compact(lake)
    yield lambda: [pipeline.transform_key(lake, key, again=True) for key in raw_keys(lake)]
    yield lambda: list(pending(lake))
    yield lambda: load_run(lake, RUN)
    yield lambda: [finding for check in (doctor.raw_objects, doctor.table_files) for finding in looked(check, settings)]
    yield lambda: rebuild(lake, lake.publish_generation)


def looked(check: Callable[[Parts, Clock], Iterator[doctor.Finding]], settings: Settings) -> list[doctor.Finding]:
    return list(check(Parts({"LAKE_URL": settings.lake_url}, None), lambda: datetime.now(UTC)))


def raw_keys(lake: Lake) -> list[str]:
    return [info.key for info in lake.store.list("raw/spotify/")]


def records(lake: Lake) -> list[str]:
    """The small records that transforms, compaction and runs keep."""
    kept = [info.key for info in lake.store.list("state/") if not info.key.startswith("state/wanted")]
    return [*kept, GENERATION_KEY]


@pytest.mark.thorough
@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_every_damaged_record_of_the_lakes_own_is_healed_or_named(
    lake: Lake, settings: Settings, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys = sorted({*records(lake), open_key("g1", raw_keys(lake)[0])})
    assert any("compactions/" in key for key in keys) and any("/done/" in key for key in keys)
    before = rows(lake)
    for key in keys:
        for act in commands(lake, settings):
            content = lake.store.read(key) if lake.store.stat(key) else b'{"raw_key":"x","files":[]}'
            if key not in records(lake) and not key.startswith("state/transforms"):
                continue
            lake.store.write(key, DAMAGE[damage](content))
            try:
                act()
            except LakeError as error:
                assert key in error.message and ": " in error.message, (key, error.message)
    for act in commands(lake, settings):
        act()
    assert {name: set(found) for name, found in rows(lake).items()} == {
        name: set(found) for name, found in before.items()
    }


@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_a_damaged_name_of_the_generation_in_force_is_found_again(
    lake: Lake, settings: Settings, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline.rebuild(lake, lake.publish_generation)
    before = rows(lake)
    lake.store.write(GENERATION_KEY, DAMAGE[damage](lake.store.read(GENERATION_KEY)))
    assert lake.generation() == "g2" and rows(lake) == before
    assert GENERATION_KEY in caplog.text and "transform" in caplog.text
    pipeline.catch_up(lake, settings)
    caplog.clear()
    assert lake.generation() == "g2" and caplog.text == ""


def test_a_rebuild_that_is_not_whole_is_never_in_force(lake: Lake) -> None:
    lake.store.write("transformed/g2/tracks_history/month=2026-11/some.parquet", b"of a rebuild under way")
    lake.store.delete([GENERATION_KEY])
    assert lake.generation() == "g1"


def test_the_record_of_a_run_is_read_from_the_raw_zone_where_the_other_is_damaged(lake: Lake) -> None:
    whole = load_run(lake, RUN)
    lake.store.write(f"state/runs/{RUN}.json", b"")
    assert load_run(lake, RUN) == whole
    lake.store.write(run_key(RUN), b"{}")
    with pytest.raises(
        LakeError, match=rf"state/runs/{RUN}.json cannot be read as the record of a run \(it is empty\)"
    ):
        load_run(lake, RUN)


# --- the tables ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", sorted(PARQUET_DAMAGE))
def test_a_damaged_file_is_named_and_the_others_are_merged(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    lake = folder_lake(tmp_path / "lake")
    settings = Settings(lake_url=str(tmp_path / "lake"))
    for part in range(1, 5):
        put(lake, [playlist_page([entry(track("t"))], second=part)], part=part)
    transform_pending(lake)
    broken = sorted(key for key in files(lake) if "/tracks_history/" in key)[1]
    lake.store.write(broken, PARQUET_DAMAGE[damage](lake.store.read(broken)))
    with caplog.at_level(logging.WARNING):
        done = compact(lake)
    assert done.damaged == [broken] and broken in str(done) and "lake transform --all" in str(done)
    assert broken in caplog.text
    left = [key for key in files(lake) if "/tracks_history/" in key and "compact-" in key]
    assert len(left) == 1 and done.files_merged > 8
    (fault,) = [each for each in looked(doctor.table_files, settings) if each.level == "fault"]
    assert broken in fault.message and fault.remedy.endswith("lake transform --all")
    pipeline.rebuild(lake, lake.publish_generation)
    assert {each.level for each in looked(doctor.table_files, settings)} == {"ok"}


@pytest.mark.parametrize(
    "lost", ["transformed", "transformed/g1/tracks_history", "transformed/g1/plays_resolved", "state"]
)
def test_what_was_deleted_of_the_tables_or_of_their_notes_is_made_again(
    lake: Lake, settings: Settings, tmp_path: Path, lost: str
) -> None:
    before = rows(lake)
    listens = {key: len(content) for key, content in files(lake).items() if "plays_resolved" in key}
    shutil.rmtree(tmp_path / "lake" / lost)
    if lost != "state":
        assert lost_partitions(lake)
        faults = [each for each in looked(doctor.table_files, settings) if each.level == "fault"]
        assert "are gone" in faults[0].message and faults[0].remedy.endswith("lake transform")
    caught_up = pipeline.catch_up(lake, settings)
    assert {name: set(found) for name, found in rows(lake).items()} == {
        name: set(found) for name, found in before.items()
    }
    assert {key.rpartition("/")[0] for key in files(lake) if "plays_resolved" in key} == {
        key.rpartition("/")[0] for key in listens
    }
    assert caught_up.files and not lost_partitions(lake)


@pytest.mark.parametrize("which", ["/tracks_history/", "/plays_history/", "compact-"])
def test_a_file_that_was_deleted_beside_others_is_named_and_made_again(
    lake: Lake, settings: Settings, tmp_path: Path, which: str
) -> None:
    put(lake, [playlist_page([entry(track("t"))], second=7)], part=7)
    put(lake, [answer("me/player/recently-played", {"items": [play(track("t"), "2026-11-20T09:00:00Z")]})], part=8)
    pipeline.catch_up(lake, settings)
    if which == "compact-":
        compact(lake, min_files=2)
        pipeline.catch_up(lake, settings)
        put(lake, [playlist_page([entry(track("t"))], second=9)], part=9)
        pipeline.catch_up(lake, settings)
    before = {name: set(found) for name, found in rows(lake).items()}
    key = max(key for key in files(lake) if which in key)
    (tmp_path / "lake" / key).unlink()
    (fault,) = [each for each in looked(doctor.table_files, settings) if each.level == "fault"]
    assert ("are gone" in fault.message) and fault.remedy.endswith("lake transform")
    engine = EmbeddedEngine(settings, lake)
    assert engine.damaged_files() == {key: "it is gone"}
    engine.close()
    pipeline.catch_up(lake, settings)
    assert {name: set(found) for name, found in rows(lake).items()} == before
    assert {each.level for each in looked(doctor.table_files, settings)} == {"ok"}


def test_the_last_decision_about_a_months_listens_is_missed_and_an_earlier_one_is_not(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    put(lake, [answer("me/player/recently-played", {"items": [play(track("t"), "2026-11-20T09:00:00Z")]})], part=8)
    pipeline.catch_up(lake, settings)
    first, *_, last = sorted(key for key in files(lake) if "resolution-" in key)
    then = lambda: datetime(2026, 11, 21, tzinfo=UTC)  # noqa: E731
    (tmp_path / "lake" / first).unlink()
    assert lost_files(lake, then) == []
    (tmp_path / "lake" / last).rename(tmp_path / "lake" / first)
    assert lost_files(lake, then) == [last]


def test_rows_of_an_earlier_release_are_named(lake: Lake, settings: Settings) -> None:
    key = sweep_key("g1")
    assert {each.level for each in looked(doctor.table_files, settings)} == {"ok"}
    note = SWEEP.read(lake.store, key)
    assert note and note.version == TRANSFORM_VERSION
    note.version = TRANSFORM_VERSION - 1
    SWEEP.write(lake.store, key, note)
    transform_pending(lake)
    (finding,) = [each for each in looked(doctor.table_files, settings) if each.level == "warning"]
    assert "earlier release" in finding.message and finding.remedy.endswith("transform --all")
    pipeline.rebuild(lake, lake.publish_generation)
    assert {each.level for each in looked(doctor.table_files, settings)} == {"ok"}


# --- what is not there to be taken in -----------------------------------------------------------------------------

FOREIGN = [
    "raw/spotify/.DS_Store",
    "raw/spotify/2026/11/20/._x.jsonl.gz",
    "raw/spotify/2026/11/20/r/part-0001.jsonl.gz.part",
    "raw/runs/.DS_Store",
    "raw/runs/2026/11/20/x.json.crdownload",
    "raw/spotify/.cache/x.jsonl.gz",
    "raw/history/.DS_Store",
    "raw/history/u1/my_spotify_data.zip.part",
    "raw/history/u1/endsong_0.json~",
]


def test_hidden_and_half_copied_files_are_passed_over(lake: Lake, settings: Settings) -> None:
    for key in FOREIGN:
        lake.store.write(key, b"\0\0\0\1Bud1")
        assert not is_whole(key)
    assert list(pending(lake)) == [] and list(pipeline.unhandled(lake)) == []
    assert pipeline.catch_up(lake, settings).objects == 0
    assert list(lake.store.list("quarantine/")) == []
    assert {each.level for each in looked(doctor.raw_objects, settings)} == {"ok"}


def test_a_note_says_what_became_of_each_object(lake: Lake) -> None:
    for key in raw_keys(lake):
        note = DONE.read(lake.store, done_key("g1", key))
        assert note and note.raw_key == key and note.quarantined is None and note.built.answers

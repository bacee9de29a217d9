"""Compaction: fewer files, the same answers, whatever happens meanwhile."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pytest

from chalicelib import views
from chalicelib.clock import Clock, now
from chalicelib.errors import InvalidRequest
from chalicelib.lake import Lake, ObjectInfo
from chalicelib.settings import Settings
from chalicelib.stores.folder import FolderStore
from chalicelib.tables import TABLES
from chalicelib.transformation.backlog import forget_lost, lost_partitions, note_sweep
from chalicelib.transformation.compact import compact
from chalicelib.transformation.transform import transform_object, transform_pending
from chalicelib.wiring import open_engine
from tests.support.memory import MemoryStore
from tests.support.raw_objects import answer, artist, entry, files, folder_lake, play, playlist_page, put, stored, track

AT_ONCE = timedelta(days=-36_500)  # old files need not wait for queries under way, by whatever clock


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return folder_lake(tmp_path / "lake")


def fill(lake: Lake, objects: int, seed: int = 1, first: int = 0) -> None:
    """Hours of a listener's life: the same artists, tracks and playlists again and again, now and then changed."""
    dice = random.Random(seed)
    for hour in range(first, first + objects):
        second = hour * 3600
        popularity = 50 + hour // 3
        some = [track(dice.choice("tuvwxyz"), artists=dice.choice(("a", "ab", "ba"))) for _ in range(3)]
        plays = [play(each, f"2026-11-20T{(hour + 8) % 24:02d}:1{n}:00.000Z") for n, each in enumerate(some)]
        saved = [{"added_at": "2026-01-01T00:00:00Z", "track": each} for each in some]
        listing = {"started_at": f"2026-11-{20 + hour // 24}T00:00:00Z", "complete": hour % 5 == 4, "items": 3}
        answers = [
            answer("me/player/recently-played", {"items": plays}, second=second),
            answer("artists", {"artists": [artist("a", genres=["pop"], popularity=popularity)]}, second=second + 1),
            playlist_page([entry(each) for each in some], second=second + 2, snapshot=f"S{hour // 4}"),
            answer("me/tracks", {"items": saved}, second=second + 3, context={"listing": listing}),
        ]
        transform_object(lake, put(lake, answers, part=hour))


def tables_of(lake: Lake) -> dict[str, list[Any]]:
    """What every user-facing table answers, as the embedded engine reads the lake."""
    engine = open_engine(Settings(lake_url=lake.store.location("")), lake)
    try:
        names = [name for name, _ in views.views() if name != "plays"]
        names += [table.history for table in TABLES if table.shows_history]
        return {name: rows_of(engine, f"SELECT * FROM {name}") for name in names}
    finally:
        engine.close()


def rows_of(engine: Any, sql: str) -> list[str]:
    query = engine.wait(engine.start_query(sql).query_id, 60)
    assert query.error is None, query.error
    return sorted(repr(row) for page in engine.all_rows(query.query_id) for row in page.rows)


def without_history(tables: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: rows for name, rows in tables.items() if not name.endswith("_history")}


@pytest.mark.thorough
def test_compaction_leaves_one_file_a_partition_and_changes_no_answer(lake: Lake) -> None:
    fill(lake, 12)
    before = tables_of(lake)
    observed = len(stored(lake, "tracks"))
    report = compact(lake)
    assert without_history(tables_of(lake)) == without_history(before)
    compact(lake, grace=AT_ONCE)
    assert without_history(tables_of(lake)) == without_history(before)
    folders = [key.rpartition("/")[0] for key in files(lake)]
    assert len(folders) == len(set(folders))
    assert report.files_merged > 8 * report.files_written
    assert len(stored(lake, "tracks")) < observed


def test_history_keeps_every_change_with_its_first_and_last_time(lake: Lake) -> None:
    for second, popularity in enumerate((50, 50, 50, 51, 51, 50)):
        one = answer("artists", {"artists": [artist("a", popularity=popularity)]}, second=second)
        transform_object(lake, put(lake, [one], part=second))
    compact(lake, grace=AT_ONCE)
    compact(lake, grace=AT_ONCE)
    said = [(row["popularity"], row["observed_at"].second) for row in stored(lake, "artists")]
    assert said == [(50, 0), (50, 2), (51, 3), (51, 4), (50, 5)]


@pytest.mark.parametrize("objects", [2, 3])
def test_what_is_said_again_word_for_word_is_stored_once(lake: Lake, objects: int) -> None:
    for number in range(objects):
        transform_object(lake, put(lake, [answer("artists", {"artists": [artist("a")]})], part=number))
    compact(lake, grace=AT_ONCE)
    compact(lake, grace=AT_ONCE)
    assert len(stored(lake, "artists")) == 1


@pytest.mark.thorough
def test_history_is_never_doubled_while_old_files_wait(lake: Lake) -> None:
    fill(lake, 6)
    compact(lake)
    merged = {name: rows for name, rows in tables_of(lake).items() if name.endswith("_history")}
    compact(lake, grace=AT_ONCE)
    assert {name: rows for name, rows in tables_of(lake).items() if name.endswith("_history")} == merged


def test_old_files_wait_for_queries_under_way(lake: Lake) -> None:
    fill(lake, 3)
    before = set(files(lake))
    compact(lake)
    assert before <= set(files(lake))
    assert compact(lake).files_deleted == 0
    later = compact(lake, clock=lambda: now() + timedelta(hours=2))
    assert later.files_deleted > 0
    assert not before & set(files(lake)) - untouched(before)


def untouched(keys: Iterable[str]) -> set[str]:
    """Keys that are alone in their partition."""
    folders = [key.rpartition("/")[0] for key in keys]
    return {key for key in keys if folders.count(key.rpartition("/")[0]) == 1}


def test_partitions_below_the_number_are_left_alone(lake: Lake) -> None:
    fill(lake, 4)
    assert compact(lake, min_files=5).files_merged == 0
    assert compact(lake, ["tracks"], min_files=4).files_merged == 4


def test_an_unknown_table_is_named(lake: Lake) -> None:
    with pytest.raises(InvalidRequest, match="no table trax"):
        compact(lake, ["trax"])


@pytest.mark.thorough
def test_an_object_transformed_again_after_a_merge_is_not_lost(lake: Lake) -> None:
    fill(lake, 3)
    before = tables_of(lake)
    compact(lake)
    key = put(lake, [answer("artists", {"artists": [artist("z")]})], part=0)
    transform_object(lake, key, again=True)
    compact(lake, grace=AT_ONCE)
    compact(lake, grace=AT_ONCE)
    artists = tables_of(lake)["artists"]
    assert len(artists) == len(before["artists"]) + 1


def test_a_look_at_many_years_asks_no_more_than_a_look_at_one(lake: Lake) -> None:
    fill(lake, 1)
    asked = []
    for years in (1, 10):
        store = MemoryStore()
        for key, content in files(lake).items():
            for month in range(12 * years):
                store.objects[key.replace("month=2026-11", f"month={2026 - month // 12}-{month % 12 + 1:02d}")] = (
                    content
                )
        Lake(store).name_generation()  # as a look at all raw objects does
        store.requests.clear()
        compact(Lake(store), min_files=25)
        asked.append(store.requests.total())
    assert asked[0] == asked[1] <= 2 * len(TABLES)


class Killed(BaseException):
    """The process is no more."""


class Failing(FolderStore):
    """A store whose process dies after so many changes."""

    def __init__(self, root: Path, changes: int) -> None:
        super().__init__(root)
        self.left = changes

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def write(self, key: str, data: bytes, *, content_type: str = "application/octet-stream") -> str:
        self.spend()
        return super().write(key, data)

    def delete(self, keys: Iterable[str], *, if_match: str | None = None) -> None:
        keys = list(keys)
        self.spend()
        super().delete(keys, if_match=if_match)


def dying_compactions(root: Path, kills: Iterable[int], clock: Clock = now) -> None:
    for changes in kills:
        try:
            compact(Lake(Failing(root, changes)), old_months=clock is not now, grace=AT_ONCE, clock=clock)
        except Killed:
            continue


@pytest.mark.thorough
def test_dying_anywhere_loses_and_doubles_nothing(lake: Lake, tmp_path: Path) -> None:
    fill(lake, 5)
    before = tables_of(lake)
    dying_compactions(tmp_path / "lake", (1, 2, 3, 5, 9, 14, 20))
    assert without_history(tables_of(lake)) == without_history(before)
    compact(lake, grace=AT_ONCE)
    compact(lake, grace=AT_ONCE)
    after = tables_of(lake)
    assert without_history(after) == without_history(before)
    assert all(len(rows) == len(set(rows)) for rows in after.values())


# --- old months ---------------------------------------------------------------------------------------------------


def years_later() -> datetime:
    """When everything that :func:`fill` writes is old."""
    return now() + timedelta(days=3 * 365)


def copied_to_other_months(lake: Lake, count: int = 5) -> None:
    """Each file once more in months before, as a lake has it that was at work for long."""
    for key, content in files(lake).items():
        for month in range(1, count + 1):
            lake.store.write(key.replace("month=2026-11", f"month=2026-{month:02d}"), content)


def folders_of(lake: Lake, table: str) -> set[str]:
    return {key.split("/")[3] for key in files(lake) if f"/{table}/" in key}


@pytest.mark.thorough
def test_months_before_the_last_one_lie_together_and_answer_the_same(lake: Lake) -> None:
    fill(lake, 2)
    copied_to_other_months(lake)
    before = tables_of(lake)
    for _ in range(2):
        compact(lake, min_files=100, old_months=True, grace=AT_ONCE, clock=years_later)
        assert without_history(tables_of(lake)) == without_history(before)
    names = {key.split("/")[2] for key in files(lake)} - {"plays_history", "plays_resolved"}
    assert {name: folders_of(lake, name) for name in names} == {name: {"month=earlier"} for name in names}
    assert "month=2026-11" in folders_of(lake, "plays_history")  # of listens some months are asked for
    assert compact(lake, min_files=100, old_months=True, clock=years_later).files_merged == 0


def test_this_month_and_the_last_one_lie_apart(lake: Lake) -> None:
    fill(lake, 1)
    copied_to_other_months(lake, 10)
    for _ in range(2):
        compact(lake, old_months=True, grace=AT_ONCE, clock=lambda: datetime(2026, 11, 30, tzinfo=UTC))
    assert folders_of(lake, "tracks_history") == {"month=2026-11", "month=2026-10", "month=earlier"}


@pytest.mark.thorough
def test_what_comes_late_for_an_old_month_joins_the_others(lake: Lake) -> None:
    fill(lake, 2)
    for _ in range(2):
        compact(lake, old_months=True, grace=AT_ONCE, clock=years_later)
    fill(lake, 4, seed=2, first=2)  # written into its own month again
    before = tables_of(lake)
    for _ in range(2):
        compact(lake, old_months=True, grace=AT_ONCE, clock=years_later)
    assert without_history(tables_of(lake)) == without_history(before)
    assert folders_of(lake, "tracks_history") == {"month=earlier"}


@pytest.mark.thorough
def test_a_merge_of_old_months_is_ended_by_one_that_leaves_them_alone(lake: Lake) -> None:
    fill(lake, 2)
    before = tables_of(lake)
    compact(lake, old_months=True, clock=years_later, grace=timedelta(days=5 * 365))
    together = tables_of(lake)
    compact(lake, grace=AT_ONCE)
    assert tables_of(lake) == together
    assert without_history(together) == without_history(before)
    assert folders_of(lake, "tracks_history") == {"month=earlier"}


@pytest.mark.thorough
def test_dying_anywhere_while_old_months_are_put_together_loses_and_doubles_nothing(lake: Lake, tmp_path: Path) -> None:
    fill(lake, 3)
    copied_to_other_months(lake, 2)
    before = without_history(tables_of(lake))
    dying_compactions(tmp_path / "lake", (1, 2, 3, 5, 9, 14, 20), years_later)
    assert without_history(tables_of(lake)) == before
    for _ in range(2):
        compact(lake, old_months=True, grace=AT_ONCE, clock=years_later)
    after = tables_of(lake)
    assert without_history(after) == before
    assert all(len(rows) == len(set(rows)) for rows in after.values())


@pytest.mark.thorough
def test_old_months_that_lie_together_are_not_taken_for_lost(lake: Lake) -> None:
    fill(lake, 1)
    note_sweep(lake, now())
    for _ in range(2):
        compact(lake, old_months=True, grace=AT_ONCE, clock=years_later)
    assert lost_partitions(lake, clock=years_later) == set()
    note_sweep(lake, now())
    folder = Path(lake.store.location("transformed/g1/tracks_history/month=earlier"))
    before = tables_of(lake)
    shutil.rmtree(folder)
    assert lost_partitions(lake, clock=years_later) == {"tracks_history/month=earlier"}
    forget_lost(lake)
    transform_pending(lake)
    assert without_history(tables_of(lake)) == without_history(before)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(12))
def test_dying_at_random_with_transforms_between(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    whole, broken = folder_lake(tmp_path / "whole"), folder_lake(tmp_path / "lake")
    for step in range(4):
        fill(whole, 3 * step + 3, seed)
        fill(broken, 3 * step + 3, seed)
        dying_compactions(tmp_path / "lake", [dice.randrange(60) for _ in range(6)])
    assert without_history(tables_of(broken)) == without_history(tables_of(whole))


def test_a_transform_between_reading_and_deleting_is_seen(lake: Lake) -> None:
    fill(lake, 3)

    class Interrupting(FolderStore):
        """Another transform finishes just before the merged file is written."""

        def write(self, key: str, data: bytes, *, content_type: str = "application/octet-stream") -> str:
            if "/artists_history/" in key and "compact-" in key and key.endswith(".parquet"):
                other = put(lake, [answer("artists", {"artists": [artist("z")]})], part=99)
                transform_object(lake, other)
            return super().write(key, data)

    compact(Lake(Interrupting(Path(lake.store.location("")))), grace=AT_ONCE)
    compact(lake, grace=AT_ONCE)
    assert "z" in {row["artist_id"][0] for row in stored(lake, "artists")}


@pytest.mark.thorough
def test_two_compactions_at_once_lose_and_double_nothing(lake: Lake) -> None:
    fill(lake, 4)
    before = tables_of(lake)

    class Racing(FolderStore):
        """Another compaction runs from start to end while this one reads its first file."""

        raced = False

        def open(self, key: str) -> BinaryIO:
            if key.endswith(".parquet") and not Racing.raced:
                Racing.raced = True
                compact(lake, grace=AT_ONCE)
                compact(lake, grace=AT_ONCE)
            return super().open(key)

    compact(Lake(Racing(Path(lake.store.location("")))), grace=AT_ONCE)
    compact(lake, grace=AT_ONCE)
    after = tables_of(lake)
    assert without_history(after) == without_history(before)
    assert all(len(rows) == len(set(rows)) for rows in after.values())


@pytest.mark.thorough
def test_files_of_earlier_declarations_are_merged_with_todays(lake: Lake) -> None:
    fill(lake, 2)
    old = next(key for key in files(lake) if "/albums_history/" in key)
    path = Path(lake.store.location(old))
    with duckdb.connect() as connection:  # before upc was added, when total_tracks was narrower and mood was known
        connection.execute(
            "COPY (SELECT * EXCLUDE (upc, total_tracks), total_tracks::SMALLINT AS total_tracks, 'sad' AS mood "
            f"FROM read_parquet('{path}', hive_partitioning = false)) TO '{path}' (FORMAT parquet)"
        )
    before = tables_of(lake)
    compact(lake, grace=AT_ONCE)
    compact(lake, grace=AT_ONCE)
    assert without_history(tables_of(lake)) == without_history(before)
    assert "sad" in {row["mood"] for row in stored(lake, "albums")}


def test_files_that_do_not_fit_together_are_left_and_named(lake: Lake) -> None:
    fill(lake, 2)
    odd = next(key for key in files(lake) if "/artists_history/" in key)
    with duckdb.connect() as connection:
        path = lake.store.location(odd)
        connection.execute(f"COPY (SELECT 'soon' AS observed_at, 'x' AS artist_id) TO '{path}' (FORMAT parquet)")
    report = compact(lake)
    assert "artists_history 2026-11" in str(report)
    assert odd in files(lake)
    assert report.files_written > 3


def test_a_file_that_is_already_large_is_left_as_it_is(lake: Lake, tmp_path: Path) -> None:
    fill(lake, 3)

    class Large(FolderStore):
        def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
            for info in super().list(prefix, start_after=start_after):
                large = "/artists_history/" in info.key
                yield ObjectInfo(info.key, 10**9, info.modified, info.etag) if large else info

    assert compact(Lake(Large(tmp_path / "lake")), ["artists"]).files_merged == 0

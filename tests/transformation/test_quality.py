"""Quality checks as declared: each kind, each severity, and how runs compare with those before."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from chalicelib.clock import rfc3339
from chalicelib.errors import CheckFailed
from chalicelib.lake import Lake, run_key
from chalicelib.parquet import arrow_schema
from chalicelib.runs import RunRecord, SourceRecord
from chalicelib.tables import ARTISTS, SAVED_ITEMS, TABLES, TRACK_ARTISTS, TRACKS, Check, Table
from chalicelib.transformation.findings import Findings
from chalicelib.transformation.origin import ORIGIN
from chalicelib.transformation.quality import check_references, check_rows
from chalicelib.transformation.run_checks import trends
from chalicelib.transformation.transform import transform_object
from tests.support.raw_objects import folder_lake, spotify_id, stored

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).replace(tzinfo=None)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return folder_lake(tmp_path / "lake")


def rows_of(table: Table, *rows: dict[str, Any]) -> pa.Table:
    """Rows that would be right but for what each says."""
    right = {"observed_at": NOON}
    filled = [{**right, **row} for row in rows]
    arrays = [pa.array([row.get(field.name) for row in filled], field.type) for field in arrow_schema(table)]
    names = arrow_schema(table).names
    return pa.Table.from_arrays([*arrays, pa.array(range(1, len(rows) + 1))], names=[*names, ORIGIN])


def checked(table: Table, *rows: dict[str, Any]) -> tuple[pa.Table, Findings]:
    findings = Findings()
    return check_rows(table, rows_of(table, *rows), (), findings), findings


def with_check(severity: Any, *, nullable: bool = False) -> Table:
    columns = tuple(replace(each, nullable=nullable) for each in ARTISTS.columns)
    return replace(ARTISTS, columns=columns, checks=(Check("range", "popularity", severity, low=0, high=100),))


ALL = {"genres": ["x"], "followers": 1, "image_url": "i", "spotify_url": "s"}
GOOD = {**ALL, "artist_id": spotify_id("a"), "name": "A", "popularity": 50}
BAD = {**ALL, "artist_id": spotify_id("b"), "name": "B", "popularity": 101}


def test_a_check_that_rejects_takes_the_row_out() -> None:
    kept, findings = checked(with_check("reject"), GOOD, BAD)
    assert kept["name"].to_pylist() == ["A"]
    (one,) = findings.rejections
    assert (one.check_name, one.reason) == ("range:popularity", "popularity 101 is not between 0 and 100")
    assert json.loads(one.content)["name"] == "B"


def test_in_a_column_that_may_be_null_it_takes_the_value_out_and_the_row_stands() -> None:
    kept, findings = checked(with_check("reject", nullable=True), GOOD, BAD)
    assert kept.select(["name", "popularity"]).to_pylist() == [
        {"name": "A", "popularity": 50},
        {"name": "B", "popularity": None},
    ]
    result = findings.results["artists", "range:popularity"]
    assert (result.severity, result.failures, findings.rejections) == ("warn", 1, [])
    assert result.detail == "popularity 101 is not between 0 and 100"


def test_a_check_that_warns_leaves_the_row() -> None:
    kept, findings = checked(with_check("warn"), GOOD, BAD)
    assert kept.num_rows == 2
    assert findings.results["artists", "range:popularity"].failures == 1
    assert findings.rejections == []


def test_a_check_that_fails_stops_the_object() -> None:
    with pytest.raises(CheckFailed, match=r"range:popularity failed on 1 of 2 rows"):
        checked(with_check("fail"), GOOD, BAD)


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (Check("pattern", "name", pattern="^[a-z]+$"), "abc", "ABC"),
        (Check("range", "popularity", low=1), 1, 0),
        (Check("range", "popularity", high=9), 9, 10),
        (Check("one_of", "name", values=("x", "y")), "x", "z"),
    ],
)
def test_each_kind_tells_right_from_wrong(check: Check, right: Any, wrong: Any) -> None:
    table = replace(ARTISTS, checks=(check,))
    kept, findings = checked(table, {**GOOD, check.column: right}, {**BAD, check.column: wrong})
    assert kept[check.column].to_pylist() == [right, None]
    assert findings.results["artists", check.name].failures == 1


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, -(2**63)])
def test_numbers_that_no_float_holds_are_out_of_range_like_others(value: int) -> None:
    track = {"track_id": spotify_id("t"), "name": "T", "duration_ms": 1}
    kept, findings = checked(TRACKS, track, {**track, "track_id": spotify_id("u"), "duration_ms": value})
    assert kept["duration_ms"].to_pylist() == [1, None]
    assert findings.results["tracks", "range:duration_ms"].failures == 1


@pytest.mark.parametrize("column", ["popularity", "image_url"])
def test_what_spotify_did_not_say_passes_every_check(column: str) -> None:
    kind = "range" if column == "popularity" else "one_of"
    table = replace(ARTISTS, checks=(Check(kind, column, low=0, values=("x",)),))  # type: ignore[arg-type]
    kept, _ = checked(table, {**GOOD, column: None})
    assert kept.num_rows == 1


def test_a_time_after_its_own_observation_is_noticed() -> None:
    row = {"user_id": "u", "item_type": "track", "item_id": spotify_id("t")}
    _, findings = checked(SAVED_ITEMS, {**row, "added_at": NOON + timedelta(seconds=1)})
    assert findings.results["saved_items", "not_after_observed:added_at"].failures == 1


def test_references_ask_for_a_row_of_the_same_object() -> None:
    tracks = rows_of(TRACKS, {"track_id": spotify_id("t"), "name": "T"})
    bridge = rows_of(
        TRACK_ARTISTS,
        {"track_id": spotify_id("t"), "position": 0, "artist_id": spotify_id("a")},
        {"track_id": spotify_id("u"), "position": 0, "artist_id": spotify_id("a")},
    )
    findings = Findings()
    check_references({"tracks": (TRACKS, tracks), "track_artists": (TRACK_ARTISTS, bridge)}, findings)
    assert findings.results["track_artists", "references:track_id"].failures == 1
    assert findings.results["track_artists", "references:artist_id"].failures == 2


def test_every_declared_check_is_of_a_column_of_its_table_and_a_known_table() -> None:
    names = {table.name for table in TABLES}
    for table in TABLES:
        columns = {column.name for column in table.physical_columns}
        for check in table.checks:
            assert check.column in columns or check.kind == "mostly_rejected", (table.name, check.name)
            assert check.table is None or check.table in names, (table.name, check.name)


# --- runs beside the runs before ----------------------------------------------------------------------------------


def run(day: int, items: int, state: str = "succeeded") -> RunRecord:
    moment = datetime(2026, 11, day, 10, tzinfo=UTC)
    return RunRecord(
        run_id=f"{moment:%Y%m%dT%H%M%SZ}-1a2b3c",
        state=state,
        trigger="schedule",
        started_at=rfc3339(moment),
        ended_at=rfc3339(moment + timedelta(minutes=1)),
        sources=[SourceRecord(source="saved_tracks", user_id="u1", state=state, items=items, whole_readings=1)],
    )


@pytest.mark.parametrize(
    ("items", "state", "failures"),
    [(250, "succeeded", 0), (60, "succeeded", 0), (40, "succeeded", 1), (0, "failed", 0)],
)
def test_a_source_that_suddenly_brings_far_less_is_noticed(items: int, state: str, failures: int) -> None:
    before = [run(day, 250) for day in range(18, 12, -1)]
    volume, _ = trends(run(19, items, state), before)
    assert (volume.check_name, volume.failures) == ("volume:saved_tracks", failures)


def test_a_run_that_reads_a_first_page_is_not_compared_with_runs_that_read_all() -> None:
    def read(day: int, items: int, whole: int) -> RunRecord:
        record = run(day, items)
        record.sources[0].whole_readings = whole
        return record

    pages = [read(17, 300, 1), read(16, 50, 0), read(15, 290, 1)]
    assert [each.failures for each in trends(read(18, 50, 0), pages)] == [0, 0]
    assert [each.failures for each in trends(read(18, 50, 1), pages)] == [1, 0]
    assert [each.failures for each in trends(read(18, 5, 0), pages)] == [0, 0]


def of_two(day: int, **read: tuple[int, int]) -> RunRecord:
    """A run for Ann and Ben: of each, the items that it brought and whether it read the listing to its end."""
    record = run(day, 0)
    record.sources = [
        SourceRecord("saved_tracks", user, "succeeded", items=items, whole_readings=whole)
        for user, (items, whole) in read.items()
    ]
    return record


def test_a_friend_with_a_small_library_is_no_sudden_drop() -> None:
    before = [of_two(17, ann=(50, 0)), of_two(16, ann=(1929, 1))]
    volume, _ = trends(of_two(18, ann=(50, 0), ben=(20, 1)), before)
    assert (volume.failures, volume.rows_checked) == (0, 2)


def test_one_listeners_drop_is_noticed_beside_anothers_large_library() -> None:
    before = [of_two(day, ann=(1929, 1), ben=(300, 1)) for day in (17, 16)]
    volume, _ = trends(of_two(18, ann=(1929, 1), ben=(10, 1)), before)
    assert volume.failures == 1
    assert volume.detail == "saved_tracks of ben brought 10 items; 300 is the median of 2 runs before"


def test_sources_that_bring_little_may_bring_nothing() -> None:
    volume, _ = trends(run(19, 0), [run(day, 7) for day in range(18, 12, -1)])
    assert volume.failures == 0


@pytest.mark.parametrize(("succeeded_on", "failures"), [(18, 0), (16, 1), (None, 1)])
def test_a_source_that_has_not_succeeded_for_long_is_noticed(succeeded_on: int | None, failures: int) -> None:
    before = [run(day, 9, "succeeded" if day == succeeded_on else "failed") for day in range(18, 12, -1)]
    _, freshness = trends(run(19, 0, "failed"), before)
    assert (freshness.check_name, freshness.failures) == ("freshness:saved_tracks", failures)


def test_a_first_run_compares_with_nothing() -> None:
    assert [each.failures for each in trends(run(19, 0, "failed"), [])] == [0, 0]


def test_runs_leave_how_they_compare_in_the_lake(lake: Lake) -> None:
    for record in (run(16, 300), run(17, 310), run(19, 10)):
        lake.store.write(run_key(record.run_id), json.dumps(record.as_json()).encode())
    for record in (run(16, 300), run(17, 310), run(19, 10)):
        transform_object(lake, run_key(record.run_id))
    found = {(row["run_id"][:8], row["check_name"]): row for row in stored(lake, "quality_results")}
    assert found["20261119", "volume:saved_tracks"]["failures"] == 1
    assert found["20261117", "volume:saved_tracks"]["failures"] == 0
    assert found["20261119", "volume:saved_tracks"]["source"] == "saved_tracks"
    assert "10 items; 305 is the median of 2 runs" in found["20261119", "volume:saved_tracks"]["detail"]

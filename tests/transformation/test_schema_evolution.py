"""Two versions of a declaration side by side, on every engine: old files stay readable, a crawl says what changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from chalicelib.clock import epoch_ms
from chalicelib.parquet import arrow_schema, write_table
from chalicelib.tables import ALBUMS, TRACKS, Column, Table
from chalicelib.transformation.transform import transform_object
from deploy.template import glue_column
from tests.support.engines import ENGINES, Opened, OpenedOnAws, embedded
from tests.support.raw_objects import album, answer, put, spotify_id, track

# Tracks as an earlier version might have declared them: no isrc yet, a narrower duration, a mood that is no more.
EARLIER = replace(
    TRACKS,
    columns=tuple(
        replace(column, type="int") if column.name == "duration_ms" else column
        for column in TRACKS.columns
        if column.name != "isrc"
    ),
    history_columns=(Column("mood", "string", "Removed since", True),),
)
THEN, LATER = datetime(2026, 10, 3, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
ROWS = "SELECT track_id, name, duration_ms, isrc FROM tracks ORDER BY track_id"
OLD_ROW = (spotify_id("e"), "Track e", 200_000, None)
NEW_ROW = (spotify_id("n"), "Track n", 2**40, "USABC8112345")


@pytest.fixture(params=sorted(ENGINES))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    with ENGINES[request.param](tmp_path) as made:
        yield made


def deploy(opened: Opened, table: Table) -> None:
    """Declare a table to the catalogue, as a deployment of that version does; the embedded engine has none to tell."""
    if isinstance(opened, OpenedOnAws):
        glue = opened.register._glue
        there = glue.get_table(DatabaseName=opened.register.database, Name=table.history)["Table"]
        told = {name: there[name] for name in ("Name", "PartitionKeys", "TableType", "Parameters") if name in there}
        columns = [glue_column(column) for column in table.physical_columns]
        told["StorageDescriptor"] = {**there["StorageDescriptor"], "Columns": columns}
        glue.update_table(DatabaseName=opened.register.database, TableInput=told)


def write(opened: Opened, table: Table, letter: str, moment: datetime = THEN, **values: Any) -> None:
    """A row as a version of a declaration wrote it."""
    row = {table.key[0]: spotify_id(letter), "observed_at": epoch_ms(moment), **values}
    schema = arrow_schema(table)
    columns = [pa.array([row.get(field.name)], field.type) for field in schema]
    rows = pa.Table.from_arrays(columns, schema=schema)
    write_table(opened.lake, opened.lake.generation(), table, rows, f"then-{letter}")
    register(opened)


def transform_today(opened: Opened, endpoint: str, body: dict[str, Any]) -> None:
    transform_object(opened.lake, put(opened.lake, [answer(endpoint, body)]))
    register(opened)


def register(opened: Opened) -> None:
    if isinstance(opened, OpenedOnAws):
        opened.register.register_all()


def deploy_and_transform(opened: Opened) -> None:
    """Files of the earlier version, then a deployment of today's and its first file."""
    deploy(opened, EARLIER)
    write(opened, EARLIER, "e", name="Track e", duration_ms=200_000, mood="sad")
    deploy(opened, TRACKS)
    write(opened, TRACKS, "n", LATER, name="Track n", duration_ms=2**40, isrc="USABC8112345")


def test_old_files_are_read_beside_new_ones(opened: Opened) -> None:
    deploy_and_transform(opened)
    assert opened.ask(ROWS) == [OLD_ROW, NEW_ROW]
    assert opened.ask("SELECT sum(duration_ms), count(isrc) FROM tracks") == [(200_000 + 2**40, 1)]


def test_old_and_new_files_of_one_month_are_read_as_one(opened: Opened) -> None:
    deploy(opened, EARLIER)
    write(opened, EARLIER, "e", datetime(2026, 11, 1, tzinfo=UTC), name="Track e", duration_ms=200_000, mood="sad")
    deploy(opened, TRACKS)
    transform_today(opened, f"tracks/{spotify_id('n')}", track("n", duration_ms=2**26))
    found = opened.ask(ROWS)
    assert found == [OLD_ROW, (spotify_id("n"), "Track n", 2**26, "USABC8112345")]


@pytest.mark.thorough
def test_a_column_that_is_declared_no_more_is_no_column(opened: Opened) -> None:
    deploy_and_transform(opened)
    (found,) = opened.ask("SELECT * FROM tracks_history WHERE isrc IS NOT NULL")
    assert "sad" not in found
    assert not any(column.name == "mood" for column in opened.engine.table("tracks").columns)


def test_what_was_not_said_then_does_not_hide_what_is_said_now(opened: Opened) -> None:
    deploy(opened, EARLIER)
    write(opened, TRACKS, "e", THEN, name="Track e", isrc="USABC8112345")
    write(opened, EARLIER, "e", LATER, name="Track e, renamed", duration_ms=1)
    deploy(opened, TRACKS)
    assert opened.ask("SELECT name, isrc, duration_ms FROM tracks") == [("Track e, renamed", "USABC8112345", 1)]


@pytest.mark.thorough
def test_a_crawl_says_what_has_changed(opened: Opened) -> None:
    deploy(opened, EARLIER)
    write(opened, EARLIER, "e", name="Track e", duration_ms=200_000, mood="sad")
    opened.crawl()
    deploy(opened, TRACKS)
    write(opened, TRACKS, "n", LATER, name="Track n", duration_ms=2**40, isrc="USABC8112345")
    crawl = opened.crawl()
    assert crawl.state == "succeeded", crawl.error
    told = [change for change in crawl.changes if str(change.get("table", "")).startswith("tracks")]
    if isinstance(opened, OpenedOnAws):  # Glue's crawler tells of partitions, whose columns it brings up to the table's
        assert {"change": "partition_changed", "table": "tracks_history", "month": "2026-10"} in told
    else:
        named = {change["column"]: change["change"] for change in told if "column" in change}
        assert named.get("isrc") == "column_added", crawl.changes
    assert opened.ask(ROWS) == [OLD_ROW, NEW_ROW]


def test_a_type_that_does_not_become_wider_is_refused_by_athena_by_name(tmp_path: Path) -> None:
    """Why columns may only be added, dropped and widened: deploying anything else would make old months unreadable."""
    with ENGINES["athena"](tmp_path) as opened:
        texts = tuple(replace(c, type="string") if c.name == "disc_number" else c for c in TRACKS.columns)
        odd = replace(TRACKS, columns=texts)
        deploy(opened, odd)
        write(opened, odd, "e", name="Track e", disc_number="one")
        deploy(opened, TRACKS)
        query = opened.done("SELECT name FROM tracks")
        assert query.error is not None
        assert (
            "tracks_history' is declared as type 'int', but partition 'month=2026-10' declared column 'disc_number'"
            in query.error["message"]
        )


def test_a_column_of_another_number_type_is_read_as_declared_where_the_engine_is_ours(tmp_path: Path) -> None:
    doubles = tuple(replace(c, type="double") if c.name == "popularity" else c for c in ALBUMS.columns)
    with embedded(tmp_path) as opened:
        write(opened, replace(ALBUMS, columns=doubles), "e", name="Album e", popularity=50.0)
        transform_today(opened, f"albums/{spotify_id('n')}", album("n", popularity=7))
        assert opened.ask("SELECT sum(popularity) FROM albums") == [(57,)]

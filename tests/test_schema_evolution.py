"""Two versions of a table's declaration side by side: old files stay readable, and a crawl says what changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from chalicelib.engine import Crawl, Engine, open_engine
from chalicelib.lake import Lake
from chalicelib.parquet import arrow_schema, write_table
from chalicelib.settings import Settings
from chalicelib.tables import ALBUMS, Column, Table
from chalicelib.transformation.transform import transform_object
from tests.raw_objects import album, answer, folder_lake, put, spotify_id

# Albums as an earlier version might have declared them: no upc yet, total_tracks wider, a mood that is no more.
EARLIER = replace(
    ALBUMS,
    columns=tuple(
        replace(column, type="bigint") if column.name == "total_tracks" else column
        for column in ALBUMS.columns
        if column.name != "upc"
    ),
    history_columns=(Column("mood", "string", "Removed since", True),),
)
OTHER_NUMBERS = replace(
    ALBUMS,
    columns=tuple(
        replace(column, type="double") if column.name == "popularity" else column for column in ALBUMS.columns
    ),
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return folder_lake(tmp_path / "lake")


def write_as(lake: Lake, table: Table, letter: str, **values: Any) -> None:
    """A row of an earlier declaration, written as it was written then."""
    row = {"album_id": spotify_id(letter), "name": f"Album {letter}", "observed_at": 1_700_000_000_000, **values}
    schema = arrow_schema(table)
    columns = [pa.array([row.get(field.name)], field.type) for field in schema]
    write_table(lake, lake.generation(), table, pa.Table.from_arrays(columns, schema=schema), "earlier")


def write_today(lake: Lake) -> None:
    one = album("n", external_ids={"upc": "0042"}, popularity=7)
    transform_object(lake, put(lake, [answer(f"albums/{spotify_id('n')}", one)]))


@contextmanager
def engine_of(lake: Lake) -> Iterator[Engine]:
    with closing(open_engine(Settings(lake_url=lake.store.location("")), lake)) as engine:
        yield engine


def answered(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    query = engine.wait(engine.start_query(sql).query_id, 60)
    assert query.error is None, query.error
    return [row for page in engine.all_rows(query.query_id) for row in page.rows]


def crawled(engine: Engine) -> Crawl:
    """A whole crawl."""
    engine.start_crawl()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        crawl = engine.latest_crawl()
        if crawl is not None and crawl.state != "running":
            assert crawl.state == "succeeded", crawl.error
            return crawl
        time.sleep(0.02)
    raise AssertionError("the crawl never ended")


ROWS = "SELECT album_id, total_tracks, upc, popularity FROM albums ORDER BY album_id"


def test_old_files_are_read_beside_new_ones(lake: Lake) -> None:
    write_as(lake, EARLIER, "e", total_tracks=12, mood="sad")
    write_today(lake)
    with engine_of(lake) as engine:
        assert answered(engine, ROWS) == [(spotify_id("e"), 12, None, None), (spotify_id("n"), 9, "0042", 7)]


def test_a_column_of_another_number_type_is_read_as_declared(lake: Lake) -> None:
    write_as(lake, OTHER_NUMBERS, "e", popularity=50.0)
    write_today(lake)
    with engine_of(lake) as engine:
        assert answered(engine, "SELECT sum(popularity) FROM albums") == [(57,)]


def test_a_crawl_says_which_columns_came_and_went(lake: Lake) -> None:
    write_as(lake, EARLIER, "e", total_tracks=12, mood="sad")
    with engine_of(lake) as engine:
        crawled(engine)
        write_today(lake)
        changes = crawled(engine).changes
    named = {change["column"]: change["change"] for change in changes if "column" in change}
    assert named.get("upc") == "column_added", changes

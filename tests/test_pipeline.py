"""The whole way, from Spotify's answers to SQL, held against what the sandbox says it holds."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from chalicelib.clock import rfc3339
from chalicelib.lake import Lake
from chalicelib.pipeline import catch_up, rebuild
from chalicelib.queries.embedded.engine import EmbeddedEngine
from chalicelib.queries.engine import QueryState
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from chalicelib.tables import BY_NAME
from tests.support.extraction import World, world

MODES = ("development", "extended")
NOW_ONLY = ("saved_items", "followed_artists")  # what was removed is gone; everything else stays
PLAY_KEY = "user_id, ended_at, item_id"  # the sandbox does not know the lake's play_id
Keys = set[tuple[str, ...]]


def transform_and_crawl(made: World) -> None:
    catch_up(made.lake, made.settings)
    crawl(made.settings, made.lake)


def crawl(settings: Settings, lake: Lake) -> None:
    with closing(EmbeddedEngine(settings, lake)) as engine:
        engine.start_crawl()
        while (latest := engine.latest_crawl()) is None or latest.state == "running":
            time.sleep(0.02)
        assert latest.state == "succeeded", latest.error


def rows(settings: Settings, lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    with closing(EmbeddedEngine(settings, lake)) as engine:
        query = engine.wait(engine.start_query(sql).query_id, 30)
        assert query.state == QueryState.SUCCEEDED, query.error
        return [row for page in engine.all_rows(query.query_id) for row in page.rows]


def as_texts(found: list[tuple[Any, ...]]) -> Keys:
    return {tuple(text(value) for value in row) for row in found}


def text(value: Any) -> str:
    """A key's part as the sandbox writes it."""
    return rfc3339(value.replace(tzinfo=UTC)) if isinstance(value, datetime) else str(value)


def expected_keys(made: World) -> dict[str, Keys]:
    reply = requests.get(f"{made.sandbox.url}/admin/expected", params={"keys": "true"}, timeout=60)
    tables = reply.json()["tables"]
    return {table: {tuple(map(str, key)) for key in told["keys"]} for table, told in tables.items()}


def keys_in_lake(made: World, tables: Mapping[str, Keys]) -> Iterator[tuple[str, Keys]]:
    for table in tables:
        key = PLAY_KEY if table == "plays" else ", ".join(BY_NAME[table].key)
        found = rows(made.settings, made.lake, f"SELECT {key} FROM {table}")
        keys = as_texts(found)
        assert len(keys) == len(found), f"{table} has doubled rows"
        yield table, keys


@pytest.mark.thorough
@pytest.mark.parametrize("mode", MODES)
def test_every_table_holds_exactly_what_spotify_holds_and_a_later_run_adds_exactly_what_is_new(
    tmp_path: Path, mode: str
) -> None:
    with world(tmp_path, mode=mode, scale="medium") as made:
        made.run()
        transform_and_crawl(made)
        before = expected_keys(made)
        for table, keys in keys_in_lake(made, before):
            assert keys == before[table], table

        made.advance(days=8)
        made.run()
        transform_and_crawl(made)
        after = expected_keys(made)
        assert after["plays"] - before["plays"]
        for table, keys in keys_in_lake(made, after):
            wanted = after[table] if table in NOW_ONLY else before[table] | after[table]
            assert keys == wanted, table
        assert before["saved_items"] - after["saved_items"], "the listener removed nothing: choose a longer time"


@pytest.mark.thorough
def test_everything_but_raw_can_be_deleted_and_built_again(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.run()
        transform_and_crawl(made)
        made.advance(days=2)
        made.run()
        transform_and_crawl(made)
        before = {table: everything(made, table) for table in user_facing()}
        assert all(before[table] for table in ("tracks", "plays", "runs", "quality_results"))

        for zone in (tmp_path / "lake").iterdir():
            if zone.name != "raw":
                shutil.rmtree(zone)
        lake = open_lake(made.settings)
        rebuild(lake, lake.publish_generation)
        crawl(made.settings, lake)
        assert {table: everything(made, table) for table in user_facing()} == before


def user_facing() -> list[str]:
    return [table.name for table in BY_NAME.values() if table.current != "internal"]


def everything(made: World, table: str) -> list[str]:
    return sorted(repr(row) for row in rows(made.settings, made.lake, f"SELECT * FROM {table}"))

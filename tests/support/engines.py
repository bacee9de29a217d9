"""Engines for the contract suite: one function an engine, and a small lake whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from chalicelib.lake import Lake
from chalicelib.parquet import arrow_schema, write_table
from chalicelib.queries.athena.engine import AthenaEngine
from chalicelib.queries.athena.glue import GlueTables
from chalicelib.queries.engine import Crawl, Engine, Query
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from chalicelib.stores.s3 import BucketStore
from chalicelib.tables import BY_NAME
from chalicelib.wiring import open_engine

Row = dict[str, Any]
PATIENCE = 30.0  # s


@dataclass
class Opened:
    """An engine on a lake of its own."""

    engine: Engine
    lake: Lake
    settings: Settings

    def put(self, table: str, *rows: Row, name: str = "part", generation: str = "g1") -> None:
        """Write rows to a table's physical files, as a transform does; columns not given are null."""
        put_rows(self.lake, table, rows, name, generation)

    def ask(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query that must succeed."""
        query = self.done(sql, *parameters)
        assert query.error is None, query.error
        return self.engine.rows(query.query_id, 1000).rows

    def done(self, sql: str, *parameters: Any, **options: Any) -> Query:
        """A query that has ended."""
        query = self.engine.wait(self.engine.start_query(sql, parameters, **options).query_id, PATIENCE)
        assert query.state.ended
        return query

    def crawl(self) -> Crawl:
        """A crawl that has ended."""
        from time import monotonic, sleep

        self.engine.start_crawl()
        deadline = monotonic() + PATIENCE
        while (crawl := self.engine.latest_crawl()) is None or crawl.state == "running":
            assert monotonic() < deadline, "the crawl does not end"
            sleep(0.02)
        return crawl


def put_rows(lake: Lake, table: str, rows: tuple[Row, ...], name: str, generation: str) -> None:
    schema = arrow_schema(BY_NAME[table])
    full = [{field.name: row.get(field.name) for field in schema} for row in rows]
    assert all(row.keys() <= set(schema.names) for row in rows), "no such column"
    write_table(lake, generation, BY_NAME[table], pa.Table.from_pylist(full, schema=schema), name)


def on(day: int, hour: int = 0, minute: int = 0) -> datetime:
    """A moment of November 2026, UTC."""
    return datetime(2026, 11, day, hour, minute)  # noqa: DTZ001


def fill(opened: Opened) -> None:
    """Three listens, two tracks (one described twice), a library from which one track has gone."""
    opened.put(
        "tracks",
        {"track_id": "t1", "name": "One", "duration_ms": 180_000, "popularity": 50, "observed_at": on(1)},
        {"track_id": "t1", "name": "One (remastered)", "duration_ms": 181_000, "observed_at": on(2)},
        {"track_id": "t2", "name": "Two", "duration_ms": 120_000, "explicit": True, "observed_at": on(2)},
    )
    opened.put(
        "artists",
        {"artist_id": "a1", "name": 'Ärzte, "Die"', "genres": ["punk", "rock"], "observed_at": on(1)},
        {"artist_id": "a2", "name": "B", "genres": [], "observed_at": on(1)},
    )
    opened.put(
        "track_artists",
        {"track_id": "t1", "position": 0, "artist_id": "a1", "observed_at": on(1)},
        {"track_id": "t1", "position": 1, "artist_id": "a2", "observed_at": on(1)},
        {"track_id": "t1", "position": 0, "artist_id": "a2", "observed_at": on(2)},
    )
    opened.put("albums", {"album_id": "b1", "name": "LP", "released_on": date(1981, 1, 1), "observed_at": on(1)})
    plays = [
        {"play_id": "p1", "user_id": "u", "ended_at": on(3, 22, 30), "ms_played": 1000, "item_id": "t1"},
        {"play_id": "p2", "user_id": "u", "ended_at": on(4, 9), "ms_played": 2000, "item_id": "t2"},
        {"play_id": "p3", "user_id": "u", "ended_at": on(4, 9, 5), "ms_played": None, "item_id": "t1"},
    ]
    shared = {"item_type": "track", "origin": "api", "item_name": "x", "resolution": 2}
    opened.put("plays_resolved", *({**shared, **play} for play in plays), name="resolution-000002")
    opened.put("plays_resolved", {**shared, **plays[0], "resolution": 1}, name="resolution-000001")
    saved = {"user_id": "u", "item_type": "track", "added_at": on(1)}
    opened.put(
        "saved_items",
        {**saved, "item_id": "t1", "observed_at": on(1)},
        {**saved, "item_id": "t1", "observed_at": on(5)},
        {**saved, "item_id": "t2", "observed_at": on(1)},
    )
    listing = {"listing_id": "l1", "table_name": "saved_items", "user_id": "u", "item_type": "track", "items": 1}
    opened.put("listings", {**listing, "started_at": on(5), "observed_at": on(5)})


@contextmanager
def embedded(folder: Path, **settings: Any) -> Iterator[Opened]:
    """DuckDB over a folder."""
    chosen = Settings(lake_url=str(folder / "lake"), **settings)
    lake = open_lake(chosen)
    engine = open_engine(chosen, lake)
    try:
        yield Opened(engine, lake, chosen)
    finally:
        engine.close()


@dataclass
class OpenedOnAws(Opened):
    """Partitions are registered by who writes them, as the deployed functions do; a crawl finds those of writers
    that died before they did."""

    register: GlueTables
    written: set[str] = field(default_factory=set)

    def put(self, table: str, *rows: Row, name: str = "part", generation: str = "g1") -> None:
        super().put(table, *rows, name=name, generation=generation)
        self.written.add(BY_NAME[table].history)
        self.register.register_all()

    def crawl(self) -> Crawl:
        for table in self.written:
            self.register.forget(table, self.register.months(table))
        self.written.clear()
        return super().crawl()


class OwnersEngine(AthenaEngine):
    """The API's engine, but for what only the lake's owner may do: publishing another generation."""

    owner: AthenaEngine

    def publish(self, generation: str) -> None:
        self.owner.publish(generation)


@contextmanager
def athena(_folder: Path, **settings: Any) -> Iterator[Opened]:
    """Athena and Glue, emulated, with the rights of the API's role and no more."""
    from tests.emulator import shared
    from tests.emulator.stage import make_stage

    aws = shared()
    stage = make_stage(aws, **settings)
    clients = stage.clients(aws)
    client = clients("s3")
    engine = OwnersEngine(stage.settings, Lake(BucketStore(stage.names.bucket, s3=lambda: client)), clients=clients)
    engine.owner = AthenaEngine(stage.settings, stage.lake, clients=aws.client)
    yield OpenedOnAws(
        engine, stage.lake, stage.settings, GlueTables(stage.names.database, stage.lake, glue=aws.client("glue"))
    )
    engine.close()


#: Every engine that must pass the contract suite; a function takes an empty folder and settings.
ENGINES: dict[str, Callable[..., AbstractContextManager[Opened]]] = {"athena": athena, "embedded": embedded}

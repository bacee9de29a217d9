"""What must never work: nothing is changed, nothing outside is read, and the server goes on answering."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from chalicelib.errors import LakeError, QueryRefused
from chalicelib.lake import TRANSFORMED
from chalicelib.queries.embedded.duck import Duck, DuckBounds
from chalicelib.queries.embedded.engine import EmbeddedEngine
from chalicelib.queries.embedded.listing import FileListing
from chalicelib.queries.engine import QueryState
from tests.support.engines import Opened, embedded, fill
from tests.support.sql_attacks import GREEDY, NOT_A_READ, OUTSIDE, STACKED

SECRET = "the canary sings"
REPLY_WITHIN = 1.0  # s


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "canary.csv").write_text(SECRET)
    with embedded(folder, query_seconds=1.0, query_memory=300_000_000, query_bytes=20_000_000) as made:
        fill(made)
        made.ask("SELECT 1")
        yield made


def canary(opened: Opened) -> Path:
    return Path(opened.settings.lake_url).parent / "canary.csv"


def aimed(attack: str, opened: Opened) -> str:
    return attack.replace("{canary}", str(canary(opened))).replace("{lake}", opened.settings.lake_url)


def everything_but_results(opened: Opened) -> dict[str, bytes]:
    """All files of the lake and beside it that no query may touch."""
    folder = canary(opened).parent
    files = (path for path in folder.rglob("*") if path.is_file() and "results" not in path.parts)
    return {str(path): path.read_bytes() for path in files}


@contextmanager
def answered_soon() -> Iterator[None]:
    """Statements are judged by the thread that hands them in, so that its own time counts, whoever else is busy."""
    started = time.thread_time()
    yield
    assert time.thread_time() - started < REPLY_WITHIN


@pytest.mark.parametrize("attack", [*NOT_A_READ, *STACKED, *OUTSIDE], ids=lambda attack: ascii(attack)[:70])
def test_is_refused_and_changes_nothing(opened: Opened, attack: str) -> None:
    before = everything_but_results(opened)
    with answered_soon(), pytest.raises(QueryRefused) as refused:
        opened.engine.start_query(aimed(attack, opened))
    assert SECRET not in str(refused.value.as_json())
    assert everything_but_results(opened) == before


@pytest.mark.parametrize("name", GREEDY)
def test_greed_is_bounded_and_starves_nobody(opened: Opened, name: str) -> None:
    query = None
    with answered_soon(), suppress(QueryRefused):
        query = opened.engine.start_query(GREEDY[name], client="attacker")
    if query is None:
        return
    others = opened.engine.start_query("SELECT count(*), ? FROM plays", [1], client="somebody else")
    assert opened.engine.wait(others.query_id, 10).state == QueryState.SUCCEEDED
    ended = opened.engine.wait(query.query_id, 10)
    assert ended.state.ended


def test_there_are_at_least_120_attacks() -> None:
    assert len(NOT_A_READ) + len(STACKED) + len(OUTSIDE) + len(GREEDY) >= 120


SLIPPED_THROUGH = [
    "COPY (SELECT 1) TO '{lake}/transformed/g1/x.parquet'",
    "COPY (SELECT 1) TO '{canary}'",
    "EXPORT DATABASE '{lake}/transformed/out'",
    "CREATE TABLE x AS SELECT 1",
    "SET enable_external_access = true",
    "ATTACH '{canary}'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA enable_object_cache",
    "SELECT 1; SELECT 2",
    "SELECT * FROM read_text('{canary}')",
    "SELECT * FROM read_csv('{canary}')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM '{canary}'",
    "SELECT * FROM read_parquet('https://example.com/x.parquet')",
    "SELECT * FROM read_text('{lake}/transformed/../../canary.csv')",
    "SELECT getenv('HOME')",
    "SELECT * FROM everything_but_results",
]


@pytest.mark.parametrize("attack", SLIPPED_THROUGH)
def test_the_database_itself_refuses_what_slips_through_the_guard(opened: Opened, tmp_path: Path, attack: str) -> None:
    folder = Path(opened.lake.store.location(TRANSFORMED))
    duck = Duck(folder, DuckBounds(100_000_000, 1, tmp_path), FileListing(opened.lake))
    before = everything_but_results(opened)
    try:
        with pytest.raises((LakeError, Exception)) as refused:
            rows = duck.run(aimed(attack, opened), {}).fetchall()
            pytest.fail(f"it answered {rows}", pytrace=False)
        assert refused.typename != "Failed"
        assert SECRET not in str(refused.value)
    finally:
        duck.close()
    assert everything_but_results(opened) == before


def test_the_engine_offers_no_other_way_in() -> None:
    public = {name for name in vars(EmbeddedEngine) if not name.startswith("_")}
    assert public == {
        "all_rows", "cancel", "check", "close", "damaged_files", "download", "latest_crawl", "publish", "queries",
        "query", "rows", "start_crawl", "start_query", "table", "tables", "wait", "warm_up",
    }  # fmt: skip

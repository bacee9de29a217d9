"""Athena's dialect on the embedded engine: as Trino answers, or refused by name; never silently different."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import QueryRefused
from chalicelib.queries.embedded.engine import EmbeddedEngine
from chalicelib.queries.engine import QueryState
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from tests.support.sql_conformance import CASES, Fails, Refused, Rows, Typed


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEngine]:
    folder: Path = tmp_path_factory.mktemp("lake")
    settings = Settings(lake_url=str(folder))
    with_engine = EmbeddedEngine(settings, open_lake(settings))
    yield with_engine
    with_engine.close()


def statement(written: str) -> str:
    first = written.split(None, 1)[0].upper()
    return written if first in ("SELECT", "VALUES", "WITH") else f"SELECT {written}"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(*case, id=f"{topic.split(':')[0]}: {case[0][:80]}")
        for topic, cases in CASES.items()
        for case in cases
    ],
)
def test_answers_as_trino_does(engine: EmbeddedEngine, written: str, expected: Any) -> None:
    sql = statement(written)
    if isinstance(expected, Refused):
        with pytest.raises(QueryRefused) as refused:
            engine.start_query(sql)
        assert expected.words in refused.value.message
        return
    query = engine.wait(engine.start_query(sql).query_id, 20)
    if isinstance(expected, Fails):
        assert query.state == QueryState.FAILED
        assert query.error is not None
        assert expected.words in query.error["message"]
        return
    assert query.error is None
    page = engine.rows(query.query_id)
    if isinstance(expected, Rows):
        assert page.rows == expected.rows
        return
    ((found,),) = page.rows
    value = expected.value if isinstance(expected, Typed) else expected
    assert same(found, value)
    if isinstance(expected, Typed):
        assert page.columns[0].type == expected.type


def same(found: Any, expected: Any) -> bool:
    """Equal and of one type; a float to the last digits, and NaN like NaN."""
    if isinstance(expected, float) and isinstance(found, float):
        return (math.isnan(expected) and math.isnan(found)) or math.isclose(found, expected, rel_tol=1e-12)
    return type(found) is type(expected) and bool(found == expected)


def test_there_are_at_least_150_cases() -> None:
    assert sum(len(cases) for cases in CASES.values()) >= 150

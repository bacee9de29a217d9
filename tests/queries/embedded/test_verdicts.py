"""A statement that was judged before is not judged again, and means what it says with its own parameters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import QueryRefused
from chalicelib.queries.embedded.tasks import Verdict
from chalicelib.queries.embedded.verdicts import Verdicts
from tests.support.engines import Opened, embedded


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder: Path = tmp_path_factory.mktemp("verdicts")
    with embedded(folder) as engine:
        yield engine


def answer(opened: Opened, sql: str, *parameters: Any) -> tuple[str, Any]:
    """Type and value of a statement's one cell."""
    query = opened.engine.wait(opened.engine.start_query(sql, parameters).query_id, 60)
    assert query.error is None, query.error
    return query.columns[0].type, opened.engine.rows(query.query_id).rows[0][0]


def verdict(sql: str, size: int = 0, *, any_values: bool = False) -> Verdict:
    return Verdict(sql, (), (), False, sql, b"x" * size, any_values)


VALUES = [1, 2, True, "1", 2**40, 1.0, Decimal("1.0"), Decimal("1.00"), None, date(2026, 1, 1), datetime(2026, 1, 1)]  # noqa: DTZ001


@pytest.mark.thorough
def test_each_value_keeps_its_own_type_however_often_the_statement_comes(opened: Opened) -> None:
    first = [answer(opened, "SELECT ? AS x", value) for value in VALUES]
    assert [answer(opened, "SELECT ? AS x", value) for value in VALUES] == first
    assert [kind for kind, _ in first] == [
        "integer", "integer", "boolean", "varchar", "bigint", "double", "decimal(2,1)", "decimal(3,2)", "unknown",
        "date", "timestamp(3)",
    ]  # fmt: skip
    assert [value for _, value in first] == VALUES


def test_what_becomes_part_of_the_translation_is_not_another_statements(opened: Opened) -> None:
    sql = "SELECT date_format(TIMESTAMP '2026-11-20 10:15:30', ?)"
    assert answer(opened, sql, "%Y")[1] == "2026"
    assert answer(opened, sql, "%H:%i")[1] == "10:15"
    assert answer(opened, sql, "%Y")[1] == "2026"


def test_a_value_of_another_type_is_judged_anew(opened: Opened) -> None:
    assert answer(opened, "SELECT ? + 1", 1) == ("integer", 2)
    with pytest.raises(QueryRefused):
        opened.engine.start_query("SELECT ? + 1", ["1"])
    assert answer(opened, "SELECT ? + 1", 2.5) == ("double", 3.5)


def test_a_refused_statement_is_refused_again(opened: Opened) -> None:
    for _ in range(2):
        with pytest.raises(QueryRefused):
            opened.engine.start_query("SELECT no_such_column FROM plays")


def test_verdicts_for_any_values_are_found_by_the_types() -> None:
    verdicts = Verdicts()
    verdicts.keep("a", [1], verdict("a", any_values=True))
    assert verdicts.find("a", [2]) is not None
    assert [verdicts.find("a", [other]) for other in (2**31, "1", 1.0, True, None, Decimal(1))] == [None] * 6
    verdicts.keep("b", [1], verdict("b"))
    assert (verdicts.find("b", [1]) is not None, verdicts.find("b", [2])) == (True, None)


def test_the_oldest_verdicts_make_room_for_the_newest() -> None:
    verdicts = Verdicts(most=10_000)
    for number in range(100):
        verdicts.keep(str(number), [], verdict(str(number), 3_000))
        verdicts.find("0", [])  # used again and again
    held = [number for number in range(100) if verdicts.find(str(number), [])]
    assert held == [0, 99]

"""The queries of docs/data.md run as they stand, on each engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import PROJECT
from tests.support.engines import ENGINES, Opened, fill

QUERIES = re.findall(r"^\*\*(\d+)\. .*?^```sql\n(.*?)^```", (PROJECT / "docs/data.md").read_text("utf-8"), re.M | re.S)


@pytest.fixture(scope="module", params=sorted(ENGINES))
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder: Path = tmp_path_factory.mktemp("lake")
    with ENGINES[request.param](folder) as lake:
        fill(lake)
        yield lake


def test_there_are_ten() -> None:
    assert [int(number) for number, _ in QUERIES] == list(range(1, 11))


@pytest.mark.parametrize("sql", [sql for _, sql in QUERIES], ids=[number for number, _ in QUERIES])
def test_each_question_is_answered(opened: Opened, sql: str) -> None:
    opened.ask(sql)

"""One suite, three answers: what is expected, what the embedded engine answers, and what a real Trino answers.

Trino reads one lake with everything odd in it (tests/support/odd_lake.py) through the catalogue and the views that a
deployment makes; the embedded engine reads the same files. Names, types and rows must be the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import QueryRefused
from chalicelib.queries.athena.glue import GlueTables
from chalicelib.queries.embedded.engine import EmbeddedEngine
from chalicelib.queries.sql import literal
from chalicelib.reports import catalogue
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from chalicelib.tables import TABLES
from chalicelib.views import user_tables
from tests.emulator import shared
from tests.emulator.stage import make_stage
from tests.support import answers, odd_lake, trino
from tests.support.sql_conformance import CASES, Fails, Refused

pytestmark = [pytest.mark.judged, pytest.mark.timeout(600)]

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sql"
PLAYS = int(os.environ.get("PLAYS", "200000"))  # fewer give a quick look
PATIENCE = 120.0  # s that a statement may take on a busy machine
PERIODS = ("all", "7d", "4w", "6m", "1y", "2025", "2025-03", "2025-03-30", "2025-10")
USERS = ("", "anna", "o'neill", "百合子")
TEXTS = {
    "artist": ("Ann", "椎名林檎", "Earth, Wind & Fire", "o'neill"),
    "name": ("ann", "", "O'Connor", "1975"),
    "search": ("", "a", "%", "Ö"),
    "playlist": ("", "p000000000000000000003"),
}
#: Written answers that are the embedded engine's alone; docs/sql.md says why.
OF_THE_LAKE = (
    "concat('a', NULL)",
    "'a' || NULL",
    "SELECT count(*) FROM (SELECT x, lag(x) OVER (ORDER BY place) AS before",
)
LARGE = ("plays", "play_details", "heard")  # views whose rows are counted, and compared by month


@dataclass
class Lakes:
    """The same lake twice: in a folder under the embedded engine, and in a bucket under Trino."""

    engine: EmbeddedEngine
    trino: trino.Session

    def compare(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """The embedded engine answers as Trino does, or refuses or fails where Trino does."""
        try:
            judged = trino.ask(self.trino, sql, [literal(each) for each in parameters])
        except trino.TrinoFailed as error:
            assert self.fails(sql, parameters), f"it is answered; Trino says {error}"
            return
        query = self.engine.wait(self.engine.start_query(sql, parameters).query_id, PATIENCE)
        assert query.error is None, query.error
        found = answers.of_lake(query.columns, self.engine.rows(query.query_id, 100_000).rows, judged)
        wrong = answers.difference(found, answers.of_trino(judged), ordered=is_ordered(sql))
        assert wrong is None, wrong

    def fails(self, sql: str, parameters: Sequence[Any]) -> bool:
        try:
            query = self.engine.start_query(sql, parameters)
        except QueryRefused:
            return True
        return self.engine.wait(query.query_id, PATIENCE).error is not None


def is_ordered(sql: str) -> bool:
    """Whether the statement itself, and not only a part of it, says in which order rows come."""
    return re.search(r"\bORDER BY\b", without_brackets(sql), re.IGNORECASE) is not None


def without_brackets(sql: str) -> str:
    bare = re.sub(r"--[^\n]*|'(?:[^']|'')*'", "", sql)
    while "(" in bare:
        shorter = re.sub(r"\([^()]*\)", "", bare)
        if shorter == bare:
            return bare
        bare = shorter
    return bare


@pytest.fixture(scope="session")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakes]:
    settings = Settings(lake_url=str(tmp_path_factory.mktemp("lake")), query_seconds=PATIENCE)
    aws = shared()
    stage = make_stage(aws)
    lake = open_lake(settings)
    odd_lake.write_odd_lake(lake, PLAYS)
    for info in lake.store.list(""):
        stage.lake.store.write(info.key, lake.store.read(info.key))
    GlueTables(stage.names.database, stage.lake, glue=aws.client("glue")).register_all()
    engine = EmbeddedEngine(settings, lake)
    yield Lakes(engine, trino.shared().session(catalog=aws.athena.catalogues.of(None), schema=stage.names.database))
    engine.close()


# --- statements ---------------------------------------------------------------------------------------------------


def statements(name: str = "statements.sql") -> Iterator[str]:
    for line in (FIXTURES / name).read_text().splitlines():
        if line and not line.startswith("--"):
            yield line.removesuffix(";")


def expressions() -> Iterator[str]:
    around = ""
    for line in (FIXTURES / "expressions.txt").read_text().splitlines():
        if line.startswith("["):
            around = line[1:-1]
        elif line and not line.startswith("#"):
            yield around.replace("{}", line)


def test_there_are_at_least_300_statements_over_the_lakes_columns() -> None:
    assert len({*statements(), *expressions()}) >= 300


@pytest.mark.parametrize("sql", list(statements()))
def test_a_statement_means_what_trino_says(lakes: Lakes, sql: str) -> None:
    lakes.compare(sql)


@pytest.mark.parametrize("sql", list(expressions()))
def test_an_expression_over_the_lakes_columns_means_what_trino_says(lakes: Lakes, sql: str) -> None:
    lakes.compare(sql)


@pytest.mark.parametrize("sql", list(statements("not_answered.sql")))
def test_what_the_lake_does_not_answer_it_refuses(lakes: Lakes, sql: str) -> None:
    trino.ask(lakes.trino, sql)
    assert lakes.fails(sql, ())


def conformance() -> Iterator[Any]:
    for topic, cases in CASES.items():
        for written, expected in cases:
            if not isinstance(expected, Refused) and not written.startswith(OF_THE_LAKE):
                first = written.split(None, 1)[0].upper()
                sql = written if first in ("SELECT", "VALUES", "WITH") else f"SELECT {written}"
                yield pytest.param(sql, expected, id=f"{topic.split(':')[0]}: {written[:80]}")


@pytest.mark.parametrize(("sql", "expected"), list(conformance()))
def test_what_is_written_down_as_trinos_answer_is_trinos_answer(lakes: Lakes, sql: str, expected: Any) -> None:
    """The written answers are held against the embedded engine in tests/queries/sql/test_conformance.py."""
    if isinstance(expected, Fails):
        with pytest.raises(trino.TrinoFailed):
            trino.ask(lakes.trino, sql)
    lakes.compare(sql)


# --- reports and views --------------------------------------------------------------------------------------------


def parameter_sets(report: catalogue.Report) -> Iterator[dict[str, Any]]:
    """Every period, each in one of three zones, for one listener or all, with every choice and odd texts."""
    zones, users = cycle(odd_lake.ZONES), cycle(USERS)
    others = {each.name: cycle(each.values or TEXTS.get(each.name, ("",))) for each in report.parameters
              if each.type in ("choice", "text")}  # fmt: skip
    for period in PERIODS if report.parameters else PERIODS[:1]:
        given: dict[str, Any] = {name: next(values) for name, values in others.items()}
        for each in report.parameters:
            if each.type == "period":
                given[each.name] = period
            elif each.type == "timezone":
                given[each.name] = next(zones)
            elif each.type == "user":
                given[each.name] = next(users)
        yield given


def report_runs() -> Iterator[Any]:
    """Each report with all its sets, of which every second one is run by ``make soak`` alone."""
    for number, report in enumerate(catalogue.reports()):
        for place, values in enumerate(parameter_sets(report)):
            later = [pytest.mark.soak] if place and (number + place) % 2 else []
            yield pytest.param(report, values, id=f"{report.name}: {' '.join(map(str, values.values()))}", marks=later)


@pytest.mark.parametrize(("report", "values"), list(report_runs()))
def test_a_report_answers_what_trino_answers(lakes: Lakes, report: catalogue.Report, values: dict[str, Any]) -> None:
    ready = catalogue.bind(report, values, clock=lambda: odd_lake.NOW.replace(tzinfo=UTC))
    lakes.compare(ready.sql, ready.bound)


@pytest.mark.parametrize("name", sorted(user_tables()))
def test_a_view_holds_the_same_rows(lakes: Lakes, name: str) -> None:
    columns = [column.name for column in user_tables()[name]]
    lakes.compare(f"SELECT count(*), {', '.join(f'count({each})' for each in columns)} FROM {name}")
    if name not in LARGE:
        lakes.compare(f"SELECT * FROM {name}")
        return
    for month in ("2025-03", "2026-11", "2022-12"):
        lakes.compare(f"SELECT * FROM {name} WHERE date_format(ended_at, '%Y-%m') = '{month}'")


def test_views_are_declared_with_the_columns_that_trino_finds(lakes: Lakes) -> None:
    for table in TABLES:
        if table.current != "internal":
            found = trino.ask(lakes.trino, f"SELECT * FROM {table.name} LIMIT 0").columns
            assert [each.name for each in found] == [column.name for column in table.columns]

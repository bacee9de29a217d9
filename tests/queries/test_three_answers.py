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
from chalicelib.queries.engine import Query
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
TOGETHER = 20  # expressions asked in one statement
LARGE = ("plays", "play_details", "heard")  # views whose rows are counted, and compared by month


@dataclass(frozen=True)
class Both:
    """What came of asking both engines: how they differ, or nothing; and whether Trino answered."""

    wrong: str
    answered: bool


@dataclass
class Lakes:
    """The same lake twice: in a folder under the embedded engine, and in a bucket under Trino."""

    engine: EmbeddedEngine
    trino: trino.Session

    def compare(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """The embedded engine answers as Trino does, or refuses or fails where Trino does."""
        both = self.ask_both(sql, parameters)
        assert not both.wrong, both.wrong

    def compare_together(self, around: str, parts: Sequence[str]) -> None:
        """Many expressions in one statement, which is quicker; each alone where that one is not answered by both."""
        both = self.ask_both(around.replace("{}", ", ".join(parts)))
        if both.wrong or not both.answered:
            for part in parts:
                self.compare(around.replace("{}", part))

    def ask_both(self, sql: str, parameters: Sequence[Any] = ()) -> Both:
        """The engines work at the same time."""
        mine = self.start(sql, parameters)
        try:
            judged = trino.ask(self.trino, sql, [literal(each) for each in parameters])
        except trino.TrinoFailed as error:
            return Both("" if self.failure(mine) else f"it is answered; Trino says {error}", answered=False)
        if isinstance(mine, QueryRefused) or self.failure(mine):
            return Both(f"Trino answers; the lake says {self.failure(mine)}", answered=True)
        rows = [row for page in self.engine.all_rows(mine.query_id) for row in page.rows]
        found = answers.of_lake(mine.columns, rows, judged)
        return Both(answers.difference(found, answers.of_trino(judged), ordered=is_ordered(sql)) or "", answered=True)

    def start(self, sql: str, parameters: Sequence[Any]) -> Query | QueryRefused:
        try:
            return self.engine.start_query(sql, parameters)
        except QueryRefused as error:
            return error

    def failure(self, mine: Query | QueryRefused) -> str:
        """Why the embedded engine did not answer, or nothing."""
        if isinstance(mine, QueryRefused):
            return mine.message
        error = self.engine.wait(mine.query_id, PATIENCE).error
        return "" if error is None else str(error["message"])


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
    catalogue = aws.athena.catalogues.of(None, steady=True)
    yield Lakes(engine, trino.shared().session(catalog=catalogue, schema=stage.names.database))
    engine.close()


# --- statements ---------------------------------------------------------------------------------------------------


def statements(name: str = "statements.sql") -> Iterator[str]:
    for line in (FIXTURES / name).read_text().splitlines():
        if line and not line.startswith("--"):
            yield line.removesuffix(";")


def expressions() -> Iterator[tuple[str, list[str]]]:
    """Statements with a gap, and what is put into it, some at a time."""
    around = ""
    parts: list[str] = []
    for line in [*(FIXTURES / "expressions.txt").read_text().splitlines(), "[]"]:
        if parts and (line.startswith("[") or len(parts) == TOGETHER):
            yield around, parts
            parts = []
        if line.startswith("["):
            around = line[1:-1]
        elif line and not line.startswith("#"):
            parts.append(line)


def test_there_are_at_least_300_statements_over_the_lakes_columns() -> None:
    assert len(set(statements())) + sum(len(parts) for _, parts in expressions()) >= 300


@pytest.mark.parametrize("sql", list(statements()))
def test_a_statement_means_what_trino_says(lakes: Lakes, sql: str) -> None:
    lakes.compare(sql)


@pytest.mark.parametrize(("around", "parts"), list(expressions()))
def test_expressions_over_the_lakes_columns_mean_what_trino_says(lakes: Lakes, around: str, parts: list[str]) -> None:
    lakes.compare_together(around, parts)


@pytest.mark.parametrize("sql", list(statements("not_answered.sql")))
def test_what_the_lake_does_not_answer_it_refuses(lakes: Lakes, sql: str) -> None:
    trino.ask(lakes.trino, sql)
    assert lakes.failure(lakes.start(sql, ()))


def conformance() -> Iterator[tuple[str, str, Any]]:
    """Topic, statement or expression, and the answer that is written down."""
    for topic, cases in CASES.items():
        for written, expected in cases:
            if not isinstance(expected, Refused) and not written.startswith(OF_THE_LAKE):
                yield topic.split(":")[0], written, expected


def is_statement(written: str) -> bool:
    return written.split(None, 1)[0].upper() in ("SELECT", "VALUES", "WITH")


def answered_expressions() -> Iterator[list[str]]:
    found = [written for _, written, expected in conformance()
             if not is_statement(written) and not isinstance(expected, Fails)]  # fmt: skip
    for start in range(0, len(found), TOGETHER):
        yield found[start : start + TOGETHER]


@pytest.mark.parametrize("parts", list(answered_expressions()), ids=lambda parts: parts[0][:80])
def test_values_that_are_written_down_as_trinos_are_trinos(lakes: Lakes, parts: list[str]) -> None:
    """The written answers are held against the embedded engine in tests/queries/sql/test_conformance.py."""
    lakes.compare_together("SELECT {}", parts)


@pytest.mark.parametrize(
    ("sql", "fails"),
    [
        pytest.param(
            written if is_statement(written) else f"SELECT {written}",
            isinstance(expected, Fails),
            id=f"{topic}: {written[:80]}",
        )
        for topic, written, expected in conformance()
        if is_statement(written) or isinstance(expected, Fails)
    ],
)
def test_what_is_written_down_as_trinos_answer_is_trinos_answer(lakes: Lakes, sql: str, fails: bool) -> None:
    both = lakes.ask_both(sql)
    assert not both.wrong, both.wrong
    assert both.answered is not fails


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
    """Each report with all its sets, of which ``make soak`` alone runs two of three."""
    for number, report in enumerate(catalogue.reports()):
        for place, values in enumerate(parameter_sets(report)):
            later = [pytest.mark.soak] if place and (number + place) % 3 else []
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
            assert [each.name for each in found] == [column.name for column in table.shown_columns]

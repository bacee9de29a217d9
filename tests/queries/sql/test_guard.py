"""The guard's words and places, literals, and what the documentation says of the dialect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import LakeError, QueryRefused
from chalicelib.queries.sql import check, literal
from chalicelib.queries.sql.functions import known_names
from chalicelib.tables import TABLES
from chalicelib.views import physical_tables, user_tables, views
from tests.support import PROJECT
from tests.support.engines import Opened, embedded

ROOT = PROJECT


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with embedded(tmp_path_factory.mktemp("guard")) as made:
        yield made


@pytest.mark.parametrize(
    ("sql", "line", "column", "words"),
    [
        ("SELECT nope FROM plays", 1, 8, "column 'nope' cannot be resolved"),
        ("SELECT 1\nFROM nowhere", 2, 6, "there is no table 'nowhere'"),
        ("SELECT *\nFROM plays\nWHERE ended_at > 'x'", 3, 7, "cannot apply timestamp(3) > varchar"),
        ("SELECT substr('a')", 1, 8, "substr(varchar) is not a function; there is substr(varchar, bigint)"),
        ("SELECT date_trunc('decade', ended_at) FROM plays", 1, 19, "'decade' is not a unit"),
        ("DELETE FROM plays", 1, 1, "only SELECT"),
        ("SELECT 1; SELECT 2", 1, 9, "give one statement"),
        ("SELECT * FROM other.plays", 1, 15, "name a table without its database"),
        ("SELECT FROM WHERE", 1, 8, "'FROM' stands where an expression is expected"),
        (
            "SELECT count(*) FROM plays WHERE sum(ms_played) > 1",
            1,
            34,
            "sum cannot be used here: WHERE holds no",
        ),
        ("SELECT 'é', nope", 1, 13, "column 'nope'"),
    ],
)
def test_a_refusal_names_the_place_and_the_reason(sql: str, line: int, column: int, words: str) -> None:
    with pytest.raises(QueryRefused) as refused:
        check(sql, user_tables())
    assert refused.value.details["position"] == {"line": line, "column": column}
    assert words in refused.value.message


def test_a_closing_semicolon_is_allowed() -> None:
    assert check("SELECT 1 ;\n", user_tables()).sql == "SELECT 1"


def test_what_a_statement_reads_and_answers_is_known_before_it_runs() -> None:
    checked = check("SELECT name, count(*) AS n FROM tracks JOIN plays ON item_id = track_id GROUP BY 1", user_tables())
    assert checked.tables == ("tracks", "plays")
    assert [(column.name, column.type) for column in checked.columns] == [("name", "varchar"), ("n", "bigint")]
    assert not checked.volatile
    assert check("SELECT now()", user_tables()).volatile


def test_every_view_is_in_the_dialect_and_has_its_tables_columns() -> None:
    declared = {table.name: table for table in TABLES}
    for name, sql in views():
        assert [column.name for column in check(sql, physical_tables()).columns] == [
            column.name for column in declared[name].shown_columns
        ]


def to_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


FIRST, LAST = datetime(1970, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001


@pytest.mark.thorough
@settings(max_examples=100, deadline=None)
@given(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    | st.dates()
    | st.datetimes(FIRST, LAST).map(to_milliseconds)
    | st.decimals(-(10**12), 10**12, places=4)
)
def test_a_literal_means_its_value_as_a_bound_parameter_does(opened: Opened, value: Any) -> None:
    for sql, parameters in ((f"SELECT {literal(value)}", ()), ("SELECT ?", (value,))):
        ((found,),) = opened.ask(sql, *parameters)
        assert found == value and type(found) in (type(value), Decimal)


def test_a_moment_with_a_zone_is_bound_as_that_moment(opened: Opened) -> None:
    moment = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    same = "TIMESTAMP '2026-07-01 10:00:00 UTC'"
    assert opened.ask(f"SELECT ? = {same}, {literal(moment)} = {same}", moment) == [(True, True)]
    assert opened.ask("SELECT ?", moment)[0][0].astimezone(UTC) == moment


def test_a_text_that_looks_like_a_parameter_is_none(opened: Opened) -> None:
    sql = "SELECT '$lake_0', hour(at_timezone(TIMESTAMP '2026-07-01 22:30:00 UTC', ?)), '$lake_1'"
    assert opened.ask(sql, "Europe/Berlin") == [("$lake_0", 0, "$lake_1")]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT artist_nam FROM plays", "did you mean artist_name?"),
        ("SELECT p.artist_nam FROM plays AS p", "did you mean artist_name?"),
        ("SELECT 1 FROM play", "did you mean plays?"),
        ("SELECT substrin('a', 1)", "did you mean substring?"),
        ("SELECT CAST(1 AS bigin)", "did you mean bigint?"),
        ("SELECT 1 FROM plays WHERE ended_at > '2026-01-01'", "write TIMESTAMP '2026-01-01'"),
        ("SELECT localtimestamp AT TIME ZONE 'Europe/Berln'", "did you mean Europe/Berlin?"),
        ("SELECT nvl(artist_name, 'x') FROM plays", "did you mean coalesce?"),
        ("SELECT CAST(artist_name AS string) FROM plays", "did you mean varchar?"),
        ("SELECT date_trunc('weeks', ended_at) FROM plays", "did you mean week?"),
        ("SELECT x.name FROM artists AS a", "FROM has no 'x'"),
        ('SELECT 1 FROM plays WHERE artist_name = "Ann"', "single quotes: 'Ann'"),
        ("SELECT popularity AS p FROM artists WHERE p > 5", "names of the select list are known in ORDER BY alone"),
        ("SELECT genres = 'rock' FROM artists", "write contains(array, element)"),
        ("SELECT name FROM artists WHERE 'rock' IN genres", "contains(array, element)"),
        ("SELECT name FROM artists WHERE genres LIKE '%rock%'", "any_match(array"),
        ("SELECT name FROM artists WHERE name == 'x'", "one ="),
        ("SELECT TOP 10 name FROM artists", "write LIMIT"),
        ("SELECT name FROM artists LIMIT 10, 20", "write OFFSET n LIMIT m"),
        ("SELECT localtimestamp + INTERVAL 7 DAY", "write INTERVAL '7' DAY"),
        ("SELECT name FORM artists WHERE true", "is expected"),
        ("SELEC name FROM artists", "did you mean select?"),
    ],
)
def test_a_refusal_says_what_may_have_been_meant(sql: str, words: str) -> None:
    with pytest.raises(QueryRefused) as refused:
        check(sql, user_tables())
    assert words in refused.value.message


def test_what_cannot_be_bound_is_named() -> None:
    with pytest.raises(QueryRefused, match="parameter 1: list cannot be bound"):
        check("SELECT ?", user_tables(), [[1]])
    with pytest.raises(QueryRefused, match="parameter 1: int cannot be bound"):
        check("SELECT ?", user_tables(), [2**70])


WORDS = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "BY",
    "WITH",
    "AS",
    "plays",
    "(",
    ")",
    ",",
    "'",
    '"',
    ";",
    "--",
    "/*",
    "*/",
    "*",
    "?",
    "1",
    "a",
    ".",
    "=",
    "[",
    "]",
    "->",
    "CASE",
    "END",
    "ARRAY",
    "MAP",
]


@pytest.mark.thorough
@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
def test_no_text_makes_the_guard_fail_otherwise_than_by_refusing(text: str) -> None:
    try:
        check(text, user_tables())
    except LakeError as error:
        assert isinstance(error, QueryRefused)


def test_every_function_is_documented() -> None:
    written = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "sql.md").read_text().lower()))
    assert set(known_names()) - written == set()


def test_no_documented_function_is_unknown() -> None:
    section = (ROOT / "docs" / "sql.md").read_text().partition("## Functions")[2].partition("`ceiling`, `week")[0]
    assert set(re.findall(r"`(\w+)`", section)) - set(known_names()) == set()


def test_dates_of_parameters_have_the_type_of_their_literal() -> None:
    assert check("SELECT ?", user_tables(), [date(2026, 1, 1)]).columns[0].type == "date"


def test_a_literal_becomes_a_moment_without_a_function_of_the_lakes_own() -> None:
    """A file of views, which others open, has none."""
    checked = check("SELECT CAST('2026-01-02 10:00 Europe/Berlin' AS timestamp) AS at", user_tables())
    assert "lake_" not in checked.duckdb

"""Judging a statement is bounded work, whatever it is; and no name or text becomes a part of the translation."""

from __future__ import annotations

from itertools import pairwise

import duckdb
import pytest

from chalicelib.errors import QueryRefused
from chalicelib.queries.sql import check
from chalicelib.views import user_tables
from tests.support.sql_fuzzer import NESTS, Fuzzer, judged

SAMPLE = 1_000


@pytest.mark.thorough
def test_no_statement_ends_otherwise_than_translated_or_refused() -> None:
    fuzzer = Fuzzer(seed=20)
    wrong = [
        (found, statement[:200])
        for statement in (fuzzer.statement() for _ in range(SAMPLE))
        if (found := judged(statement)[1])
    ]
    assert not wrong


@pytest.mark.soak
def test_200_000_statements_are_judged_within_their_time() -> None:
    fuzzer = Fuzzer(seed=21)
    for _ in range(200_000):
        statement = fuzzer.statement()
        seconds, wrong = judged(statement)
        assert not wrong, statement[:300]
        assert seconds < 0.2 or min(judged(statement)[0] for _ in range(3)) < 0.2, statement[:300]


def test_what_a_clause_cannot_take_is_refused_too() -> None:
    with pytest.raises(QueryRefused, match="cannot be compared here"):
        check("SELECT 1 GROUP BY MAP(ARRAY[1], ARRAY[TIMESTAMP '2026-11-20 10:00:00 Europe/Berlin'])", user_tables())


@pytest.mark.parametrize("nest", NESTS, ids=lambda nest: nest[0].strip())
def test_the_translation_grows_no_faster_than_the_nesting(nest: tuple[str, str]) -> None:
    """Counted, not timed: twice the levels make at most some three times the text."""
    sizes = []
    for depth in (12, 24, 48):
        for inner in ("1", "'a'", "ARRAY[1]", "true", "current_date"):
            try:
                sizes.append(
                    (depth, len(check(f"SELECT {nest[0] * depth}{inner}{nest[1] * depth}", user_tables()).duckdb))
                )
                break
            except QueryRefused:
                continue
    for (depth, size), (_, next_size) in pairwise(sizes):
        assert next_size <= 3 * size + 2_000, (depth, sizes)


def test_each_reduce_that_widens_its_state_within_another_doubles_the_work_and_few_may() -> None:
    def nested(levels: int, start: str = "0") -> str:
        return "SELECT " + f"reduce(ARRAY[1], {start}, (s, v) -> " * levels + "1.5" + ", s -> s)" * levels

    for levels in (5, 10, 25):
        with pytest.raises(QueryRefused, match="let each reduce start"):
            check(nested(levels), user_tables())
    assert check(nested(3), user_tables()).duckdb
    assert check(nested(20, "CAST(0 AS decimal(2,1))"), user_tables()).duckdb


@pytest.mark.parametrize(
    "statement",
    [
        "/* " * 20_000,
        "SELECT 1 " + "/* " * 20_000,
        "SELECT " + "9" * 100_000,
        "SELECT 1." + "9" * 100_000,
        "SELECT " + ",".join(["slice(" * 6 + "genres" + ",1,2)" * 6] * 600) + " FROM artists",
        "SELECT 1 FROM plays " + "JOIN plays " * 900,
        "SELECT regexp_like('a', '" + "\\[a" * 20_000 + "')",
        "SELECT JSON '" + "[" * 100_000 + "'",
    ],
    ids=lambda statement: statement[:24],
)
def test_what_is_long_is_refused_or_stays_small(statement: str) -> None:
    try:
        assert len(check(statement, user_tables()).duckdb) < 3_000_000
    except QueryRefused as error:
        assert len(error.message) < 1_000


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT CAST(1 AS varchar(abc))",
        "SELECT CAST(1 AS varchar(99999999999999999999))",
        "SELECT CAST('1' AS decimal(abc))",
        "SELECT CAST('1' AS decimal(99999999999999999999, 1))",
        "SELECT " + "9" * 5_000,
        "SELECT -" + "9" * 5_000,
        "SELECT 1 LIMIT 99999999999999999999",
        "SELECT DECIMAL 'NaN'",
        "SELECT DECIMAL 'Infinity'",
        "SELECT INTERVAL '99999999999999999999' YEAR",
        "SELECT U&'\\D800'",
        "SELECT format('%1000000000d', 1)",
        "SELECT format('%.1000000000f', 1e0)",
        "SELECT json_parse('" + "[" * 20_000 + "')",
        "SELECT regexp_extract('a', '(', 1)",
        "SELECT regexp_like('a', '[a')",
        "SELECT regexp_like('a', 'a**')",
        "SELECT regexp_like('a', 'a{99999999999}')",
        "SELECT 1 FROM plays JOIN tracks",
        "SELECT sum(sum(ms_played)) FROM plays",
    ],
    ids=lambda statement: statement[:50],
)
def test_what_no_engine_could_take_is_refused_with_its_place(statement: str) -> None:
    with pytest.raises(QueryRefused, match=r"line 1, column \d+: "):
        check(statement, user_tables())


HOSTILE = [
    'a"b',
    "a'b",
    "a''b",
    "a'); SELECT 1; --",
    "x') || (SELECT 1) || ('",
    "{0}",
    "{1.sql}",
    "$lake_0",
    "\\",
    "a\nb",
    "é",
    "*/",
    "f1",
]
PLACES = [
    "SELECT {q}.{q} FROM (VALUES 1) AS {q}({q})",
    "SELECT x AS {q} FROM (VALUES 1) AS t(x) ORDER BY {q}",
    "WITH {q}({q}) AS (SELECT 1) SELECT * FROM {q}",
    "SELECT transform(ARRAY[1], {q} -> {q} + 1)",
    "SELECT reduce(ARRAY[1], 0, ({q}, y) -> {q} + y, {q} -> {q})",
    "SELECT sum(x) OVER {q} FROM (VALUES 1) AS t(x) WINDOW {q} AS (ORDER BY x)",
    "SELECT * FROM (VALUES 1) AS t({q}) JOIN (VALUES 1) AS u({q}) USING ({q})",
    "SELECT * FROM UNNEST(ARRAY[1]) WITH ORDINALITY AS {q}(x, {q})",
    "SELECT CAST(ROW(1) AS ROW({q} bigint)).{q}",
    "SELECT * FROM UNNEST(CAST(ARRAY[ROW(1, 2)] AS ARRAY(ROW(x bigint, {q} varchar))))",
    "SELECT CAST(ROW(ROW(1)) AS ROW(a ROW({q} bigint))).a.{q}",
    "SELECT CAST(CAST(ROW(1) AS ROW({q} bigint)) AS json)",
    "SELECT CAST(JSON '[1]' AS ROW({q} bigint))",
    "SELECT typeof(CAST(ROW(1) AS ROW({q} bigint)))",
    "SELECT {t}, 'x' || {t}, x = {t} FROM (VALUES {t}) AS t(x)",
    "SELECT regexp_replace(x, {t}, {t}) FROM (VALUES 'x') AS t(x)",
    "SELECT date_format(localtimestamp, {t}), format({t}, 1)",
    "SELECT listagg(x, {t}) WITHIN GROUP (ORDER BY x) FROM (VALUES 'x') AS t(x)",
    "SELECT json_extract(x, {t}) FROM (VALUES 'x') AS t(x)",
    "SELECT localtimestamp AT TIME ZONE {t}",
    "SELECT map(ARRAY[{t}], ARRAY[1])[{t}]",
    "SELECT 'a' LIKE {t} ESCAPE 'e'",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_or_text_stays_a_name_or_a_text(place: str, name: str) -> None:
    """DuckDB reads one statement that reads no more tables and calls no more functions than with a harmless one."""
    quoted = '"' + name.replace('"', '""') + '"'
    text = "'" + name.replace("'", "''") + "'"
    try:
        checked = check(place.replace("{q}", quoted).replace("{t}", text), user_tables())
    except QueryRefused:
        return
    with duckdb.connect() as connection:
        (statement,) = connection.extract_statements(checked.duckdb)
        assert statement.type == duckdb.StatementType.SELECT
        assert not statement.named_parameters
        assert set(connection.get_table_names(checked.duckdb)) == set()
        try:
            connection.execute(checked.duckdb)
        except duckdb.Error as error:
            assert not isinstance(error, duckdb.ParserException | duckdb.CatalogException), checked.duckdb

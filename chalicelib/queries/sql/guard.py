"""What SQL is allowed: one statement that reads this lake's tables, in Athena's dialect (Trino).

The statement is parsed and every node of it translated; what has no translation is refused with its place. The same
check stands before both engines: the embedded one runs the translation, Athena the statement as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlglot import exp
from sqlglot.tokenizer_core import Token

from chalicelib.errors import QueryRefused
from chalicelib.queries.engine import ResultColumn
from chalicelib.queries.sql.constants import PARAMETER, type_of_value
from chalicelib.queries.sql.parsing import Statement, parse, refused_at, tokenize
from chalicelib.queries.sql.queries import Queries
from chalicelib.queries.sql.types import VARCHAR, Type, declared, text
from chalicelib.queries.sql.values import OPAQUE
from chalicelib.tables import Column

QUERIES = (exp.Select, exp.Values, exp.Union, exp.Intersect, exp.Except, exp.Subquery)
READS = "only SELECT, WITH, VALUES, SHOW TABLES, SHOW COLUMNS, DESCRIBE and EXPLAIN are allowed"
REMEMBERED = 512  # statements whose check is kept
LONGEST_PATTERN = 100  # characters

TableColumns = tuple[tuple[str, Type], ...]
Tables = tuple[tuple[str, TableColumns], ...]
Parameters = tuple[tuple[Type, Any], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement that may run.

    ``sql`` is what was written, without a closing semicolon; ``duckdb`` its translation, whose parameters are named
    and bound from ``values``. ``tables`` are those it reads. A ``volatile`` one answers differently each time.
    """

    sql: str
    kind: str  # select, explain, show
    duckdb: str
    columns: tuple[ResultColumn, ...]
    tables: tuple[str, ...]
    volatile: bool
    values: Mapping[str, Any]


def check(sql: str, tables: Mapping[str, Sequence[Column]], parameters: Sequence[Any] = ()) -> Checked:
    """What ``sql`` means over ``tables`` (each table's columns by its name in lower case).

    Raises QueryRefused, with the place where that is known, for anything but one reading statement over them.
    """
    given = tuple(parameters)
    kinds = tuple(type_of_value(value) for value in given)
    for at, kind in enumerate(kinds):
        if kind is None:
            raise QueryRefused(f"parameter {at + 1}: {type(given[at]).__name__} cannot be bound")
    known = catalogue(tables)
    if not given:
        return for_these_values(sql, known, (), ())
    found = for_any_values(sql, known, kinds) or for_these_values(sql, known, kinds, given)
    return replace(found, values=bound(found.duckdb, given))


def bound(translation: str, given: tuple[Any, ...]) -> dict[str, Any]:
    """The values of the parameters that the translation names (a time zone becomes part of it); moments as UTC."""
    named = {at: PARAMETER.format(at) for at in range(len(given))}
    return {
        name.removeprefix("$"): as_utc(given[at]) for at, name in named.items() if re.search(rf"\{name}\b", translation)
    }


def as_utc(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def catalogue(tables: Mapping[str, Sequence[Column]]) -> Tables:
    return tuple((name, columns_of(tuple(columns))) for name, columns in tables.items())


@lru_cache(256)
def columns_of(columns: tuple[Column, ...]) -> TableColumns:
    return tuple((column.name, declared(column.type)) for column in columns)


@lru_cache(REMEMBERED)
def for_any_values(sql: str, tables: Tables, kinds: tuple[Type, ...]) -> Checked | None:
    """The translation that serves whatever the parameters' values are; None when there is none."""
    try:
        return translated(sql, tables, tuple((kind, OPAQUE) for kind in kinds))
    except QueryRefused:
        return None


@lru_cache(REMEMBERED)
def for_these_values(sql: str, tables: Tables, kinds: tuple[Type, ...], given: tuple[Any, ...]) -> Checked:
    """The translation for these values alone: a format, a pattern, a time zone."""
    return translated(sql, tables, tuple(zip(kinds, given, strict=True)))


def translated(sql: str, tables: Tables, parameters: Parameters) -> Checked:
    tokens = tokenize(sql)
    sql = sql[: tokens[-1].end + 1]
    places = tuple(token.start for token in tokens if token.text == "?" and sql[token.start] == "?")
    if len(places) != len(parameters):
        raise QueryRefused(f"the statement has {len(places)} '?' and {len(parameters)} parameters were given")
    first = tokens[0].text.upper()
    if first in ("SHOW", "DESCRIBE", "DESC"):
        return show(sql, tokens, dict(tables))
    if first == "EXPLAIN":
        return explain(sql, tokens, tables, parameters, places)
    return query(sql, tokens, tables, parameters, places)


def query(sql: str, tokens: list[Token], tables: Tables, parameters: Parameters, places: tuple[int, ...]) -> Checked:
    tree = parse(sql, tokens)
    if not isinstance(tree, QUERIES) or tokens[0].text.upper() not in ("SELECT", "WITH", "VALUES", "("):
        raise refused_at(sql, tokens[0].start, READS)
    statement = Statement(sql, tree, dict(tables), parameters, places)
    queries = Queries(statement)
    try:
        relation = queries.top(tree)
    except RecursionError:
        raise QueryRefused("the statement is nested too deeply") from None
    return Checked(
        sql=sql,
        kind="select",
        duckdb=relation.sql,
        columns=tuple(
            ResultColumn(column.name or f"_col{at}", str(column.type)) for at, column in enumerate(relation.columns)
        ),
        tables=tuple(statement.used),
        volatile=statement.volatile,
        values={},
    )


def explain(sql: str, tokens: list[Token], tables: Tables, parameters: Parameters, places: tuple[int, ...]) -> Checked:
    """``EXPLAIN query``: how the engine would run it."""
    if len(tokens) < 2 or tokens[1].text.upper() not in ("SELECT", "WITH", "VALUES"):
        raise refused_at(sql, tokens[0].start, "EXPLAIN takes a query, without options")
    inner = query(sql, tokens[1:], tables, parameters, places)
    columns = (ResultColumn("Query Plan", "varchar"),)
    return Checked(sql, "explain", f"EXPLAIN {inner.duckdb}", columns, inner.tables, True, {})


def show(sql: str, tokens: list[Token], tables: dict[str, TableColumns]) -> Checked:
    """``SHOW TABLES [LIKE 'pattern']``, ``SHOW COLUMNS FROM table``, ``DESCRIBE table``: from the declarations."""
    words = [token.text.upper() for token in tokens]
    if words[0] != "SHOW" and len(words) == 2:
        return show_columns(sql, tokens[1], tables, with_types=True)
    if words[:2] == ["SHOW", "COLUMNS"] and len(words) == 4 and words[2] in ("FROM", "IN"):
        return show_columns(sql, tokens[3], tables, with_types=False)
    if words == ["SHOW", "TABLES"]:
        return answer(sql, ["tab_name"], [[name] for name in sorted(tables)])
    if words[:3] == ["SHOW", "TABLES", "LIKE"] and len(words) == 4 and len(words[3]) < LONGEST_PATTERN:
        pattern = re.compile(re.sub("%+", ".*", re.escape(tokens[3].text)))
        return answer(sql, ["tab_name"], [[name] for name in sorted(tables) if pattern.fullmatch(name)])
    raise refused_at(sql, tokens[0].start, READS)


def show_columns(sql: str, token: Token, tables: dict[str, TableColumns], *, with_types: bool) -> Checked:
    columns = tables.get(token.text.lower())
    if columns is None:
        raise refused_at(sql, token.start, f"there is no table '{token.text}'; GET /tables lists them")
    if with_types:
        return answer(sql, ["col_name", "data_type"], [[name, str(kind)] for name, kind in columns])
    return answer(sql, ["field"], [[name] for name, _ in columns])


def answer(sql: str, names: list[str], rows: list[list[str]]) -> Checked:
    """A statement whose answer is known already, as a query for it."""
    cells = ", ".join(f"({', '.join([str(at), *map(text, row)])})" for at, row in enumerate(rows))
    heads = ", ".join(names)
    listed = f"VALUES {cells}" if rows else f"SELECT 0{', NULL' * len(names)} WHERE false"
    made = f"SELECT {heads} FROM ({listed}) AS listed(place, {heads}) ORDER BY place"
    return Checked(sql, "show", made, tuple(ResultColumn(name, str(VARCHAR)) for name in names), (), False, {})

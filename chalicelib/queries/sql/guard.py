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

from chalicelib.errors import QueryRefused
from chalicelib.queries.engine import ResultColumn
from chalicelib.queries.sql.constants import PARAMETER, type_of_value
from chalicelib.queries.sql.parser import Parser
from chalicelib.queries.sql.query import top
from chalicelib.queries.sql.suggestions import did_you_mean
from chalicelib.queries.sql.tokens import Token, one_statement, refused_at
from chalicelib.queries.sql.translator import TableColumns, Translator
from chalicelib.queries.sql.types import VARCHAR, Type, declared, text
from chalicelib.queries.sql.values import OPAQUE, Refused
from chalicelib.tables import Column

QUERY_WORDS = ("SELECT", "WITH", "VALUES", "(")
READS = "only SELECT, WITH, VALUES, SHOW TABLES, SHOW COLUMNS, DESCRIBE and EXPLAIN are allowed"
REMEMBERED = 512  # statements whose check is kept
LONGEST_PATTERN = 100  # characters

Tables = tuple[tuple[str, TableColumns], ...]
Parameters = tuple[tuple[Type, Any], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement that may run.

    ``sql`` is what was written, without a closing semicolon; ``duckdb`` its translation, whose parameters are named
    and bound from ``values``. ``tables`` are those it reads. A ``volatile`` one answers differently each time. One for
    ``any_values`` is the same for all parameters of the same types.
    """

    sql: str
    kind: str  # select, explain, show
    duckdb: str
    columns: tuple[ResultColumn, ...]
    tables: tuple[str, ...]
    volatile: bool
    values: Mapping[str, Any]
    any_values: bool = False


def check(sql: str, tables: Mapping[str, Sequence[Column]], parameters: Sequence[Any] = ()) -> Checked:
    """What ``sql`` means over ``tables`` (each table's columns by its name in lower case).

    Raises QueryRefused, with the place where that is known, for anything but one reading statement over them.
    """
    return with_values(check_unbound(sql, tables, parameters), parameters)


def check_unbound(sql: str, tables: Mapping[str, Sequence[Column]], parameters: Sequence[Any] = ()) -> Checked:
    """As :func:`check`, but ``values`` has places of parameters, not yet their values (:func:`with_values`)."""
    given = tuple(parameters)
    kinds = tuple(type_of_value(value) for value in given)
    for at, kind in enumerate(kinds):
        if kind is None:
            raise QueryRefused(f"parameter {at + 1}: {type(given[at]).__name__} cannot be bound")
    known = catalogue(tables)
    if not given:
        return for_these_values(sql, known, (), ())
    return for_any_values(sql, known, kinds) or for_these_values(sql, known, kinds, given)


def with_values(statement: Checked, parameters: Sequence[Any]) -> Checked:
    """The statement with its parameters' values in their places."""
    return replace(statement, values={name: as_utc(parameters[at]) for name, at in statement.values.items()})


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
        return replace(translated(sql, tables, tuple((kind, OPAQUE) for kind in kinds)), any_values=True)
    except QueryRefused:
        return None


@lru_cache(REMEMBERED)
def for_these_values(sql: str, tables: Tables, kinds: tuple[Type, ...], given: tuple[Any, ...]) -> Checked:
    """The translation for these values alone: a format, a pattern, a time zone."""
    return translated(sql, tables, tuple(zip(kinds, given, strict=True)))


def translated(sql: str, tables: Tables, parameters: Parameters) -> Checked:
    """The check of one statement; ``values`` has the place of each parameter that its translation names."""
    tokens = one_statement(sql)
    sql = sql[: tokens[-2].end]
    places = sum(token.word == "?" for token in tokens)
    if places != len(parameters):
        raise QueryRefused(f"the statement has {places} '?' and {len(parameters)} parameters were given")
    first = tokens[0].word
    if first in ("SHOW", "DESCRIBE", "DESC"):
        return show(sql, tokens[:-1], dict(tables))
    if first == "EXPLAIN":
        return explain(sql, tokens, tables, parameters)
    return query(sql, tokens, tables, parameters)


def query(sql: str, tokens: list[Token], tables: Tables, parameters: Parameters) -> Checked:
    if tokens[0].word not in QUERY_WORDS:
        raise refused_at(sql, tokens[0].at, READS + did_you_mean(tokens[0].value, ("select", "with", "values")))
    tree = Parser(sql, tokens).statement()
    translator = Translator(sql, dict(tables), parameters)
    try:
        relation = top(translator, tree)
    except RecursionError:
        raise QueryRefused("the statement is nested too deeply") from None
    except Refused as error:  # of a clause rather than of one expression, whose place would be told
        raise QueryRefused(str(error)) from None
    return Checked(
        sql=sql,
        kind="select",
        duckdb=relation.sql,
        columns=tuple(
            ResultColumn(column.name or f"_col{at}", str(column.type)) for at, column in enumerate(relation.columns)
        ),
        tables=tuple(translator.used),
        volatile=translator.volatile,
        values={PARAMETER.format(place).removeprefix("$"): place for place in translator.bound},
    )


def explain(sql: str, tokens: list[Token], tables: Tables, parameters: Parameters) -> Checked:
    """``EXPLAIN query``: how the engine would run it."""
    if tokens[1].word not in QUERY_WORDS or tokens[1].word == "(":
        raise refused_at(sql, tokens[0].at, "EXPLAIN takes a query, without options")
    inner = query(sql, tokens[1:], tables, parameters)
    columns = (ResultColumn("Query Plan", "varchar"),)
    return Checked(sql, "explain", f"EXPLAIN {inner.duckdb}", columns, inner.tables, True, inner.values)


def show(sql: str, tokens: list[Token], tables: dict[str, TableColumns]) -> Checked:
    """``SHOW TABLES [LIKE 'pattern']``, ``SHOW COLUMNS FROM table``, ``DESCRIBE table``: from the declarations."""
    words = [token.word or token.value for token in tokens]
    if words[0] != "SHOW" and len(words) == 2:
        return show_columns(sql, tokens[1], tables, with_types=True)
    if words[:2] == ["SHOW", "COLUMNS"] and len(words) == 4 and words[2] in ("FROM", "IN"):
        return show_columns(sql, tokens[3], tables, with_types=False)
    if words == ["SHOW", "TABLES"]:
        return answer(sql, ["tab_name"], [[name] for name in sorted(tables)])
    if words[:3] == ["SHOW", "TABLES", "LIKE"] and len(words) == 4 and len(words[3]) < LONGEST_PATTERN:
        pattern = re.compile(re.sub("%+", ".*", re.escape(tokens[3].value)))
        return answer(sql, ["tab_name"], [[name] for name in sorted(tables) if pattern.fullmatch(name)])
    raise refused_at(sql, tokens[0].at, READS)


def show_columns(sql: str, token: Token, tables: dict[str, TableColumns], *, with_types: bool) -> Checked:
    columns = tables.get(token.value.lower())
    if columns is None:
        hint = did_you_mean(token.value, tables)
        raise refused_at(sql, token.at, f"there is no table '{token.value}'; GET /tables lists them{hint}")
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

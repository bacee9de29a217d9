"""FROM: tables, subqueries, joins, UNNEST and LATERAL, each giving columns under an alias."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql.comparison import compare
from chalicelib.queries.sql.scope import Column, Field, Relation, Scope, Source, fields_of
from chalicelib.queries.sql.suggestions import did_you_mean
from chalicelib.queries.sql.translator import Translator, relation
from chalicelib.queries.sql.types import BIGINT, UNKNOWN, Type, common, quote
from chalicelib.queries.sql.values import Value, coerce


@relation(s.Table)
def table(translator: Translator, node: s.Table, _scope: Scope) -> Source:
    found = named_table(translator, node)
    held_as = translator.fresh("t")
    return Source(f"{found.sql} AS {held_as}", fields_of(node.parts[0], held_as, found.columns))


def named_table(translator: Translator, node: s.Table) -> Relation:
    """A query of WITH, or a table of the lake."""
    if len(node.parts) > 1:
        translator.refuse(node, "name a table without its database")
    name = node.parts[0]
    for defined in reversed(translator.named):
        if found := defined.get(name.lower()):
            return found
    columns = translator.tables.get(name.lower())
    if columns is None:
        known = [*translator.tables, *(one for defined in translator.named for one in defined)]
        translator.refuse(node, f"there is no table '{name}'; GET /tables lists them{did_you_mean(name, known)}")
    translator.used[name.lower()] = None
    return Relation(quote(name.lower()), tuple(Column(column, column, kind) for column, kind in columns))


@relation(s.Derived)
def derived(translator: Translator, node: s.Derived, scope: Scope) -> Source:
    return subquery_source(translator, "", translator.query(node.query, scope.outer))


@relation(s.Lateral)
def lateral(translator: Translator, node: s.Lateral, scope: Scope) -> Source:
    return subquery_source(translator, "LATERAL ", translator.query(node.query, scope))


def subquery_source(translator: Translator, word: str, found: Relation) -> Source:
    held_as = translator.fresh("t")
    return Source(f"{word}({found.sql}) AS {held_as}", fields_of(None, held_as, found.columns))


@relation(s.Aliased)
def aliased(translator: Translator, node: s.Aliased, scope: Scope) -> Source:
    source = translator.source(node.relation, scope)
    names: Sequence[str | None] = [one.name for one in source.fields]
    if node.columns is not None:
        if len(node.columns) != len(names):
            translator.refuse(node, f"the alias {node.name} has {len(node.columns)} names for {len(names)} columns")
        names = node.columns
    alias = node.name.lower()
    return Source(source.sql, [Field(alias, name, one.value) for name, one in zip(names, source.fields, strict=True)])


# Joins


@relation(s.Join)
def join(translator: Translator, node: s.Join, scope: Scope) -> Source:
    """Joins in a row, from their left end, without recursion."""
    chain = [node]
    while isinstance(chain[-1].left, s.Join):
        chain.append(chain[-1].left)
    left = translator.source(chain[-1].left, scope)
    for part in reversed(chain):
        left = joined(translator, part, left, scope)
    return left


def joined(translator: Translator, node: s.Join, left: Source, scope: Scope) -> Source:
    if node.natural:
        translator.refuse(node, "Athena does not know NATURAL JOIN; write JOIN … USING (columns)")
    before = Scope(scope.outer, [*scope.fields, *left.fields], scope.level)
    before.subquery = f"{'INNER' if node.kind == 'CROSS' else node.kind} LATERAL"
    check_lateral(translator, node)
    right = translator.source(node.right, before)
    sql = f"({right.sql})" if isinstance(node.right, s.Join) else right.sql
    if node.kind == "CROSS":
        return Source(f"{left.sql} CROSS JOIN {sql}", [*left.fields, *right.fields])
    word = "" if node.kind == "INNER" else f"{node.kind} "
    if node.using is not None:
        test, fields = using(translator, node, left, right)
        return Source(f"{left.sql} {word}JOIN {sql} ON {test}", fields)
    fields = [*left.fields, *right.fields]
    place = "a JOIN's ON"
    inside = Scope(scope.outer, [*scope.fields, *fields], scope.level, no_aggregates=place, no_windows=place)
    inside.no_subqueries = "" if node.kind == "INNER" else f"a {node.kind} JOIN's ON"
    test = translator.boolean(node.on or s.Truth(node.at, True), inside, "ON").sql
    return Source(f"{left.sql} {word}JOIN {sql} ON {test}", fields)


def check_lateral(translator: Translator, node: s.Join) -> None:
    """What Trino joins UNNEST and LATERAL on."""
    right = node.right.relation if isinstance(node.right, s.Aliased) else node.right
    if not isinstance(right, (s.Unnest, s.Lateral)) or node.kind == "CROSS":
        return
    what = "UNNEST" if isinstance(right, s.Unnest) else "LATERAL"
    if not (isinstance(node.on, s.Truth) and node.on.value):
        translator.refuse(node, f"{node.kind} JOIN involving {what} is only supported with condition ON TRUE")
    if node.kind in ("RIGHT", "FULL"):
        translator.refuse(node, f"{node.kind} JOIN involving {what} is not supported")


def using(translator: Translator, node: s.Join, left: Source, right: Source) -> tuple[str, list[Field]]:
    """The condition, and the columns: the shared ones first, which from here on have no table."""
    shared: list[Field] = []
    tests, taken = [], set()
    for at, name in node.using or []:
        one = only(translator, at, name, left.fields, "left")
        other = only(translator, at, name, right.fields, "right")
        if name.lower() in {field.name.lower() for field in shared if field.name}:
            translator.refuse(at, f"column '{name}' stands in USING twice")
        kind = common(one.value.type, other.value.type)
        if kind is None or not kind.comparable:
            translator.refuse(at, f"column '{name}' of USING is {one.value.type} and {other.value.type}")
        pair = coerce(one.value, kind), coerce(other.value, kind)
        tests.append(compare("=", *pair))
        taken |= {id(one), id(other)}
        shared.append(Field(None, name, merged(node.kind, *pair)))
    rest = [field for field in (*left.fields, *right.fields) if id(field) not in taken]
    return " AND ".join(tests), [*shared, *rest]


def merged(kind: str, left: Value, right: Value) -> Value:
    if kind == "FULL":
        return Value(f"coalesce({left}, {right})", left.type)
    return right if kind == "RIGHT" else left


def only(translator: Translator, at: int, name: str, fields: Sequence[Field], side: str) -> Field:
    found = [field for field in fields if field.name is not None and field.name.lower() == name.lower()]
    if not found:
        hint = did_you_mean(name, [field.name for field in fields if field.name])
        translator.refuse(at, f"column '{name}' of USING is missing on the {side} side{hint}")
    if len(found) > 1:
        translator.refuse(at, f"column '{name}' of USING is ambiguous on the {side} side")
    return found[0]


# UNNEST


@relation(s.Unnest)
def unnest(translator: Translator, node: s.Unnest, scope: Scope) -> Source:
    """``UNNEST(a, b) WITH ORDINALITY``: arrays side by side, the shorter ones filled up with nulls."""
    inside = scope.within(no_aggregates="UNNEST", no_windows="UNNEST")
    lists: list[str] = []
    cells: list[str] = []
    columns: list[Column] = []
    for part in node.items:
        value = translator.value(part, inside)
        lists.append(listed(translator, part, value))
        for field, name, kind in unnested(value.type):
            held = f"u{len(lists)}"
            cells.append(f"struct_extract({held}, '{field}')" if field else held)
            columns.append(Column(name, f"c{len(columns) + 1}", kind))
    if node.ordinality:
        longest = ", ".join(f"coalesce(len({sql}), 0)" for sql in lists)
        lists.append(f"range(1, greatest({longest}) + 1)")
        cells.append(f"u{len(lists)}")
        columns.append(Column("ordinality", f"c{len(columns) + 1}", BIGINT))
    inner = ", ".join(f"unnest({sql}) AS u{at}" for at, sql in enumerate(lists, 1))
    outer = ", ".join(f"{cell} AS {column.held_as}" for cell, column in zip(cells, columns, strict=True))
    word = "LATERAL " if scope.fields or scope.outer else ""
    held_as = translator.fresh("t")
    sql = f"{word}(SELECT {outer} FROM (SELECT {inner}) AS parts) AS {held_as}"
    return Source(sql, fields_of(None, held_as, columns))


def listed(translator: Translator, node: s.Node, value: Value) -> str:
    if value.type.name == "map":
        return f"map_entries({value})"
    if value.type == UNKNOWN or value.type.name != "array":
        translator.refuse(node, f"UNNEST takes arrays and maps, not {value.type}")
    if value.type.args[0] == UNKNOWN:
        return f"CAST({value} AS INTEGER[])"
    return value.sql


def unnested(kind: Type) -> list[tuple[str, str | None, Type]]:
    """The columns that an array or map unnests to, each with the field that holds it; a row's fields become columns."""
    if kind.name == "map":
        return [("key", None, kind.args[0]), ("value", None, kind.args[1])]
    element = kind.args[0]
    if element.name == "row":
        return [
            (f"f{at}", name or None, part)
            for at, (name, part) in enumerate(zip(element.fields, element.args, strict=True), 1)
        ]
    return [("", None, element)]

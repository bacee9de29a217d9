"""Queries: SELECT, VALUES, set operations, WITH, and what orders and limits them.

Every column is written out under its source's alias, stars included, so that DuckDB resolves each name to what
Trino would, and every ORDER BY says where its nulls go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql.calls import direction, order_text
from chalicelib.queries.sql.casts import shown
from chalicelib.queries.sql.correlation import check_correlation
from chalicelib.queries.sql.expressions import field_at
from chalicelib.queries.sql.from_clause import named_table
from chalicelib.queries.sql.scope import Field, Level, Relation, Scope, relation_of
from chalicelib.queries.sql.suggestions import did_you_mean
from chalicelib.queries.sql.translator import BODIES, Translator, body, expression
from chalicelib.queries.sql.types import UNKNOWN, Type, common, quote
from chalicelib.queries.sql.values import OPAQUE, Value, coerce

MOST_COLUMNS = 2_000
FETCH = "FETCH FIRST"
MOST_ORDERED = 2_147_483_647  # rows of ORDER BY … LIMIT, Athena's
MOST_SETS = 4_096  # combinations of GROUPING SETS, ROLLUP and CUBE


@dataclass(frozen=True, slots=True)
class Output:
    """A column of a select list."""

    name: str | None
    value: Value


def top(translator: Translator, node: s.Query) -> Relation:
    """The whole statement; columns are as a result holds them."""
    found = translator.query(node, None)
    cells = [shown(Value(quote(column.held_as), column.type)) for column in found.columns]
    if all(cell.sql == quote(column.held_as) for cell, column in zip(cells, found.columns, strict=True)):
        return found
    listed = ", ".join(f"{cell} AS {quote(column.held_as)}" for cell, column in zip(cells, found.columns, strict=True))
    # an outer query would be free to change the order of an ordered one: DuckDB keeps it, see tests
    return Relation(f"SELECT {listed} FROM ({found.sql}) AS result", found.columns)


@body(s.Query)
def query(translator: Translator, node: s.Query, outer: Scope | None) -> Relation:
    """A body with its WITH, ORDER BY and LIMIT."""
    defined = with_tables(translator, node, outer)
    try:
        if isinstance(node.body, s.Select):
            found = select(translator, node.body, node, outer)
        else:
            found = BODIES[type(node.body)](translator, node.body, outer)
            if node.order or node.offset is not None or node.limit is not None:
                found = ended_alone(translator, node, found, outer)
    finally:
        if node.with_tables:
            translator.named.pop()
    return replace(found, sql=f"WITH {', '.join(defined)} {found.sql}") if defined else found


def with_tables(translator: Translator, node: s.Query, outer: Scope | None) -> list[str]:
    """The definitions of WITH, whose names hold until they are taken off ``translator.named``."""
    if not node.with_tables:
        return []
    named: dict[str, Relation] = {}
    translator.named.append(named)
    defined = []
    for one in node.with_tables:
        if one.name.lower() in named:
            translator.refuse(one, f"WITH names {one.name} twice")
        found = translator.query(one.query, outer)
        columns = found.columns
        if one.columns is not None:
            if len(one.columns) != len(columns):
                translator.refuse(one, f"{one.name} has {len(one.columns)} names for {len(columns)} columns")
            columns = tuple(replace(column, name=name) for name, column in zip(one.columns, columns, strict=True))
        held_as = translator.fresh("with_")
        named[one.name.lower()] = Relation(held_as, columns)
        defined.append(f"{held_as} AS ({found.sql})")
    return defined


# SELECT


def select(translator: Translator, node: s.Select, ending: s.Query, outer: Scope | None) -> Relation:
    aliases = frozenset(item.alias.lower() for item in node.items if isinstance(item, s.Item) and item.alias)
    level = Level(windows=node.windows, aliases=aliases)
    scope = Scope(outer, level=level)
    parts = []
    in_source = 0
    if node.source is not None:
        source = translator.source(node.source, scope)
        scope = Scope(outer, source.fields, level)
        in_source = level.outer_columns
        parts.append(f"FROM {source.sql}")
    if node.where is not None:
        place = "WHERE"
        inside = scope.within(no_aggregates=place, no_windows=place)
        parts.append(f"WHERE {translator.boolean(node.where, inside, place)}")
    level.ungrouped.clear()
    positions: dict[int, Value] = {}
    grouping = grouped(translator, node, scope, positions)
    items = outputs(translator, node, scope, positions)
    having = None
    if node.having is not None:
        having = translator.boolean(node.having, scope.within(no_windows="HAVING"), "HAVING").sql
    relation = relation_of("", [(item.name, item.value.type) for item in items])
    keys = order_keys(translator, node, ending, relation, scope, items)
    if grouping is not None or having is not None or level.aggregated:
        if level.ungrouped:
            at, name = level.ungrouped[0]
            translator.refuse(at, f"'{name}' must be an aggregate expression or appear in GROUP BY clause")
        parts.append(grouping if grouping is not None else "GROUP BY ()")
    if having is not None:
        parts.append(f"HAVING {having}")
    check_correlation(translator, node, ending, scope, outer, in_source)
    listed = ", ".join(
        f"{item.value} AS {quote(column.held_as)}" for item, column in zip(items, relation.columns, strict=True)
    )
    sql = f"SELECT {distinct(node, items)}{listed} {' '.join(parts)}".rstrip()
    return limited(translator, ending, replace(relation, sql=sql), keys)


def distinct(node: s.Select, items: Sequence[Output]) -> str:
    if not node.distinct:
        return ""
    if any(item.value.type.holds("timestamptz") for item in items):
        return f"DISTINCT ON ({', '.join(item.value.compared for item in items)}) "
    return "DISTINCT "


def outputs(translator: Translator, node: s.Select, scope: Scope, positions: dict[int, Value]) -> list[Output]:
    """The select list, stars written out. ``positions`` has the values that GROUP BY names by their place."""
    items: list[Output] = []
    for at, part in enumerate(node.items, 1):
        if isinstance(part, s.Star):
            items += star(translator, part, scope)
        elif at in positions and len(items) == at - 1:
            items.append(Output(part.alias or implied_name(part.value), positions[at]))
        else:
            items.append(Output(part.alias or implied_name(part.value), translator.value(part.value, scope)))
        if len(items) > MOST_COLUMNS:
            translator.refuse(node, f"at most {MOST_COLUMNS} columns")
    return items


def implied_name(node: s.Node) -> str | None:
    """The name of an output column without AS: that of the column or field it is."""
    if isinstance(node, s.Name):
        return node.parts[-1]
    if isinstance(node, s.FieldOf) and implied_name(node.base) is not None:
        return node.name
    return None


def star(translator: Translator, node: s.Star, scope: Scope) -> list[Output]:
    if node.base is None:
        found = star_fields(translator, node, scope.fields, scope)
    else:
        found = star_of(translator, node, node.base, scope)
    if node.names is not None:
        if len(node.names) != len(found):
            translator.refuse(node, f"{len(node.names)} names for {len(found)} columns")
        found = [replace(one, name=name) for name, one in zip(node.names, found, strict=True)]
    return found


def star_fields(translator: Translator, node: s.Star, fields: Sequence[Field], scope: Scope) -> list[Output]:
    if not scope.fields and node.base is None:
        translator.refuse(node, "SELECT * needs a FROM")
    found = []
    for one in fields:
        value = (scope.level.groups or {}).get(one.value.sql)
        if value is None:
            scope.level.ungrouped.append((node.at, one.name or "*"))
        found.append(Output(one.name, value or one.value))
    return found


def star_of(translator: Translator, node: s.Star, base: s.Node, scope: Scope) -> list[Output]:
    """``t.*``, also of a query around this one, or the fields of a row."""
    if isinstance(base, s.Name) and len(base.parts) == 1:
        between: list[Scope] = []
        for around in scope.around():
            if around.has(base.parts[0]):
                alias = base.parts[0].lower()
                for inner in between:
                    inner.level.outer_columns += 1
                return star_fields(translator, node, [one for one in around.fields if one.alias == alias], around)
            between.append(around)
    if isinstance(base, s.Name) and scope.named(base.parts[0].lower()) == [] and len(base.parts) == 1:
        aliases = [one.alias for around in scope.around() for one in around.fields if one.alias]
        translator.refuse(node, f"there is no table '{base.parts[0]}' in FROM{did_you_mean(base.parts[0], aliases)}")
    value = translator.value(base, scope)
    if value.type.name != "row":
        translator.refuse(node, f"(…).* takes a row, not {value.type}")
    return [Output(name or None, field_at(value, at)) for at, name in enumerate(value.type.fields, 1)]


# GROUP BY


def grouped(translator: Translator, node: s.Select, scope: Scope, positions: dict[int, Value]) -> str | None:
    """GROUP BY's text; its expressions, and the positions of the select list among them, are noted."""
    if node.group is None:
        return None
    place = "GROUP BY"
    inside = scope.within(no_aggregates=place, no_windows=place)
    groups: dict[str, Value] = {}

    def key(part: s.Node) -> str:
        at = position_of(translator, part, node) if isinstance(part, s.Number) and part.kind == "integer" else None
        item = node.items[at - 1] if at is not None else None
        target = item.value if isinstance(item, s.Item) else part
        outer = scope.level.outer_columns
        value = translator.value(target, inside)
        if not value.type.comparable and value.type != UNKNOWN:
            translator.refuse(part, f"cannot group by {value.type}")
        text = f"CAST({value} AS {value.type.duckdb})" if value.is_constant else value.compared
        result = replace(value, sql=text) if value.is_constant else value
        if value.type.holds("timestamptz"):
            result = Value(f"any_value({value})", value.type)
        groups[value.sql] = result
        if at is not None:
            positions[at] = result
        if scope.level.outer_columns > outer:
            translator.refuse(part, "GROUP BY of a subquery does not name columns of the query around it")
        return text

    texts = [group_text(translator, part, key) for part in node.group]
    if node.group_distinct:
        texts = distinct_sets(translator, node, texts)
    scope.level.groups = groups
    scope.level.ungrouped.clear()
    return "GROUP BY " + ", ".join(written(sets) for sets in texts)


Sets = list[list[str]] | str


def group_text(translator: Translator, part: s.Node | list[s.Node] | s.GroupSets, key) -> Sets:  # type: ignore[no-untyped-def]
    """One element of GROUP BY: an expression, or the sets that it stands for."""
    if isinstance(part, list):
        return [[key(one) for one in part]]
    if not isinstance(part, s.GroupSets):
        return str(key(part))
    sets = [[key(one) for one in listed] for listed in part.sets]
    if part.word == "GROUPING SETS":
        return sets
    if part.word == "ROLLUP":
        return [[one for listed in sets[:length] for one in listed] for length in range(len(sets), -1, -1)]
    if len(sets) > 12:
        translator.refuse(part, "CUBE takes at most 12 columns")
    masks = range(2 ** len(sets) - 1, -1, -1)
    return [
        [one for at, listed in enumerate(sets) if mask >> (len(sets) - 1 - at) & 1 for one in listed] for mask in masks
    ]


def written(sets: Sets) -> str:
    if isinstance(sets, str):
        return sets
    return f"GROUPING SETS ({', '.join('(' + ', '.join(dict.fromkeys(one)) + ')' for one in sets)})"


def distinct_sets(translator: Translator, node: s.Select, parts: list[Sets]) -> list[Sets]:
    """GROUP BY DISTINCT: every combination of the elements' sets once."""
    combined: list[list[str]] = [[]]
    for part in parts:
        sets = [[part]] if isinstance(part, str) else part
        if len(combined) * len(sets) > MOST_SETS:
            translator.refuse(node, f"at most {MOST_SETS} grouping sets")
        combined = [before + one for before in combined for one in sets]
    seen: dict[frozenset[str], list[str]] = {}
    for one in combined:
        seen.setdefault(frozenset(one), one)
    return [list(seen.values())]


def position_of(translator: Translator, part: s.Number, node: s.Select) -> int:
    at = int(part.value) if len(part.value) < 6 else 0
    if not 1 <= at <= len(node.items) or any(isinstance(item, s.Star) for item in node.items[:at]):
        if any(isinstance(item, s.Star) for item in node.items):
            translator.refuse(part, "a position of GROUP BY after * is not supported; name the column")
        translator.refuse(part, f"position {part.value} is not in the select list of {len(node.items)}")
    return at


@expression(s.Grouping)
def grouping(translator: Translator, node: s.Grouping, scope: Scope) -> Value:
    """``grouping(a, b)``: which of the columns a row's grouping set leaves out, a bit each."""
    if scope.level.groups is None or not node.names:
        translator.refuse(node, "grouping() takes columns of GROUP BY")
    if scope.no_aggregates:
        translator.refuse(node, f"grouping() cannot stand in {scope.no_aggregates}")
    texts = []
    met = len(scope.level.ungrouped)
    for part in node.names:
        value = translator.value(part, scope)
        if len(scope.level.ungrouped) > met:
            translator.refuse(part, "grouping() takes columns of GROUP BY")
        texts.append(value.compared)
    kind = Type("integer" if len(texts) < 32 else "bigint")
    return Value(f"CAST(grouping_id({', '.join(texts)}) AS {kind.duckdb})", kind)


# ORDER BY, OFFSET, LIMIT


def order_keys(
    translator: Translator,
    node: s.Select | None,
    ending: s.Query,
    relation: Relation,
    scope: Scope,
    items: Sequence[Output],
) -> list[tuple[s.OrderKey, int | None, str]]:
    """Each key of ORDER BY with its place among the columns, where it is one, and its text."""
    names: dict[str, list[Value]] = {}
    for item in items:
        if item.name is not None:
            names.setdefault(item.name.lower(), []).append(item.value)
    inside = replace(scope, outputs=names, index=None)
    keys = []
    for key in ending.order:
        keys.append((key, *order_key(translator, key, relation, inside, items)))
        named = isinstance(key.value, (s.Name, s.Number)) or not names_within(key.value) & names.keys()
        if node is not None and node.distinct and (keys[-1][1] is None or not named):
            translator.refuse(key, "For SELECT DISTINCT, ORDER BY expressions must appear in select list")
    return keys


def order_key(
    translator: Translator, key: s.OrderKey, relation: Relation, scope: Scope, items: Sequence[Output]
) -> tuple[int | None, str]:
    if isinstance(key.value, s.Number) and key.value.kind == "integer":
        at = int(key.value.value) if len(key.value.value) < 6 else 0
        if not 1 <= at <= len(relation.columns):
            translator.refuse(key, f"position {key.value.value} is not in the select list of {len(relation.columns)}")
        value = items[at - 1].value
        text = order_text(translator, key, value)
        return at, text if value.type.holds("timestamptz") else str(at)
    if isinstance(key.value, s.Name) and len(key.value.parts) == 1:
        name = key.value.parts[0].lower()
        places = [at for at, column in enumerate(relation.columns, 1) if column.name and column.name.lower() == name]
        if len(places) > 1:
            translator.refuse(key, f"column '{key.value.parts[0]}' is ambiguous")
    value = translator.value(key.value, scope)
    text = order_text(translator, key, value)
    place = next((at for at, item in enumerate(items, 1) if item.value.sql == value.sql), None)
    if place is not None and not value.type.holds("timestamptz"):
        text = str(place)
    return place, text


def names_within(node: object) -> set[str]:
    """The single names that an expression has in it, in small letters."""
    if isinstance(node, s.Name):
        return {node.parts[0].lower()} if len(node.parts) == 1 else set()
    if isinstance(node, (list, tuple)):
        return set().union(*map(names_within, node)) if node else set()
    if not isinstance(node, s.Node) or isinstance(node, s.Query):
        return set()
    return set().union(*(names_within(getattr(node, field.name)) for field in fields(node)))


def ended_alone(translator: Translator, node: s.Query, found: Relation, outer: Scope | None) -> Relation:
    """ORDER BY and LIMIT behind VALUES, a set operation or brackets: keys are the columns."""
    items = [Output(column.name, Value(f"combined.{quote(column.held_as)}", column.type)) for column in found.columns]
    scope = Scope(outer, [Field(None, item.name, item.value) for item in items])
    relation = relation_of("", [(column.name, column.type) for column in found.columns])
    keys = order_keys(translator, None, node, relation, scope, items)
    listed = ", ".join(
        f"{item.value} AS {column.held_as}" for item, column in zip(items, relation.columns, strict=True)
    )
    return limited(translator, node, replace(relation, sql=f"SELECT {listed} FROM ({found.sql}) AS combined"), keys)


def limited(
    translator: Translator, node: s.Query, relation: Relation, keys: Sequence[tuple[s.OrderKey, int | None, str]]
) -> Relation:
    if node.ties:
        return with_ties(translator, node, relation, keys)
    sql = relation.sql
    if keys:
        sql += f" ORDER BY {', '.join(direction(key, text) for key, _, text in keys)}"
    if node.limit is not None:
        if keys and isinstance(node.limit, s.Number) and int(node.limit.value[:12]) > MOST_ORDERED:
            translator.refuse(node.limit, f"ORDER BY LIMIT > {MOST_ORDERED} is not supported")
        sql += f" LIMIT {count(translator, node.limit, FETCH if node.fetch else 'LIMIT')}"
    if node.offset is not None:
        sql += f" OFFSET {count(translator, node.offset, 'OFFSET')}"
    return replace(relation, sql=sql)


def count(translator: Translator, node: s.Node, what: str) -> str:
    value = translator.value(node, Scope())
    if value.constant is OPAQUE and value.type.integral and what != FETCH:
        return value.sql
    if not isinstance(value.constant, int) or isinstance(value.constant, bool) or value.constant < (what == FETCH):
        translator.refuse(node, f"{what} takes a {'positive ' if what == FETCH else ''}whole number")
    return value.sql


def with_ties(
    translator: Translator, node: s.Query, relation: Relation, keys: Sequence[tuple[s.OrderKey, int | None, str]]
) -> Relation:
    """``FETCH FIRST n ROWS WITH TIES``: what ranks like the n-th row comes too."""
    if not keys or node.limit is None:
        translator.refuse(node, "FETCH FIRST WITH TIES clause requires ORDER BY")
    if any(place is None for _, place, _ in keys):
        translator.refuse(node, "FETCH … WITH TIES orders by columns of the select list")
    order = ", ".join(
        direction(key, Value(f"c{place}", relation.columns[(place or 1) - 1].type).compared) for key, place, _ in keys
    )
    most = count(translator, node.limit, FETCH)
    skipped = count(translator, node.offset, "OFFSET") if node.offset is not None else "0"
    columns = ", ".join(column.held_as for column in relation.columns)
    ranks = "row_number() OVER w AS number, rank() OVER w AS place"
    numbered = f"SELECT {columns}, {ranks} FROM ({relation.sql}) AS ranked WINDOW w AS (ORDER BY {order})"
    test = f"number > {skipped} AND place <= {most} + {skipped}"
    return replace(relation, sql=f"SELECT {columns} FROM ({numbered}) AS kept WHERE {test} ORDER BY number")


# VALUES, TABLE, set operations


@body(s.Values)
def values(translator: Translator, node: s.Values, outer: Scope | None) -> Relation:
    place = "VALUES"
    scope = Scope(outer, no_aggregates=place, no_windows=place)
    rows = [row_cells(translator, row, scope) for row in node.rows]
    kinds: list[Type] = [UNKNOWN] * len(rows[0])
    for row, part in zip(rows, node.rows, strict=True):
        if len(row) != len(kinds):
            translator.refuse(part, f"{len(row)} values where {len(kinds)} are needed")
        for at, cell in enumerate(row):
            joint = common(kinds[at], cell.type)
            if joint is None:
                translator.refuse(part, f"value {at + 1} is {cell.type} here and {kinds[at]} before")
            kinds[at] = joint
    made = ", ".join(
        f"({', '.join(str(coerce(cell, kind)) for cell, kind in zip(row, kinds, strict=True))})" for row in rows
    )
    relation = relation_of("", [(None, kind) for kind in kinds])
    heads = ", ".join(column.held_as for column in relation.columns)
    return replace(relation, sql=f"SELECT {heads} FROM (VALUES {made}) AS listed({heads})")


def row_cells(translator: Translator, node: s.Node, scope: Scope) -> list[Value]:
    if isinstance(node, s.RowOf):
        return [translator.value(part, scope) for part in node.items]
    value = translator.value(node, scope)
    if value.type.name == "row":
        return [field_at(value, at) for at in range(1, len(value.type.args) + 1)]
    return [value]


@body(s.TableQuery)
def table_query(translator: Translator, node: s.TableQuery, _outer: Scope | None) -> Relation:
    found = named_table(translator, node.table)
    relation = relation_of("", [(column.name, column.type) for column in found.columns])
    listed = ", ".join(
        f"whole.{quote(column.held_as)} AS {new.held_as}"
        for column, new in zip(found.columns, relation.columns, strict=True)
    )
    return replace(relation, sql=f"SELECT {listed} FROM {found.sql} AS whole")


@body(s.SetOperation)
def set_operation(translator: Translator, node: s.SetOperation, outer: Scope | None) -> Relation:
    branches = [branch(translator, part, outer) for part in node.parts]
    kinds = [column.type for column in branches[0].columns]
    for part, one in zip(node.parts[1:], branches[1:], strict=True):
        if len(one.columns) != len(kinds):
            translator.refuse(part, f"{len(one.columns)} columns where {len(kinds)} are needed")
        for at, column in enumerate(one.columns):
            joint = common(kinds[at], column.type)
            if joint is None:
                translator.refuse(part, f"column {at + 1} is {kinds[at]} before and {column.type} here")
            kinds[at] = joint
    relation = relation_of("", [(column.name, kind) for column, kind in zip(branches[0].columns, kinds, strict=True)])
    zoned = node.distinct and any(kind.holds("timestamptz") for kind in kinds)
    if zoned and node.word != "UNION":
        translator.refuse(node, f"{node.word} of timestamps with time zone is not supported")
    word = f" {node.word}{'' if node.distinct and not zoned else ' ALL'} "
    made = word.join(f"({as_types(one, kinds)})" for one in branches)
    heads = ", ".join(column.held_as for column in relation.columns)
    apart = [Value(column.held_as, column.type).compared for column in relation.columns]
    how = f"DISTINCT ON ({', '.join(apart)}) " if zoned else ""
    return replace(relation, sql=f"SELECT {how}{heads} FROM ({made}) AS combined({heads})")


def branch(translator: Translator, node: s.Node, outer: Scope | None) -> Relation:
    if isinstance(node, s.Select):
        return select(translator, node, s.Query(node.at, [], node, [], None, None), outer)
    return BODIES[type(node)](translator, node, outer)


def as_types(relation: Relation, kinds: Sequence[Type]) -> str:
    """A query whose columns have these types."""
    if all(column.type == kind for column, kind in zip(relation.columns, kinds, strict=True)):
        return relation.sql
    cells = [
        f"{coerce(Value(quote(column.held_as), column.type), kind)} AS {quote(column.held_as)}"
        for column, kind in zip(relation.columns, kinds, strict=True)
    ]
    return f"SELECT {', '.join(cells)} FROM ({relation.sql}) AS part"


@body(s.Select)
def plain_select(translator: Translator, node: s.Select, outer: Scope | None) -> Relation:
    return branch(translator, node, outer)

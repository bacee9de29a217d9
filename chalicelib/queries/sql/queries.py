"""Queries of Trino's SQL as DuckDB's: SELECT, VALUES, set operations, WITH, joins, UNNEST.

Every column is written out under its source's alias, stars included, so that DuckDB resolves each name to what
Trino would, and every ORDER BY says where its nulls go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sqlglot import exp

from chalicelib.queries.sql.expressions import Expressions
from chalicelib.queries.sql.from_clause import Sources, unique
from chalicelib.queries.sql.parsing import Statement
from chalicelib.queries.sql.scope import Col, Relation, Scope, Source, same
from chalicelib.queries.sql.types import UNKNOWN, Type, common, quote
from chalicelib.queries.sql.values import OPAQUE, Value, coerce, shown

SET_WORDS: dict[type[exp.Expr], str] = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}
MOST_COLUMNS = 2_000


class Queries(Sources):
    """Translates the queries of one statement."""

    def __init__(self, statement: Statement) -> None:
        super().__init__(statement)
        self.expressions = Expressions(statement, self)

    def top(self, node: exp.Expr) -> Relation:
        """The whole statement; columns are as a result holds them."""
        relation = self.query(node, None)
        columns = ", ".join(
            f"{shown(Value(quote(column.held_as), column.type))} AS {quote(column.held_as)}"
            for column in relation.columns
        )
        if all(shown(Value("x", column.type)).sql == "x" for column in relation.columns):
            return relation
        # an outer query would be free to change the order of an ordered one: DuckDB keeps it, see tests
        return Relation(f"SELECT {columns} FROM ({relation.sql}) AS result", relation.columns)

    def query(self, node: exp.Expr, outer: Scope | None) -> Relation:
        """A SELECT, VALUES or set operation with its WITH."""
        with self.with_tables(node, outer) as defined:
            relation = self.body(node, outer)
        return replace(relation, sql=f"WITH {', '.join(defined)} {relation.sql}") if defined else relation

    def body(self, node: exp.Expr, outer: Scope | None) -> Relation:
        if isinstance(node, exp.Select):
            return self.select(node, outer)
        if isinstance(node, exp.Values):
            return self.values(node, outer)
        if isinstance(node, tuple(SET_WORDS)):
            return self.set_operation(node, outer)
        if isinstance(node, exp.Subquery):
            return self.bracketed(node, outer)
        return self.statement.refuse(node, f"{type(node).__name__} is not a query")

    def bracketed(self, node: exp.Subquery, outer: Scope | None) -> Relation:
        self.statement.only(node, "this", "with_", "order", "limit", "offset")
        inner = self.query(node.this, outer)
        if not any(node.args.get(part) for part in ("order", "limit", "offset")):
            return replace(inner, sql=f"({inner.sql})")
        return self.ending(node, replace(inner, sql=f"SELECT * FROM ({inner.sql}) AS bracketed"), outer)

    @contextmanager
    def with_tables(self, node: exp.Expr, outer: Scope | None) -> Iterator[list[str]]:
        clause = node.args.get("with_")
        if not clause:
            yield []
            return
        if clause.args.get("recursive"):
            self.statement.refuse(clause, "WITH RECURSIVE is not supported")
        self.statement.only(clause, "expressions")
        named: dict[str, Relation] = {}
        self._named.append(named)
        defined = []
        for table in clause.expressions:
            self.statement.only(table, "this", "alias")
            alias = table.args["alias"]
            name = self.name_of(alias.this)
            if name.lower() in named:
                self.statement.refuse(alias, f"WITH names {name} twice")
            relation = self.renamed(alias, self.query(table.this, outer), alias.args.get("columns") or [])
            held_as = self.statement.fresh("with_")
            named[name.lower()] = Relation(quote(held_as), relation.columns)
            heads = ", ".join(quote(column.held_as) for column in relation.columns)
            defined.append(f"{quote(held_as)}({heads}) AS ({relation.sql})")
        yield defined
        self._named.pop()

    def select(self, node: exp.Select, outer: Scope | None) -> Relation:
        self.statement.only(
            node, "expressions", "from_", "joins", "where", "group", "having", "distinct", "order", "limit", "offset",
            "with_", "windows", "laterals",
        )  # fmt: skip
        scope = Scope(outer)
        parts = [self.sources(node, scope)] if node.args.get("from_") else []
        before = self.expressions.windows
        self.expressions.windows = {**before, **self.window_names(node)}
        if where := node.args.get("where"):
            with self.expressions.without_aggregates():
                parts.append(f"WHERE {self.expressions.boolean(where.this, scope, 'WHERE')}")
        items = self.items(node, scope)
        if group := node.args.get("group"):
            parts.append(self.grouping(group, items, scope))
        if having := node.args.get("having"):
            parts.append(f"HAVING {self.expressions.boolean(having.this, scope, 'HAVING')}")
        columns = unique([Col(name, "", value.type) for name, value in items])
        listed = ", ".join(
            f"{value} AS {quote(column.held_as)}" for (_, value), column in zip(items, columns, strict=True)
        )
        distinct = self.distinct(node)
        relation = Relation(f"SELECT {distinct}{listed} {' '.join(parts)}".rstrip(), columns)
        made = self.ending(node, relation, outer, scope, items)
        self.expressions.windows = before
        return made

    def distinct(self, node: exp.Select) -> str:
        if not (distinct := node.args.get("distinct")):
            return ""
        self.statement.only(distinct)
        return "DISTINCT "

    def window_names(self, node: exp.Select) -> dict[str, exp.Window]:
        return {window.this.name.lower(): window for window in node.args.get("windows") or []}

    def items(self, node: exp.Select, scope: Scope) -> list[tuple[str | None, Value]]:
        items: list[tuple[str | None, Value]] = []
        for part in node.expressions:
            if isinstance(part, exp.Star):
                self.statement.only(part)
                items += self.star(part, scope)
            elif isinstance(part, exp.Column) and isinstance(part.this, exp.Star):
                items += self.star_of(part, scope)
            elif isinstance(part, exp.Alias):
                self.statement.only(part, "this", "alias")
                items.append((self.name_of(part.args["alias"]), self.expressions.value(part.this, scope)))
            else:
                value = self.expressions.value(part, scope)
                items.append((implied_name(part), value))
        if len(items) > MOST_COLUMNS:
            self.statement.refuse(node, f"at most {MOST_COLUMNS} columns")
        return items

    def star(self, node: exp.Expr, scope: Scope) -> list[tuple[str | None, Value]]:
        """``*``: the columns of JOIN … USING once and first, then each source's."""
        if not scope.sources:
            self.statement.refuse(node, "SELECT * needs a FROM")
        items: list[tuple[str | None, Value]] = [
            (column.name, Value(quote(column.held_as), column.type)) for column in scope.merged.values()
        ]
        for source in scope.sources:
            items += [
                (column.name, source.value(column))
                for column in source.columns
                if (column.name or "").lower() not in scope.merged
            ]
        return items

    def star_of(self, node: exp.Column, scope: Scope) -> list[tuple[str | None, Value]]:
        self.statement.only(node, "this", "table")
        name = self.name_of(node.args["table"])
        source = scope.source(name)
        if source is None:
            self.statement.refuse(node, f"there is no table '{name}' in FROM")
        return [(column.name, source.value(column)) for column in source.columns]

    def grouping(self, group: exp.Group, items: Sequence[tuple[str | None, Value]], scope: Scope) -> str:
        self.statement.only(group, "expressions")
        with self.expressions.without_aggregates():
            return "GROUP BY " + ", ".join(self.group_item(part, items, scope) for part in group.expressions)

    def group_item(self, node: exp.Expr, items: Sequence[tuple[str | None, Value]], scope: Scope) -> str:
        words: dict[type[exp.Expr], str] = {exp.Rollup: "ROLLUP", exp.Cube: "CUBE", exp.GroupingSets: "GROUPING SETS"}
        if word := words.get(type(node)):
            return f"{word} ({', '.join(self.group_item(part, items, scope) for part in node.expressions)})"
        if isinstance(node, exp.Tuple):
            return f"({', '.join(self.group_item(part, items, scope) for part in node.expressions)})"
        if isinstance(node, exp.Literal) and not node.is_string:
            return str(self.ordinal(node, len(items)))
        value = self.expressions.value(node, scope)
        if not value.type.comparable:
            self.statement.refuse(node, f"cannot group by {value.type}")
        return value.sql

    def ordinal(self, node: exp.Expr, most: int) -> int:
        if not node.name.isdigit() or not 1 <= int(node.name) <= most:
            self.statement.refuse(node, f"position {node.name} is not in the select list of {most}")
        return int(node.name)

    def ending(
        self,
        node: exp.Expr,
        relation: Relation,
        outer: Scope | None,
        scope: Scope | None = None,
        items: Sequence[tuple[str | None, Value]] = (),
    ) -> Relation:
        sql = relation.sql
        if order := node.args.get("order"):
            self.statement.only(order, "expressions")
            names = {name.lower(): value for name, value in items if name is not None}
            around = scope or Scope(outer)
            inner = Scope(outer, around.sources, around.merged, names)
            keys = [
                self.order_item(part, relation, inner, bool(node.args.get("distinct"))) for part in order.expressions
            ]
            sql += f" ORDER BY {', '.join(keys)}"
        limit = node.args.get("limit")
        if isinstance(limit, exp.Fetch):
            sql += f" LIMIT {self.fetched(limit)}"
        elif limit and not (isinstance(limit.expression, exp.Var) and limit.expression.name.upper() == "ALL"):
            self.statement.only(limit, "expression")
            sql += f" LIMIT {self.count(limit.expression, 'LIMIT')}"
        if offset := node.args.get("offset"):
            self.statement.only(offset, "expression")
            sql += f" OFFSET {self.count(offset.expression, 'OFFSET')}"
        return replace(relation, sql=sql)

    def order_item(self, node: exp.Expr, relation: Relation, scope: Scope, distinct: bool) -> str:
        """A key of ORDER BY: a position, an output column's name, or an expression."""
        key = node.this
        if isinstance(key, exp.Literal) and not key.is_string:
            return self.direction(node, str(self.ordinal(key, len(relation.columns))))
        name = self.name_of(key.this) if isinstance(key, exp.Column) and not key.args.get("table") else None
        if name is not None:
            places = [at for at, column in enumerate(relation.columns, 1) if column.name and same(column.name, name)]
            if len(places) > 1 and len({scope.outputs.get(name.lower())}) > 1:
                self.statement.refuse(node, f"column '{name}' is ambiguous")
            if places:
                if not relation.columns[places[0] - 1].type.orderable:
                    self.statement.refuse(node, f"cannot order by {relation.columns[places[0] - 1].type}")
                return self.direction(node, str(places[0]))
        if distinct:
            self.statement.refuse(node, "with SELECT DISTINCT, ORDER BY takes names or positions of the select list")
        return self.ordered(node, scope)

    def ordered(self, node: exp.Expr, scope: Scope) -> str:
        """A key of ORDER BY in a window or an aggregate, where a number is a value."""
        self.statement.only(node, "this", "desc", "nulls_first")
        value = self.expressions.value(node.this, scope)
        if not value.type.orderable and value.type != UNKNOWN:
            self.statement.refuse(node, f"cannot order by {value.type}")
        return self.direction(node, f"({value.compared})" if value.sql.isdigit() else value.compared)

    def direction(self, node: exp.Expr, key: str) -> str:
        self.statement.only(node, "this", "desc", "nulls_first")
        nulls = "FIRST" if node.args.get("nulls_first") else "LAST"
        return f"{key} {'DESC' if node.args.get('desc') else 'ASC'} NULLS {nulls}"

    def count(self, node: exp.Expr, what: str) -> str:
        value = self.expressions.value(node, Scope())
        if value.constant is OPAQUE and value.type.integral:
            return value.sql
        if not isinstance(value.constant, int) or isinstance(value.constant, bool) or value.constant < 0:
            self.statement.refuse(node, f"{what} takes a whole number")
        return value.sql

    def fetched(self, node: exp.Fetch) -> str:
        self.statement.only(node, "direction", "count", "limit_options")
        options = node.args.get("limit_options")
        if options and (options.args.get("with_ties") or options.args.get("percent")):
            self.statement.refuse(node, "FETCH … WITH TIES is not supported")
        return self.count(node.args["count"], "FETCH") if node.args.get("count") else "1"

    def set_operation(self, node: exp.Expr, outer: Scope | None) -> Relation:
        self.statement.only(node, "this", "expression", "distinct", "order", "limit", "offset", "with_")
        branches = [(part, self.query(part, outer)) for part in chain(node)]
        width = len(branches[0][1].columns)
        kinds = [column.type for column in branches[0][1].columns]
        for part, branch in branches[1:]:
            if len(branch.columns) != width:
                self.statement.refuse(part, f"{len(branch.columns)} columns where {width} are needed")
            for at, column in enumerate(branch.columns):
                joint = common(kinds[at], column.type)
                if joint is None:
                    self.statement.refuse(part, f"column {at + 1} is {kinds[at]} before and {column.type} here")
                kinds[at] = joint
        word = SET_WORDS[type(node)] + ("" if node.args.get("distinct") else " ALL")
        made = f" {word} ".join(f"({self.as_types(branch, kinds)})" for _, branch in branches)
        heads = branches[0][1].columns
        columns = tuple(replace(column, type=kind) for column, kind in zip(heads, kinds, strict=True))
        listed = ", ".join(quote(column.held_as) for column in columns)
        heading = ", ".join(quote(column.held_as) for column in columns)
        relation = Relation(f"SELECT {listed} FROM ({made}) AS combined({heading})", columns)
        source = Source("", "combined", columns)
        return self.ending(node, relation, outer, Scope(outer, [source]))

    def as_types(self, relation: Relation, kinds: Sequence[Type]) -> str:
        if all(column.type == kind for column, kind in zip(relation.columns, kinds, strict=True)):
            return relation.sql
        cells = [
            f"{coerce(Value(quote(column.held_as), column.type), kind)} AS {quote(column.held_as)}"
            for column, kind in zip(relation.columns, kinds, strict=True)
        ]
        return f"SELECT {', '.join(cells)} FROM ({relation.sql}) AS part"

    def values(self, node: exp.Values, outer: Scope | None) -> Relation:
        self.statement.only(node, "expressions", "alias", "order", "limit", "offset", "with_")
        scope = Scope(outer)
        rows = [[self.expressions.value(cell, scope) for cell in row_cells(row)] for row in node.expressions]
        width = len(rows[0])
        kinds = [UNKNOWN] * width
        for row, part in zip(rows, node.expressions, strict=True):
            if len(row) != width:
                self.statement.refuse(part, f"{len(row)} values where {width} are needed")
            for at, cell in enumerate(row):
                joint = common(kinds[at], cell.type)
                if joint is None:
                    self.statement.refuse(part, f"value {at + 1} is {cell.type} here and {kinds[at]} before")
                kinds[at] = joint
        made = ", ".join(
            f"({', '.join(str(coerce(cell, kind)) for cell, kind in zip(row, kinds, strict=True))})" for row in rows
        )
        columns = unique([Col(None, "", kind) for kind in kinds])
        heads = ", ".join(quote(column.held_as) for column in columns)
        relation = Relation(f"SELECT {heads} FROM (VALUES {made}) AS listed({heads})", columns)
        return self.ending(node, relation, outer)

    def column_of(self, node: exp.Expr, scope: Scope) -> Relation:
        """A subquery that stands for a value: one column."""
        relation = self.query(node, scope)
        if len(relation.columns) != 1:
            self.statement.refuse(node, f"a subquery here answers one column, not {len(relation.columns)}")
        return relation

    def cast_column(self, relation: Relation, kind: Type) -> str:
        return self.as_types(relation, [kind])


def implied_name(node: exp.Expr) -> str | None:
    """The name of an output column without AS: that of the column it is."""
    if isinstance(node, exp.Paren):
        return None
    if isinstance(node, exp.Column):
        return node.name
    return node.expression.name if isinstance(node, exp.Dot) else None


def row_cells(node: exp.Expr) -> list[exp.Expr]:
    return list(node.expressions) if isinstance(node, exp.Tuple) else [node]


def chain(node: exp.Expr) -> Iterator[exp.Expr]:
    """The branches of ``a UNION ALL b UNION ALL c`` in order: one operation, not a nest."""
    branches: list[exp.Expr] = []
    part = node
    while True:
        branches.append(part.args["expression"])
        left = part.args["this"]
        alike = type(left) is type(node) and not isinstance(node, exp.Except)
        plain = alike and not any(left.args.get(clause) for clause in ("with_", "order", "limit", "offset"))
        if not plain or bool(left.args.get("distinct")) != bool(node.args.get("distinct")):
            branches.append(left)
            break
        part = left
    return iter(reversed(branches))

"""FROM: tables, subqueries, joins, UNNEST and LATERAL, each a source of columns under an alias."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from chalicelib.queries.sql.expressions import Expressions
from chalicelib.queries.sql.parsing import Statement
from chalicelib.queries.sql.scope import Col, Relation, Scope, Source
from chalicelib.queries.sql.types import BIGINT, UNKNOWN, Type, quote
from chalicelib.queries.sql.values import Value

JOIN_SIDES = {"", "LEFT", "RIGHT", "FULL"}
MOST_SOURCES = 64


class Sources(ABC):
    """What stands in FROM of one statement's queries."""

    expressions: Expressions

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self._named: list[dict[str, Relation]] = []  # WITH, innermost last
        self._sources = 0

    @abstractmethod
    def query(self, node: exp.Expr, outer: Scope | None) -> Relation:
        """A subquery."""

    def sources(self, node: exp.Select, scope: Scope) -> str:
        made = self.source(node.args["from_"].this, scope)
        for join in node.args.get("joins") or []:
            made += self.join(join, scope)
        if node.args.get("laterals"):
            self.statement.refuse(node.args["laterals"][0], "LATERAL VIEW is not Trino's SQL")
        return f"FROM {made}"

    def join(self, node: exp.Join, scope: Scope) -> str:
        self.statement.only(node, "this", "side", "kind", "on", "using")
        side, kind = (node.args.get("side") or "").upper(), (node.args.get("kind") or "").upper()
        if side not in JOIN_SIDES or kind not in ("", "INNER", "OUTER", "CROSS"):
            self.statement.refuse(node, f"{side} {kind} JOIN is not supported")
        known = list(scope.sources)
        right = self.source(node.this, scope)
        condition = node.args.get("on")
        if node.args.get("using"):
            return f" {side} JOIN {right} USING ({self.using(node, known, scope)})"
        if condition is None:
            if side or kind == "INNER":
                self.statement.refuse(node, "a JOIN needs ON or USING")
            return f" CROSS JOIN {right}"
        with self.expressions.without_aggregates():
            return f" {side} JOIN {right} ON {self.expressions.boolean(condition, scope, 'ON')}"

    def using(self, node: exp.Join, known: Sequence[Source], scope: Scope) -> str:
        """The columns shared by both sides, which from here on have no table."""
        names = []
        for part in node.args["using"]:
            name = self.name_of(part if isinstance(part, exp.Identifier) else part.this)
            lefts = [column for source in known for column in source.find(name)]
            rights = scope.sources[-1].find(name)
            merged = scope.merged.get(name.lower())
            if len(rights) != 1 or (len(lefts) != 1 and merged is None):
                self.statement.refuse(part, f"column '{name}' of USING is not on both sides exactly once")
            left = merged or lefts[0]
            if left.type != rights[0].type or left.held_as != rights[0].held_as:
                self.statement.refuse(part, f"column '{name}' of USING is {left.type} and {rights[0].type}")
            scope.merged[name.lower()] = Col(name, left.held_as, left.type)
            names.append(quote(left.held_as))
        return ", ".join(names)

    def source(self, node: exp.Expr, scope: Scope) -> str:
        """One item of FROM; its columns join the scope."""
        self._sources += 1
        if self._sources > MOST_SOURCES:
            self.statement.refuse(node, f"at most {MOST_SOURCES} tables and subqueries in FROM")
        if isinstance(node, exp.Table):
            return self.table(node, scope)
        if isinstance(node, exp.Unnest):
            return self.unnest(node, scope)
        if isinstance(node, exp.Lateral):
            return self.lateral(node, scope)
        if isinstance(node, (exp.Subquery, exp.Values)):
            return self.derived(node, scope)
        return self.statement.refuse(node, f"{type(node).__name__} cannot stand in FROM")

    def table(self, node: exp.Table, scope: Scope) -> str:
        if isinstance(node.this, exp.Anonymous):
            self.statement.refuse(node, f"the table function {node.this.name} is not supported")
        if node.args.get("db") or node.args.get("catalog"):
            self.statement.refuse(node, "name a table without its database")
        self.statement.only(node, "this", "alias")
        name = self.name_of(node.this)
        for named in reversed(self._named):
            if relation := named.get(name.lower()):
                return self.aliased(node, relation.sql, relation.columns, name, scope)
        columns = self.statement.tables.get(name.lower())
        if columns is None:
            self.statement.refuse(node, f"there is no table '{name}'; GET /tables lists them")
        self.statement.used[name.lower()] = None
        return self.aliased(node, quote(name.lower()), tuple(Col(n, n, kind) for n, kind in columns), name, scope)

    def derived(self, node: exp.Expr, scope: Scope) -> str:
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            self.statement.refuse(node, "joins in brackets are not supported; write them in a row")
        alias = node.args.get("alias")
        node.set("alias", None)
        relation = self.query(node, scope.outer)
        node.set("alias", alias)
        return self.aliased(node, f"({relation.sql})", relation.columns, "", scope)

    def lateral(self, node: exp.Lateral, scope: Scope) -> str:
        self.statement.only(node, "this", "alias")
        if not isinstance(node.this, exp.Subquery):
            self.statement.refuse(node, "LATERAL takes a subquery")
        relation = self.query(node.this.this, scope)
        return self.aliased(node, f"LATERAL ({relation.sql})", relation.columns, "", scope)

    def unnest(self, node: exp.Unnest, scope: Scope) -> str:
        """``UNNEST(a, b) WITH ORDINALITY``: arrays side by side, the shorter ones filled up with nulls."""
        self.statement.only(node, "expressions", "alias", "offset")
        with self.expressions.without_aggregates():
            values = [self.expressions.value(part, scope) for part in node.expressions]
        lists: list[tuple[str, str]] = []
        cells: list[str] = []
        columns: list[Col] = []
        for part, value in zip(node.expressions, values, strict=True):
            name = f"part{len(lists)}"
            lists.append((name, self.listed(part, value)))
            for field, kind in unnested(value.type):
                cells.append(f"struct_extract({name}, '{field}')" if field else name)
                columns.append(Col(None, "", kind))
        offset = node.args.get("offset")
        if offset:
            longest = ", ".join(f"coalesce(len({made}), 0)" for _, made in lists)
            lists.append(("ordinality", f"range(1, greatest({longest}) + 1)"))
            cells.append("ordinality")
            columns.append(Col(None, "", BIGINT))
        alias = node.args.get("alias")
        names = list(alias.args.get("columns") or []) if alias else []
        if isinstance(offset, exp.Identifier) and names:
            names.append(offset)
        made = self.renamed(node, Relation("", unique(columns)), names).columns
        inner = ", ".join(f"unnest({sql}) AS {name}" for name, sql in lists)
        outer = ", ".join(f"{cell} AS {quote(column.held_as)}" for cell, column in zip(cells, made, strict=True))
        lateral = "LATERAL " if scope.sources or scope.outer else ""
        return self.aliased(
            node, f"{lateral}(SELECT {outer} FROM (SELECT {inner}) AS parts)", made, "", scope, named=True
        )

    def listed(self, node: exp.Expr, value: Value) -> str:
        if value.type.name == "map":
            return f"map_entries({value})"
        if value.type.name != "array" or value.type.args[0] == UNKNOWN:
            self.statement.refuse(node, f"UNNEST takes arrays and maps, not {value.type}")
        return value.sql

    def aliased(
        self, node: exp.Expr, sql: str, columns: tuple[Col, ...], name: str, scope: Scope, *, named: bool = False
    ) -> str:
        """A source under its alias, or its own name, added to the scope."""
        alias = node.args.get("alias")
        name = self.name_of(alias.this) if alias and alias.this else name
        names = alias.args.get("columns") or [] if alias and not named else []
        relation = self.renamed(node, Relation(sql, columns), names)
        if name and scope.source(name):
            self.statement.refuse(node, f"FROM names '{name}' twice; give one an alias")
        held_as = self.statement.fresh("t")
        scope.sources.append(Source(name, held_as, relation.columns))
        heads = f"({', '.join(quote(column.held_as) for column in relation.columns)})" if names else ""
        return f"{sql} AS {quote(held_as)}{heads}"

    def renamed(self, node: exp.Expr, relation: Relation, names: Sequence[exp.Expr]) -> Relation:
        """A relation under the column names of its alias, ``t(a, b)``."""
        if not names:
            return relation
        if len(names) != len(relation.columns):
            self.statement.refuse(node, f"{len(names)} names for {len(relation.columns)} columns")
        columns = unique(
            [Col(self.name_of(name), "", column.type) for name, column in zip(names, relation.columns, strict=True)]
        )
        return Relation(relation.sql, columns)

    def name_of(self, node: exp.Expr) -> str:
        """An identifier's name. A name in single quotes is a string to Trino."""
        if not isinstance(node, exp.Identifier):
            return self.statement.refuse(node, "a name is expected here")
        start = node.meta.get("start")
        if start is not None and self.statement.text[start : start + 1] == "'":
            self.statement.refuse(node, "a name is written in double quotes, not single ones")
        return node.name


def unique(columns: Sequence[Col]) -> tuple[Col, ...]:
    """Columns with names of their own in the translation: ``_col0`` for one without, ``a_1`` for a second ``a``."""
    taken: set[str] = set()
    made = []
    for at, column in enumerate(columns):
        held_as = base = column.name or f"_col{at}"
        number = 0
        while held_as.lower() in taken:
            number += 1
            held_as = f"{base}_{number}"
        taken.add(held_as.lower())
        made.append(replace(column, held_as=held_as))
    return tuple(made)


def unnested(kind: Type) -> list[tuple[str, Type]]:
    """The columns that an array or map unnests to; a row's fields become columns."""
    if kind.name == "map":
        return [("key", kind.args[0]), ("value", kind.args[1])]
    if kind.args[0].name == "row":
        return list(zip(kind.args[0].fields, kind.args[0].args, strict=True))
    return [("", kind.args[0])]

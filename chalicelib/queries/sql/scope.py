"""What names mean at a place in a query: the columns that FROM gives, lambdas' variables, aliases in ORDER BY."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql.types import Type, quote
from chalicelib.queries.sql.values import Value


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a query: the name it can be called by (None: it has none) and its name in the translation."""

    name: str | None
    held_as: str
    type: Type


@dataclass(frozen=True, slots=True)
class Relation:
    """A translated query and its columns."""

    sql: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A column that FROM gives: the alias and the name it can be called by, and what it is in the translation."""

    alias: str | None
    name: str | None
    value: Value


@dataclass(frozen=True, slots=True)
class Source:
    """A translated relation of FROM."""

    sql: str
    fields: list[Field]


@dataclass(slots=True)
class Level:
    """One SELECT. ``groups`` are the texts of its GROUP BY; ``ungrouped`` the columns met outside aggregates."""

    groups: dict[str, Value] | None = None
    ungrouped: list[tuple[int, str]] = field(default_factory=list)
    aggregated: bool = False
    windows: dict[str, s.Window] = field(default_factory=dict)
    aliases: frozenset[str] = frozenset()  # of its select list, in small letters
    outer_columns: int = 0  # how often columns of the queries around it are named


class Ambiguous(ValueError):
    """Several columns go by the name."""


@dataclass(slots=True)
class Scope:
    """Names are looked up here, then in ``outer`` (a subquery's surroundings).

    ``no_aggregates`` and ``no_windows`` say of which place it is that none may stand there.
    """

    outer: Scope | None = None
    fields: list[Field] = field(default_factory=list)
    level: Level = field(default_factory=Level)
    outputs: dict[str, list[Value]] = field(default_factory=dict)  # aliases that ORDER BY may use
    variables: dict[str, Value] = field(default_factory=dict)  # of the lambdas around
    lambdas: int = 0
    no_aggregates: str = ""
    no_windows: str = ""
    no_subqueries: str = ""  # whose subqueries may not name this scope's columns
    subquery: str = ""  # what the query is for that this scope is around: EXISTS, IN, INNER LATERAL, LEFT LATERAL
    index: dict[str, list[Field]] | None = None

    def column(self, name: str) -> Value | None:
        """The column called ``name``; None when there is none. Raises Ambiguous."""
        lowered = name.lower()
        if lowered in self.variables:
            return self.variables[lowered]
        if found := self.outputs.get(lowered):
            if any(other != found[0] for other in found):
                raise Ambiguous(name)
            return found[0]
        return self.only(self.named(lowered), name)

    def column_of(self, alias: str, name: str) -> Value | None:
        """The column ``alias.name``."""
        lowered = alias.lower()
        return self.only([one for one in self.named(name.lower()) if one.alias == lowered], name)

    def only(self, found: Sequence[Field], name: str) -> Value | None:
        if len(found) > 1:
            raise Ambiguous(name)
        return found[0].value if found else None

    def named(self, lowered: str) -> list[Field]:
        if self.index is None:
            self.index = {}
            for one in self.fields:
                if one.name is not None:
                    self.index.setdefault(one.name.lower(), []).append(one)
        return self.index.get(lowered, [])

    def has(self, alias: str) -> bool:
        return any(one.alias == alias.lower() for one in self.fields)

    def around(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope:
            yield scope
            scope = scope.outer

    def within(self, *, no_aggregates: str | None = None, no_windows: str | None = None) -> Scope:
        """This scope at a place where what is named may not stand."""
        return replace(
            self,
            no_aggregates=self.no_aggregates if no_aggregates is None else no_aggregates,
            no_windows=self.no_windows if no_windows is None else no_windows,
        )

    def inside(self, variables: dict[str, Value]) -> Scope:
        """This scope in a lambda with these variables."""
        return replace(
            self,
            variables={**self.variables, **variables},
            lambdas=self.lambdas + 1,
            no_aggregates="a lambda",
            no_windows="a lambda",
        )


def relation_of(sql: str, columns: Sequence[tuple[str | None, Type]]) -> Relation:
    """A query whose columns are held as c1, c2 …, whatever they are called."""
    return Relation(sql, tuple(Column(name, f"c{at}", kind) for at, (name, kind) in enumerate(columns, 1)))


def fields_of(alias: str | None, held_as: str, columns: Sequence[Column]) -> list[Field]:
    """A relation's columns under the name that it has in FROM and in the translation."""
    known = alias.lower() if alias is not None else None
    held = quote(held_as)
    return [Field(known, column.name, Value(f"{held}.{quote(column.held_as)}", column.type)) for column in columns]

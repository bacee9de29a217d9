"""What names mean at a place in a query: its sources, their columns, the lambdas around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from chalicelib.queries.sql.types import Type, quote
from chalicelib.queries.sql.values import Value


@dataclass(frozen=True, slots=True)
class Col:
    """A column of a relation: the name it can be called by (None: it has none) and its name in the translation."""

    name: str | None
    held_as: str
    type: Type


@dataclass(frozen=True, slots=True)
class Relation:
    """A translated query and its columns."""

    sql: str
    columns: tuple[Col, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A relation in FROM, under an alias."""

    alias: str
    held_as: str
    columns: tuple[Col, ...]

    def value(self, column: Col) -> Value:
        return Value(f"{quote(self.held_as)}.{quote(column.held_as)}", column.type)

    def find(self, name: str) -> list[Col]:
        return [column for column in self.columns if column.name is not None and same(column.name, name)]


class Ambiguous(ValueError):
    """Several columns go by the name."""


@dataclass(slots=True)
class Scope:
    """Names are looked up here, then in ``outer`` (a correlated subquery's surroundings)."""

    outer: Scope | None = None
    sources: list[Source] = field(default_factory=list)
    merged: dict[str, Col] = field(default_factory=dict)  # columns of JOIN … USING, in lower case
    outputs: dict[str, Value] = field(default_factory=dict)  # aliases that ORDER BY may use
    variables: dict[str, Value] = field(default_factory=dict)  # of the lambda around

    def source(self, alias: str) -> Source | None:
        return next((source for source in self.sources if same(source.alias, alias)), None)

    def column(self, name: str) -> Value | None:
        """The column called ``name``; None when there is none. Raises Ambiguous."""
        lowered = name.lower()
        if lowered in self.variables:
            return self.variables[lowered]
        if lowered in self.outputs:
            return self.outputs[lowered]
        if lowered in self.merged:
            column = self.merged[lowered]
            return Value(quote(column.held_as), column.type)
        found = [(source, column) for source in self.sources for column in source.find(name)]
        if len(found) > 1:
            raise Ambiguous(name)
        return found[0][0].value(found[0][1]) if found else None

    def around(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope:
            yield scope
            scope = scope.outer

    def inside(self, variables: dict[str, Value]) -> Scope:
        """This scope with a lambda's variables."""
        return Scope(self.outer, self.sources, self.merged, self.outputs, {**self.variables, **variables})


def same(one: str, other: str) -> bool:
    """Trino's names do not depend on case, quoted or not."""
    return one.lower() == other.lower()

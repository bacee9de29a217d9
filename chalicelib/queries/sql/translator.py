"""The translation of one statement: what it stands on, and which function translates which kind of node.

Expressions, queries and relations register themselves below with ``@expression``, ``@body`` and ``@relation``; a node
that nothing is registered for cannot be read by the parser either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql.scope import Relation, Scope, Source
from chalicelib.queries.sql.tokens import refused_at
from chalicelib.queries.sql.types import BOOLEAN, UNKNOWN, Type
from chalicelib.queries.sql.values import Refused, Value, coerce

MOST_WRITTEN = 3_000_000  # characters that the parts of one translation may have in all
MOST_REPEATS = 4  # translations of a part once more, each within another
MOST_SOURCES = 64  # tables and subqueries in FROM

TableColumns = tuple[tuple[str, Type], ...]
Expression = Callable[["Translator", Any, Scope], Value]
Body = Callable[["Translator", Any, Scope | None], Relation]
FromItem = Callable[["Translator", Any, Scope], Source]
F = TypeVar("F", bound=Callable[..., Any])

EXPRESSIONS: dict[type[s.Node], Expression] = {}
BODIES: dict[type[s.Node], Body] = {}
RELATIONS: dict[type[s.Node], FromItem] = {}


def registers(table: dict[type[s.Node], Any]) -> Callable[..., Callable[[F], F]]:
    def for_kinds(*kinds: type[s.Node]) -> Callable[[F], F]:
        def register(function: F) -> F:
            table.update(dict.fromkeys(kinds, function))
            return function

        return register

    return for_kinds


expression = registers(EXPRESSIONS)
body = registers(BODIES)
relation = registers(RELATIONS)


class Translator:
    """One statement's text, what it may read, and what was found in it so far."""

    def __init__(self, text: str, tables: dict[str, TableColumns], parameters: Sequence[tuple[Type, Any]] = ()) -> None:
        self.text = text
        self.tables = tables
        self.parameters = parameters  # each one's type, and its value or OPAQUE
        self.bound: set[int] = set()  # the parameters that the translation names
        self.used: dict[str, None] = {}
        self.volatile = False
        self.named: list[dict[str, Relation]] = []  # WITH, innermost last
        self._names = 0
        self._written = 0
        self._sources = 0
        self._repeats = 0

    def value(self, node: s.Node, scope: Scope) -> Value:
        """An expression's translation. Raises QueryRefused."""
        translate = EXPRESSIONS.get(type(node))
        if translate is None:
            self.refuse(node, "this cannot stand here")
        level = scope.level
        met = len(level.ungrouped)
        try:
            made = translate(self, node, scope)
        except Refused as error:
            self.refuse(node, str(error))
        self._written += len(made.sql)
        if self._written > MOST_WRITTEN:
            self.refuse(node, "the statement is too complex")
        if level.groups and (grouped := level.groups.get(made.sql)):
            del level.ungrouped[met:]
            return grouped
        return made

    def boolean(self, node: s.Node, scope: Scope, what: str) -> Value:
        made = self.value(node, scope)
        if made.type not in (BOOLEAN, UNKNOWN):
            self.refuse(node, f"{what} must be boolean, not {made.type}")
        return coerce(made, BOOLEAN)

    def query(self, node: s.Query, outer: Scope | None) -> Relation:
        return BODIES[s.Query](self, node, outer)

    def source(self, node: s.Node, scope: Scope) -> Source:
        """One item of FROM; ``scope`` has what stands before it, for LATERAL and UNNEST."""
        self._sources += 1
        if self._sources > MOST_SOURCES:
            self.refuse(node, f"at most {MOST_SOURCES} tables and subqueries in FROM")
        return RELATIONS[type(node)](self, node, scope)

    @contextmanager
    def once_more(self, node: s.Node) -> Iterator[None]:
        """Around what is translated a second time. Each such within another doubles the work: few levels may do so."""
        self._repeats += 1
        if self._repeats > MOST_REPEATS:
            self.refuse(node, "the statement is too complex: let each reduce start with the type that it ends with")
        try:
            yield
        finally:
            self._repeats -= 1

    def fresh(self, prefix: str) -> str:
        """A name that nothing else in the translation has."""
        self._names += 1
        return f"{prefix}{self._names}"

    def refuse(self, place: s.Node | int | None, message: str) -> NoReturn:
        """Raise QueryRefused with the place of a node."""
        raise refused_at(self.text, place.at if isinstance(place, s.Node) else place, message)

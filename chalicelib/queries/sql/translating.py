"""What every part of the translation of expressions stands on: dispatch by kind of node, and names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from sqlglot import exp

from chalicelib.queries.sql.arguments import Refused
from chalicelib.queries.sql.calls import NoForm
from chalicelib.queries.sql.parsing import Statement
from chalicelib.queries.sql.scope import Ambiguous, Scope
from chalicelib.queries.sql.types import (
    BOOLEAN,
    UNKNOWN,
    text,
)
from chalicelib.queries.sql.values import CannotCast, TooComplex, Value, coerce

if TYPE_CHECKING:
    from chalicelib.queries.sql.queries import Queries


Method = Callable[[Any, Any, Scope], Value]


class Translating:
    """Translates expressions of one statement; ``methods`` has one for each kind of node.

    Subqueries go to ``queries``.
    """

    methods: ClassVar[dict[type[exp.Expr], Method]] = {}

    def __init__(self, statement: Statement, queries: Queries) -> None:
        self.statement = statement
        self.queries = queries
        self.allows_aggregates = True
        self.windows: dict[str, exp.Window] = {}

    def value(self, node: exp.Expr, scope: Scope) -> Value:
        """A node's translation. Raises QueryRefused."""
        method = self.methods.get(type(node))
        if method is None:
            self.statement.refuse(node, f"{type(node).__name__} is not supported")
        try:
            return method(self, node, scope)
        except (Refused, NoForm, CannotCast, TooComplex) as error:
            return self.statement.refuse(node, describe(error))

    def boolean(self, node: exp.Expr, scope: Scope, what: str) -> Value:
        made = self.value(node, scope)
        if made.type not in (BOOLEAN, UNKNOWN):
            self.statement.refuse(node, f"{what} must be boolean, not {made.type}")
        return coerce(made, BOOLEAN)

    @contextmanager
    def without_aggregates(self) -> Iterator[None]:
        """Where no aggregate or window function may stand."""
        before, self.allows_aggregates = self.allows_aggregates, False
        try:
            yield
        finally:
            self.allows_aggregates = before

    def resolve(self, node: exp.Expr, parts: Sequence[exp.Expr], scope: Scope) -> Value:
        """``column``, ``alias.column`` or ``row.field``, from the inside out."""
        names = [self.queries.name_of(part) for part in parts]
        for around in scope.around():
            try:
                if len(names) > 1 and (source := around.source(names[0])):
                    found = source.find(names[1])
                    if len(found) > 1:
                        raise Ambiguous(names[1])
                    if found:
                        return self.fields(node, source.value(found[0]), names[2:])
                elif value := around.column(names[0]):
                    return self.fields(node, value, names[1:])
            except Ambiguous as error:
                self.statement.refuse(node, f"column '{error}' is ambiguous")
        return self.statement.refuse(node, f"column '{'.'.join(names)}' cannot be resolved")

    def fields(self, node: exp.Expr, value: Value, names: Sequence[str]) -> Value:
        for name in names:
            known = [(field, kind) for field, kind in zip(value.type.fields, value.type.args, strict=False)]
            match = next(((field, kind) for field, kind in known if field.lower() == name.lower()), None)
            if value.type.name != "row" or match is None:
                self.statement.refuse(node, f"{value.type} has no field '{name}'")
            value = Value(f"struct_extract({value}, {text(match[0])})", match[1])
        return value


def describe(error: Exception) -> str:
    return f"cannot cast {error}" if isinstance(error, CannotCast) else str(error)

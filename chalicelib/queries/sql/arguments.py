"""Arguments of functions whose rendering looks at them: how many, of which types, with which values."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.queries.sql.types import Type, common
from chalicelib.queries.sql.values import Value, coerce

Special = Callable[[list[Value]], Value]


class Refused(ValueError):
    """What is wrong, and with which argument (None: with the call)."""

    def __init__(self, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.at = at


def constant(arguments: list[Value], at: int, what: str) -> str:
    value = arguments[at]
    if not isinstance(value.constant, str):
        raise Refused(f"{what} must be a literal or a parameter", at)
    return value.constant


def want(arguments: list[Value], least: int, most: int | None = None) -> None:
    most = least if most is None else most
    if not least <= len(arguments) <= most:
        raise Refused(f"takes {least if least == most else f'{least} to {most}'} arguments, not {len(arguments)}")


def require(arguments: list[Value], at: int, kind: Type) -> Value:
    given = arguments[at].type
    if given != kind and common(given, kind) != kind:
        raise Refused(f"must be {kind}, not {given}", at)
    return coerce(arguments[at], kind)


def alike(arguments: list[Value]) -> Type:
    """The common type of all."""
    if not arguments:
        raise Refused("takes at least 1 argument")
    kind = arguments[0].type
    for at, argument in enumerate(arguments[1:], 1):
        shared = common(kind, argument.type)
        if shared is None:
            raise Refused(f"{argument.type} does not go together with {kind}", at)
        kind = shared
    return kind

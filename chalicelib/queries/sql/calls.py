"""Which form of a function a call means: the first whose parameters take the arguments' types, the closest first."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.queries.sql.functions import Form, split_types
from chalicelib.queries.sql.types import TIMESTAMP, TIMESTAMPTZ, UNKNOWN, Type, coerces, common
from chalicelib.queries.sql.values import Value, cast, coerce

NUMBERS, WHOLE, ORDERED, COMPARED = "N", "I", "O", "E"


class NoForm(ValueError):
    """No form of the function takes these types."""


@dataclass(frozen=True, slots=True)
class Lambda:
    """A lambda argument, not yet translated: its body's type depends on the form that is chosen."""

    parameters: int


Argument = Value | Lambda


def choose(name: str, forms: list[Form], arguments: list[Argument]) -> tuple[Form, dict[str, Type]]:
    """The form and what its type variables stand for. Raises NoForm."""
    best: tuple[int, Form, dict[str, Type]] | None = None
    for form in forms:
        fit = matches(form, arguments)
        if fit and (best is None or fit[0] < best[0]):
            best = (fit[0], form, fit[1])
    if best is None:
        given = ", ".join("function" if isinstance(part, Lambda) else str(part.type) for part in arguments)
        known = "; ".join(f"{form.name}({', '.join(form.parameters)})" for form in forms)
        raise NoForm(f"{name}({given}) is not a function; there is {known}")
    return best[1], best[2]


def matches(form: Form, arguments: list[Argument]) -> tuple[int, dict[str, Type]] | None:
    """How far the arguments are from the form's parameters, and its variables; None when they do not fit."""
    parameters = expanded(form, len(arguments))
    if parameters is None:
        return None
    bound: dict[str, Type] = {}
    for parameter, argument in zip(parameters, arguments, strict=True):
        if isinstance(argument, Value) and "=>" not in parameter:
            if not bind(parameter, argument.type, bound):
                return None
        elif isinstance(argument, Value) or arity(parameter) != argument.parameters:
            return None
    distance = 0
    for parameter, argument in zip(parameters, arguments, strict=True):
        if isinstance(argument, Value):
            wanted = resolve(parameter, bound)
            if not coerces(argument.type, wanted) and argument.type != wanted:
                return None
            distance += steps(argument.type, wanted)
    return distance, bound


def arity(parameter: str) -> int | None:
    """How many arguments a parameter's lambda takes; None when it is no lambda."""
    takes, arrow, _ = parameter.partition("=>")
    return len(split_types(takes.strip("()"))) if arrow else None


def expanded(form: Form, count: int) -> list[str] | None:
    parameters = list(form.parameters)
    if form.parameters == ("*",):
        parameters = []
    if form.repeats and count >= len(parameters):
        parameters += [parameters[-1]] * (count - len(parameters))
    return parameters if len(parameters) == count else None


def bind(parameter: str, given: Type, bound: dict[str, Type]) -> bool:
    """Let the variables of ``parameter`` stand for what makes it ``given``."""
    if len(parameter) == 1 and parameter.isupper():
        if not fits(parameter, given):
            return False
        joined = common(bound[parameter], given) if parameter in bound else given
        if joined is None:
            return False
        bound[parameter] = joined
        return True
    if "(" in parameter:
        outer, inner = parameter[:-1].split("(", 1)
        if given == UNKNOWN:
            return all(bind(part, UNKNOWN, bound) for part in split_types(inner))
        parts = split_types(inner)
        return outer == given.name and len(parts) == len(given.args) and all(map(bind, parts, given.args, [bound] * 2))
    return True


def fits(variable: str, given: Type) -> bool:
    if given == UNKNOWN:
        return True
    if variable == NUMBERS:
        return given.numeric
    if variable == WHOLE:
        return given.integral
    if variable == ORDERED:
        return given.orderable
    if variable == COMPARED:
        return given.comparable
    return given.name != "function"


def resolve(parameter: str, bound: dict[str, Type]) -> Type:
    """The type that a parameter stands for once its variables are known."""
    if len(parameter) == 1 and parameter.isupper():
        return bound.get(parameter, UNKNOWN)
    if "(" in parameter:
        outer, inner = parameter[:-1].split("(", 1)
        return Type(outer, tuple(resolve(part, bound) for part in split_types(inner)))
    if parameter == "timestamp":
        return bound.get("timestamp", TIMESTAMP)
    if parameter == "timestamptz":
        return bound.get("timestamptz", TIMESTAMPTZ)
    return Type(parameter)


def steps(given: Type, wanted: Type) -> int:
    """How much of a change a coercion is; 0 for none."""
    if given in (wanted, UNKNOWN) or (given.name == wanted.name and not given.args):
        return 0
    order = (
        "tinyint",
        "smallint",
        "integer",
        "bigint",
        "decimal",
        "real",
        "double",
        "date",
        "timestamp",
        "timestamptz",
    )
    if given.name in order and wanted.name in order:
        return (
            order.index(wanted.name) - order.index(given.name) + (10 if given.integral and not wanted.integral else 0)
        )
    return 5


def coerced(form: Form, bound: dict[str, Type], argument: Value, parameter: str) -> Value:
    """An argument as the form takes it; a timestamp keeps its own digits of a second."""
    wanted = resolve(parameter, bound)
    if wanted.name in ("timestamp", "timestamptz") and argument.type.name == wanted.name:
        return argument
    if form.template == "cast":
        return argument
    return coerce(argument, wanted)


def rendered(form: Form, bound: dict[str, Type], arguments: list[Value]) -> Value:
    """The call, before FILTER and OVER."""
    returns = resolve(form.returns, bound)
    if returns.name in ("timestamp", "timestamptz"):
        digits = [argument.type.precision for argument in arguments if argument.type.name == returns.name]
        returns = replace(returns, precision=digits[0] if digits else 3)
    if form.template == "cast":
        return cast(arguments[0], returns)
    every = ", ".join(map(str, arguments))
    return Value(
        f"({form.template.format(*arguments, all=every)})"
        if form.kind == "scalar"
        else form.template.format(*arguments, all=every),
        returns,
    )

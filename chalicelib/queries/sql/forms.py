"""The forms of functions: what a signature says, and which form a call means.

A signature is ``name(types) -> type``. A capital letter is a type variable (N numeric, I integral, O orderable, E
comparable, others anything); X=>Y is a lambda; ``...`` repeats the last argument. In a template ``{0}`` is an
argument, ``{0.local}`` the wall clock of a date or timestamp, ``{0.compared}`` what to tell it apart by, ``{all}``
every argument. An argument that stands several times in it is evaluated once (values.filled).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chalicelib.queries.sql.casts import cast
from chalicelib.queries.sql.types import TIMESTAMP, TIMESTAMPTZ, UNKNOWN, Type, coerces, common
from chalicelib.queries.sql.values import Refused, Value, coerce, filled

NUMBERS, WHOLE, ORDERED, COMPARED = "N", "I", "O", "E"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """How DuckDB aggregates: ``function`` over ``arguments`` (a template); ``after`` wraps the printed call.

    ``others`` are further calls over the same rows, ``{1}``, ``{2}`` … of ``after``.
    """

    function: str
    arguments: str = ""
    after: str = "{0}"
    others: tuple[tuple[str, str], ...] = ()
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """One signature of a function. A scalar has a template, an aggregate or window function a call."""

    name: str
    parameters: tuple[str, ...]
    returns: str
    template: str = ""
    repeats: bool = False
    kind: str = "scalar"
    call: Aggregate | None = None

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.parameters)}{'...' if self.repeats else ''})"


@dataclass(frozen=True, slots=True)
class LambdaArgument:
    """A lambda argument, not yet translated: its body's type depends on the form that is chosen."""

    parameters: int


Argument = Value | LambdaArgument


def read_form(signature: str, template: str = "", kind: str = "scalar", call: Aggregate | None = None) -> Form:
    """A declaration, whose template ``cast`` means a cast to its result."""
    match = re.fullmatch(r"(\w+)\((.*)\) -> (.*)", signature)
    if not match:
        raise ValueError(f"not a function's signature: {signature}")
    parameters = split_types(match[2])
    repeats = bool(parameters) and parameters[-1].endswith("...")
    if repeats:
        parameters[-1] = parameters[-1].removesuffix("...")
    return Form(match[1], tuple(parameters), match[3], template, repeats, kind, call)


def split_types(written: str) -> list[str]:
    """``array(T), T=>U`` at its outermost commas."""
    parts, depth = [""], 0
    for sign in written:
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts if part.strip()]


def choose(name: str, forms: Sequence[Form], arguments: Sequence[Argument]) -> tuple[Form, dict[str, Type]]:
    """The closest form that takes the arguments' types, and what its type variables stand for. Raises Refused."""
    best: tuple[int, Form, dict[str, Type]] | None = None
    for form in forms:
        fit = matches(form, arguments)
        if fit and (best is None or fit[0] < best[0]):
            best = (fit[0], form, fit[1])
    if best is None:
        given = ", ".join("a lambda" if isinstance(part, LambdaArgument) else str(part.type) for part in arguments)
        known = "; ".join(dict.fromkeys(map(str, forms)))
        raise Refused(f"{name}({given}) is not a function; there is {known}")
    return best[1], best[2]


def matches(form: Form, arguments: Sequence[Argument]) -> tuple[int, dict[str, Type]] | None:
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
    """The parameters of a call with ``count`` arguments."""
    parameters = list(form.parameters)
    if form.repeats and count >= len(parameters):
        parameters += [parameters[-1]] * (count - len(parameters))
    return parameters if len(parameters) == count else None


def bind(parameter: str, given: Type, bound: dict[str, Type]) -> bool:
    """Let the variables of ``parameter`` stand for what makes it ``given``."""
    if is_variable(parameter):
        if not fits(parameter, given):
            return False
        joined = common(bound[parameter], given) if parameter in bound else given
        if joined is None:
            return False
        bound[parameter] = joined
        return True
    if "(" in parameter:
        outer, inner = parameter[:-1].split("(", 1)
        parts = split_types(inner)
        if given == UNKNOWN:
            return all(bind(part, UNKNOWN, bound) for part in parts)
        return outer == given.name and len(parts) == len(given.args) and all(map(bind, parts, given.args, [bound] * 2))
    return True


def is_variable(parameter: str) -> bool:
    return parameter[:1].isupper() and (len(parameter) == 1 or parameter[1:].isdigit())


def fits(variable: str, given: Type) -> bool:
    if given == UNKNOWN:
        return True
    if variable[0] == NUMBERS:
        return given.numeric
    if variable[0] == WHOLE:
        return given.integral
    if variable[0] == ORDERED:
        return given.orderable
    if variable[0] == COMPARED:
        return given.comparable
    return given.name != "function"


def resolve(parameter: str, bound: dict[str, Type]) -> Type:
    """The type that a parameter stands for once its variables are known."""
    if is_variable(parameter):
        return bound.get(parameter, UNKNOWN)
    if "(" in parameter:
        outer, inner = parameter[:-1].split("(", 1)
        parts = tuple(resolve(part, bound) for part in split_types(inner))
        return Type(outer, parts, ("",) * len(parts) if outer == "row" else ())
    if parameter == "timestamp":
        return bound.get("timestamp", TIMESTAMP)
    if parameter == "timestamptz":
        return bound.get("timestamptz", TIMESTAMPTZ)
    return Type(parameter)


ORDER = ("tinyint", "smallint", "integer", "bigint", "decimal", "real", "double", "date", "timestamp", "timestamptz")


def steps(given: Type, wanted: Type) -> int:
    """How much of a change a coercion is; 0 for none."""
    if given in (wanted, UNKNOWN) or (given.name == wanted.name and not given.args):
        return 0
    if given.name in ORDER and wanted.name in ORDER:
        away = ORDER.index(wanted.name) - ORDER.index(given.name)
        return away + (10 if given.integral and not wanted.integral else 0)
    return 5


def coerced(form: Form, bound: dict[str, Type], argument: Value, parameter: str) -> Value:
    """An argument as the form takes it; a timestamp keeps its own digits of a second."""
    wanted = resolve(parameter, bound)
    if wanted.name in ("timestamp", "timestamptz") and argument.type.name == wanted.name:
        return argument
    if form.template == "cast":
        return argument
    return coerce(argument, wanted)


def returned(form: Form, bound: dict[str, Type], arguments: Sequence[Value]) -> Type:
    """The type of a call's result."""
    kind = resolve(form.returns, bound)
    if kind.name in ("timestamp", "timestamptz"):
        digits = [argument.type.precision for argument in arguments if argument.type.name == kind.name]
        return replace(kind, precision=digits[0] if digits else 3)
    return kind


def rendered(form: Form, bound: dict[str, Type], arguments: list[Value]) -> Value:
    """A scalar function's call."""
    kind = returned(form, bound, arguments)
    if form.template == "cast":
        return cast(arguments[0], kind)
    every = ", ".join(map(str, arguments)) if "{all}" in form.template else ""
    return Value(f"({filled(form.template, arguments, all=every, type=kind.duckdb)})", kind)


def want(arguments: Sequence[Value], least: int, most: int | None = None) -> None:
    most = least if most is None else most
    if not least <= len(arguments) <= most:
        raise Refused(f"takes {least if least == most else f'{least} to {most}'} arguments, not {len(arguments)}")


def require(arguments: Sequence[Value], at: int, kind: Type) -> Value:
    given = arguments[at].type
    if given != kind and common(given, kind) != kind:
        raise Refused(f"must be {kind}, not {given}", at)
    return coerce(arguments[at], kind)


def constant(arguments: Sequence[Value], at: int, what: str) -> str:
    value = arguments[at]
    if not isinstance(value.constant, str):
        raise Refused(f"{what} must be a literal or a parameter", at)
    return value.constant

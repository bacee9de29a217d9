"""Functions over any type: conditions, concatenation, extremes, the name of a type."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.queries.sql.comparison import compare
from chalicelib.queries.sql.forms import want
from chalicelib.queries.sql.types import UNKNOWN, VARCHAR, Type, array, common, text
from chalicelib.queries.sql.values import Refused, Value, alike, coerce, fail_when, once

LONGEST = {"array": 1_000_000, "varchar": 1_000_000, "varbinary": 1_000_000}  # entries, bytes


def concat(arguments: list[Value]) -> Value:
    if len(arguments) < 2 and not (arguments and arguments[0].type.name == "array"):
        raise Refused("takes at least 2 arguments")
    if any(argument.type.name == "array" for argument in arguments):
        made = arguments[0]
        for argument in arguments[1:]:
            made = concatenated(made, argument)
        return made
    kind = alike_texts(arguments)
    return joined([coerce(argument, kind) for argument in arguments], kind)


def alike_texts(arguments: list[Value]) -> Type:
    kind = next((argument.type for argument in arguments if argument.type != UNKNOWN), VARCHAR)
    if kind.name not in ("varchar", "varbinary"):
        raise Refused(f"takes varchar or arrays, not {kind}; CAST what is neither")
    for at, argument in enumerate(arguments):
        if argument.type not in (kind, UNKNOWN):
            raise Refused(f"must be {kind}, not {argument.type}; write CAST(… AS varchar)", at)
    return kind


def concatenated(left: Value, right: Value) -> Value:
    """``left || right``, one of which may be an array and the other an element of it."""
    if left.type.name == right.type.name == "array":
        kind = common(left.type, right.type)
        parts = {left.type.args[0].name, right.type.args[0].name}
        if kind is None or parts == {"array", "unknown"}:  # an array of arrays and an array, or an element of it
            raise Refused(f"cannot apply {left.type} || {right.type}")
        return joined([coerce(left, kind), coerce(right, kind)], kind)
    for values, element, function in ((left, right, "list_append"), (right, left, "list_prepend")):
        if values.type.name == "array":
            inner = common(values.type.args[0], element.type)
            if inner is None:
                raise Refused(f"cannot apply {left.type} || {right.type}")
            if element.type == UNKNOWN and function == "list_append":
                return Value(f"CAST(NULL AS {values.type.duckdb})", values.type)
            kind = array(inner)
            pair = (coerce(values, kind), coerce(element, inner))
            one, other = pair if function == "list_append" else reversed(pair)
            missing = f"WHEN {pair[0]} IS NULL OR {pair[1]} IS NULL THEN NULL"
            return Value(f"CASE {missing} ELSE {function}({one}, {other}) END", kind)
    return joined([coerce(value, alike_texts([left, right])) for value in (left, right)], alike_texts([left, right]))


def joined(values: list[Value], kind: Type) -> Value:
    size = "len" if kind.name == "array" else "octet_length" if kind.name == "varbinary" else "strlen"

    def make(*parts: Value) -> str:
        growing = [f"{size}({part})" for part in parts if not part.known]
        limits = []
        if len(growing) > 1:  # what is put together again and again doubles each time
            limits.append(fail_when(f"{' + '.join(growing)} > {LONGEST[kind.name]}", text("|| makes too long a value")))
        if kind.name == "array":
            limits.append(f"WHEN {' OR '.join(f'{part} IS NULL' for part in parts)} THEN NULL")
        made = " || ".join(map(str, parts))
        return f"CASE {' '.join(limits)} ELSE {made} END" if limits else f"({made})"

    return Value(once(values, make), kind)


def extreme(function: str) -> Callable[[list[Value]], Value]:
    """greatest and least: null where one is, and NaN passed over."""
    sign = ">" if function == "greatest" else "<"

    def made(arguments: list[Value]) -> Value:
        kind = alike(arguments)
        if not kind.orderable or kind.args:
            raise Refused(f"of {kind} is not supported")
        values = [coerce(argument, kind) for argument in arguments]
        if kind.zoned:
            return chosen(values, kind, sign)

        def make(*parts: Value) -> str:
            missing = " OR ".join(f"{part} IS NULL" for part in parts)
            listed = ", ".join(map(str, parts))
            found = f"{function}({listed})"
            if kind.approximate:
                numbers = f"list_filter([{listed}], lambda x: NOT isnan(x))"
                found = f"coalesce(list_{'max' if sign == '>' else 'min'}({numbers}), {parts[0]})"
            return f"CASE WHEN {missing} THEN NULL ELSE {found} END"

        return Value(once(values, make), kind)

    return made


def chosen(values: list[Value], kind: Type, sign: str) -> Value:
    def better(one: Value, other: Value) -> str:
        missing = f"{one} IS NULL OR {other} IS NULL"
        return f"CASE WHEN {missing} THEN NULL WHEN {other.compared} {sign} {one.compared} THEN {other} ELSE {one} END"

    made = values[0]
    for value in values[1:]:
        made = Value(once([made, value], better), kind)
    return made


def coalesce(arguments: list[Value]) -> Value:
    if len(arguments) < 2:
        raise Refused("takes at least 2 arguments")
    kind = alike(arguments)
    values = [coerce(argument, kind) for argument in arguments]
    return Value(f"coalesce({', '.join(map(str, values))})", kind)


def nullif(arguments: list[Value]) -> Value:
    want(arguments, 2)
    kind = alike(arguments)
    if not kind.comparable:
        raise Refused(f"of {kind} is not supported")

    def make(first: Value, second: Value) -> str:
        if kind == UNKNOWN:
            return "NULL"
        return f"CASE WHEN {compare('=', coerce(first, kind), coerce(second, kind))} THEN NULL ELSE {first} END"

    return Value(once(arguments, make), arguments[0].type)


def choice(arguments: list[Value]) -> Value:
    """``IF(test, yes, no)``."""
    want(arguments, 2, 3)
    test = arguments[0]
    if test.type not in (Type("boolean"), UNKNOWN):
        raise Refused(f"IF's condition must be boolean, not {test.type}")
    branches = [arguments[1], arguments[2] if len(arguments) == 3 else Value("NULL", UNKNOWN, None)]
    kind = alike(branches)
    yes, no = (coerce(branch, kind) for branch in branches)
    return Value(f"CASE WHEN {coerce(test, Type('boolean'))} THEN {yes} ELSE {no} END", kind)


def attempt(arguments: list[Value]) -> Value:
    want(arguments, 1)
    if arguments[0].type == UNKNOWN:
        return arguments[0]
    return Value(f"TRY({arguments[0]})", arguments[0].type)


def typeof(arguments: list[Value]) -> Value:
    want(arguments, 1)
    value = arguments[0]
    shown = str(value.type)
    if value.type == VARCHAR and isinstance(value.constant, str):
        shown = f"varchar({len(value.constant)})"
    return Value(text(shown), VARCHAR, shown)


BY_VALUE: dict[str, Callable[[list[Value]], Value]] = {
    "concat": concat,
    "greatest": extreme("greatest"),
    "least": extreme("least"),
    "coalesce": coalesce,
    "nullif": nullif,
    "if": choice,
    "try": attempt,
    "typeof": typeof,
}

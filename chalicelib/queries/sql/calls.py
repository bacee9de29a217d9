"""Calls of functions: scalar, aggregate and window; a structured call is put together and printed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql.forms import (
    Aggregate,
    Argument,
    LambdaArgument,
    choose,
    coerced,
    expanded,
    rendered,
    returned,
    split_types,
)  # fmt: skip
from chalicelib.queries.sql.functions import (
    BY_VALUE,
    FALLBACKS,
    MAKES_LONG,
    SAME_AS,
    VOLATILE,
    forms,
    known_names,
)  # fmt: skip
from chalicelib.queries.sql.lambdas import PROGRAMMED, WITH_LAMBDA, body_of, variable
from chalicelib.queries.sql.scope import Scope
from chalicelib.queries.sql.suggestions import ELSEWHERE, did_you_mean
from chalicelib.queries.sql.translator import Translator, expression
from chalicelib.queries.sql.types import BIGINT, DOUBLE, UNKNOWN, VARCHAR, Type, array, decimal, text
from chalicelib.queries.sql.values import OPAQUE, Refused, Value, coerce, once

MOST_ARGUMENTS = 127  # Athena's


@dataclass(frozen=True, slots=True)
class DuckCall:
    """A call as DuckDB writes it, with all that may stand in and behind its brackets."""

    function: str
    arguments: str
    distinct: bool = False
    order: str = ""
    nulls: str = ""
    filter: str = ""
    over: str | None = None

    def __str__(self) -> str:
        word = "DISTINCT " if self.distinct else ""
        order = f" ORDER BY {self.order}" if self.order else ""
        made = f"{self.function}({word}{self.arguments}{order}{self.nulls})"
        if self.filter:
            made += f" FILTER (WHERE {self.filter})"
        return made if self.over is None else f"{made} OVER ({self.over})"


# The calls that make up an aggregate, the type of its result, and what wraps the printed calls
Core = tuple[list[DuckCall], Type, Callable[[Sequence[str]], str]]


@expression(s.Call)
def call(translator: Translator, node: s.Call, scope: Scope) -> Value:
    written = node.name.lower()
    name = SAME_AS.get(written, written)
    if len(node.arguments) > MOST_ARGUMENTS:
        translator.refuse(node, f"Too many arguments for function call {written}()")
    if name in MAKES_LONG and scope.lambdas:
        translator.refuse(node, f"{written} in a lambda is not supported")
    translator.volatile |= name in VOLATILE
    if name in AGGREGATED:
        return aggregate(translator, node, name, scope)
    found = forms().get(name)
    if found is not None and found[0].kind != "scalar":
        return aggregate(translator, node, name, scope)
    if name not in BY_VALUE and name not in PROGRAMMED and found is None:
        hint = did_you_mean(written, known_names(), ELSEWHERE)
        translator.refuse(node, f"the function {written} is not supported{hint}")
    plain_only(translator, node, written)
    return scalar(translator, node, name, scope)


def plain_only(translator: Translator, node: s.Call, written: str) -> None:
    """What belongs to aggregates and windows does not stand at a scalar function."""
    if node.star:
        translator.refuse(node, f"{written}(*) is not a function")
    for part, word in (
        (node.distinct, "DISTINCT"), (node.order, "ORDER BY"), (node.filter, "FILTER"), (node.nulls, "IGNORE NULLS"),
        (node.over, "OVER"),
    ):  # fmt: skip
        if part:
            translator.refuse(node, f"{word} does not belong to {written}, which is no aggregate or window function")


def scalar(translator: Translator, node: s.Call, name: str, scope: Scope) -> Value:
    lambdas = any(isinstance(part, s.Lambda) for part in node.arguments)
    try:
        if name in PROGRAMMED:
            return PROGRAMMED[name](translator, node, scope)
        if lambdas and name in WITH_LAMBDA:
            return WITH_LAMBDA[name](translator, node, scope)
        if lambdas and name in forms():
            return formed(translator, node, name, scope)
        arguments = [translator.value(part, scope) for part in node.arguments]
        if name in BY_VALUE:
            return BY_VALUE[name](arguments)
        return called(name, arguments)
    except Refused as error:
        place = node if error.at is None or error.at >= len(node.arguments) else node.arguments[error.at]
        message = str(error)
        return translator.refuse(place, message if message.startswith(f"{name}(") else f"{name}: {message}")


def called(name: str, arguments: Sequence[Value]) -> Value:
    """A declared function of these arguments."""
    name = SAME_AS.get(name, name)
    try:
        form, bound = choose(name, forms()[name], list(arguments))
    except Refused:
        if name in FALLBACKS and len(arguments) > 1 and not (name == "array_join" and is_text_array(arguments[0])):
            return FALLBACKS[name](list(arguments))
        raise
    parameters = expanded(form, len(arguments)) or []
    return rendered(form, bound, [coerced(form, bound, *pair) for pair in zip(arguments, parameters, strict=True)])


def is_text_array(value: Value) -> bool:
    return value.type in (array(VARCHAR), array(UNKNOWN))


def formed(translator: Translator, node: s.Call, name: str, scope: Scope) -> Value:
    """A declared function some of whose arguments are lambdas."""
    arguments: list[Argument] = [
        LambdaArgument(len(part.names)) if isinstance(part, s.Lambda) else translator.value(part, scope)
        for part in node.arguments
    ]
    form, bound = choose(name, forms()[name], arguments)
    made = []
    for part, argument, parameter in zip(node.arguments, arguments, expanded(form, len(arguments)) or [], strict=True):
        if isinstance(argument, LambdaArgument):
            made.append(lambda_argument(translator, part, parameter, bound, scope))
        else:
            made.append(coerced(form, bound, argument, parameter))
    return rendered(form, bound, made)


def lambda_argument(
    translator: Translator, node: s.Node, parameter: str, bound: dict[str, Type], scope: Scope
) -> Value:
    """A lambda, now that the types of its variables are known."""
    takes, gives = parameter.split("=>")
    kinds = [bound[name] for name in split_types(takes.strip("()"))]
    names = [variable(scope, at) for at in range(1, len(kinds) + 1)]
    body = body_of(translator, node, list(zip(names, kinds, strict=True)), scope)
    if len(gives) == 1 and gives.isupper():
        bound[gives] = body.type
    elif body.type not in (Type(gives), UNKNOWN):
        translator.refuse(node, f"the lambda must answer {gives}, not {body.type}")
    elif body.type == UNKNOWN:
        body = coerce(body, Type(gives))
    return Value(f"lambda {', '.join(names)}: {body}", Type("function"))


# Aggregates and windows


def aggregate(translator: Translator, node: s.Call, name: str, scope: Scope) -> Value:
    """An aggregate function, over groups or over a window, or a window function."""
    written = node.name.lower()
    kind = "aggregate" if name in AGGREGATED or name == "count" else forms()[name][0].kind
    windowed = node.over is not None
    check_place(translator, node, written, kind, scope)
    inner = (
        scope.within(no_windows=f"{written}(…)")
        if windowed
        else scope.within(
            no_aggregates=f"the aggregate function {written}", no_windows=f"the aggregate function {written}"
        )
    )
    level = scope.level
    met = len(level.ungrouped)
    made, result, after = core(translator, node, name, inner)
    order = ", ".join(ordered(translator, key, inner) for key in node.order)
    if order and kind != "aggregate":
        translator.refuse(node, f"ORDER BY does not belong to {written}")
    test = translator.boolean(node.filter, inner, "FILTER's condition").sql if node.filter is not None else ""
    if test and kind != "aggregate":
        translator.refuse(node, "FILTER belongs to an aggregate function")
    if test and windowed:
        translator.refuse(node, "FILTER is not yet supported for window functions")
    over = None
    if windowed:
        outer = level.outer_columns
        over = window_text(translator, node.over, scope)
        if level.outer_columns > outer:
            translator.refuse(node, "Given correlated subquery is not supported")
    else:
        level.aggregated = True
        del level.ungrouped[met:]
    nulls = " IGNORE NULLS" if node.nulls == "IGNORE" else ""
    if nulls and name not in ("lag", "lead", "first_value", "last_value", "nth_value"):
        translator.refuse(node, f"{written} takes no IGNORE NULLS")
    printed = [
        str(replace(one, distinct=one.distinct or node.distinct, order=order, filter=test, over=over, nulls=nulls))
        for one in made
    ]
    return Value(f"({after(printed)})" if len(printed) > 1 else after(printed), result)


def check_place(translator: Translator, node: s.Call, written: str, kind: str, scope: Scope) -> None:
    if node.over is not None:
        if scope.no_windows:
            translator.refuse(node, f"a window function cannot stand in {scope.no_windows}")
        return
    if kind == "window":
        translator.refuse(node, f"{written} needs OVER (…)")
    if scope.no_aggregates:
        translator.refuse(node, f"{written} cannot be used here: {scope.no_aggregates} holds no aggregate functions")


def core(translator: Translator, node: s.Call, name: str, scope: Scope) -> Core:
    """The calls that make up an aggregate, the type of its result, and what wraps the printed calls."""
    if node.star:
        if name != "count" or node.distinct or node.order:
            translator.refuse(node, f"{name}(*) is not a function")
        return [DuckCall("count", "*")], BIGINT, lambda printed: printed[0]
    if any(isinstance(part, s.Lambda) for part in node.arguments):
        translator.refuse(node, f"{name} of a lambda is not supported")
    if name == "count" and not node.arguments:
        return [DuckCall("count", "*")], BIGINT, lambda printed: printed[0]
    arguments = [translator.value(part, scope) for part in node.arguments]
    try:
        if name in AGGREGATED and (special := AGGREGATED[name](node, arguments)):
            return special
        return declared(node, name, arguments)
    except Refused as error:
        place = node if error.at is None or error.at >= len(node.arguments) else node.arguments[error.at]
        message = str(error)
        translator.refuse(place, message if message.startswith(f"{name}(") else f"{name}: {message}")


def declared(node: s.Call, name: str, arguments: list[Value]) -> Core:
    form, bound = choose(name, forms()[name], arguments)
    pairs = zip(arguments, expanded(form, len(arguments)) or [], strict=True)
    values = [coerced(form, bound, *pair) for pair in pairs]
    result = returned(form, bound, values)
    call = form.call or Aggregate("")
    if node.distinct and values and values[0].type.holds("timestamptz") and name != "count":
        raise Refused(f"DISTINCT of {values[0].type} is not supported")
    check_special(name, values)
    if name == "count" and node.distinct:
        call = replace(call, arguments="{0.compared}")
    calls = [DuckCall(call.function, call.arguments.format(*values), call.distinct)]
    calls += [DuckCall(function, template.format(*values)) for function, template in call.others]

    def after(printed: Sequence[str]) -> str:
        if call.after.count("{0}") > 1 and len(printed) == 1:
            return once(
                [Value(printed[0], result)], lambda one: call.after.format(one, type=result.duckdb), always=True
            )
        return call.after.format(*printed, type=result.duckdb)

    return calls, result, after


def check_special(name: str, values: list[Value]) -> None:
    """What Trino refuses of an argument's value, and what cannot be told apart here."""
    if name in ("lag", "lead") and len(values) > 1 and isinstance(values[1].constant, int) and values[1].constant < 0:
        raise Refused("the offset must be at least 0", 1)
    if (
        name in ("histogram", "map_agg", "multimap_agg", "map_union", "approx_distinct")
        and values[0].type.holds("timestamptz")
        and name != "approx_distinct"
    ):
        raise Refused(f"of {values[0].type} is not supported", 0)
    if name in ("min", "max") and len(values) == 1 and values[0].type.holds("timestamptz") and values[0].type.args:
        raise Refused(f"of {values[0].type} is not supported", 0)


def numeric_aggregate(name: str) -> Callable[[s.Call, list[Value]], Core | None]:
    """sum and avg, whose decimals have a type of their own."""

    def made(_node: s.Call, arguments: list[Value]) -> Core | None:
        if len(arguments) != 1:
            raise Refused(f"takes one argument, not {len(arguments)}")
        value = arguments[0]
        if value.type.name != "decimal":
            return None
        if name == "sum":
            kind = decimal(38, value.type.scale)
            return [DuckCall("sum", value.sql)], kind, lambda printed: f"CAST({printed[0]} AS {kind.duckdb})"
        kind = value.type
        calls = [DuckCall("sum", value.sql), DuckCall("count", value.sql)]
        return calls, kind, lambda printed: average(printed[0], printed[1], kind)

    return made


def average(total: str, count: str, kind: Type) -> str:
    """An exact average of decimals, rounded half up."""
    from chalicelib.queries.sql.numbers import divide

    wide = decimal(38, kind.scale)
    made = divide(
        Value(f"CAST({total} AS {wide.duckdb})", wide), Value(f"nullif({count}, 0)", BIGINT), decimal(38, kind.scale)
    )
    return f"CAST({made} AS {kind.duckdb})"


def approx_percentile(_node: s.Call, arguments: list[Value]) -> Core:
    """The exact percentile, which is within the bound of the approximate one."""
    if not 2 <= len(arguments) <= 4:
        raise Refused(f"takes 2 to 4 arguments, not {len(arguments)}")
    value, share = arguments[0], arguments[-1] if len(arguments) == 2 else arguments[1]
    if len(arguments) > 2:
        raise Refused("with weights or an accuracy is not supported")
    if not value.type.numeric or value.type.name == "decimal":
        if value.type.name != "decimal":
            raise Refused(f"takes a number, not {value.type}", 0)
        value = coerce(value, DOUBLE)
    elif value.type.integral:
        value = coerce(value, BIGINT)
    if share.type.name == "array":
        if not share.type.args[0].numeric or "$" in share.sql or '"' in share.sql:
            raise Refused("the percentages of approx_percentile are literals", 1)
        listed = coerce(share, array(DOUBLE)) if share.type != array(DOUBLE) else share
        return [DuckCall("quantile_disc", f"{value}, {listed}")], array(value.type), lambda printed: printed[0]
    if not share.known or not share.type.numeric:
        raise Refused("the percentage of approx_percentile is one literal", 1)
    if share.constant is not OPAQUE and not 0 <= float(share.constant) <= 1:
        raise Refused("Percentile must be between 0 and 1", 1)
    return [DuckCall("quantile_disc", f"{value}, {coerce(share, DOUBLE)}")], value.type, lambda printed: printed[0]


def listagg(node: s.Call, arguments: list[Value]) -> Core:
    """``LISTAGG(x, ',') WITHIN GROUP (ORDER BY …)``."""
    separator = arguments[1] if len(arguments) > 1 else Value("''", VARCHAR, "")
    if arguments[0].type not in (VARCHAR, UNKNOWN) or not isinstance(separator.constant, str):
        raise Refused("takes varchar and a literal separator")
    if node.over is not None:
        raise Refused("over a window is not supported")
    return (
        [DuckCall("string_agg", f"{coerce(arguments[0], VARCHAR)}, {text(separator.constant)}")],
        VARCHAR,
        lambda printed: printed[0],
    )


AGGREGATED: dict[str, Callable[[s.Call, list[Value]], Core | None]] = {
    "sum": numeric_aggregate("sum"),
    "avg": numeric_aggregate("avg"),
    "approx_percentile": approx_percentile,
    "listagg": listagg,
}


def ordered(translator: Translator, key: s.OrderKey, scope: Scope) -> str:
    """A key of ORDER BY in a window or an aggregate, where a number is a value."""
    value = translator.value(key.value, scope)
    return direction(key, order_text(translator, key, value))


def order_text(translator: Translator, key: s.OrderKey, value: Value) -> str:
    if not value.type.orderable and value.type != UNKNOWN:
        translator.refuse(key, f"cannot order by {value.type}")
    if value.type == UNKNOWN:
        return "CAST(NULL AS INTEGER)"
    return (
        f"CAST({value.compared} AS {value.type.duckdb})"
        if value.is_constant and not value.type.zoned
        else value.compared
    )


def direction(key: s.OrderKey, sql: str) -> str:
    return f"{sql} {'DESC' if key.descending else 'ASC'} NULLS {'FIRST' if key.nulls_first else 'LAST'}"


def window_text(translator: Translator, over: s.Window | str | None, scope: Scope, depth: int = 0) -> str:
    """What stands in the brackets after OVER; a named window's definition comes first."""
    if isinstance(over, str):
        named = scope.level.windows.get(over.lower())
        if named is None or depth > 20:
            raise Refused(f"there is no window {over}{did_you_mean(over, list(scope.level.windows))}")
        return window_text(translator, named, replace(scope, outputs={}), depth + 1)
    if over is None:
        return ""
    inner = scope.within(no_windows="a window function")
    parts = []
    if over.base:
        base = scope.level.windows.get(over.base.lower())
        if base is not None and (over.partition or (base.order and over.order) or base.frame):
            translator.refuse(over, f"the window {over.base} cannot be changed so")
        parts.append(window_text(translator, over.base, replace(scope, outputs={}), depth + 1))
    if over.partition:
        keys = []
        for part in over.partition:
            value = translator.value(part, inner)
            if not value.type.comparable:
                translator.refuse(part, f"cannot partition by {value.type}")
            keys.append(value.compared)
        parts.append("PARTITION BY " + ", ".join(keys))
    if over.order:
        parts.append("ORDER BY " + ", ".join(ordered(translator, key, inner) for key in over.order))
    if over.frame:
        parts.append(frame_text(translator, over.frame, over.order or any("ORDER BY" in part for part in parts), inner))
    return " ".join(part for part in parts if part)


def frame_text(translator: Translator, frame: s.Frame, has_order: object, scope: Scope) -> str:
    if (
        frame.unit != "ROWS"
        and not has_order
        and (frame.start[1] is not None or frame.end[1] is not None or frame.unit == "GROUPS")
    ):
        translator.refuse(frame, f"a frame of {frame.unit} needs ORDER BY in its window")
    check_edges(translator, frame)
    start, end = edge_text(translator, frame, frame.start, scope), edge_text(translator, frame, frame.end, scope)
    return f"{frame.unit} BETWEEN {start} AND {end}"


EDGES = ("UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING")


def check_edges(translator: Translator, frame: s.Frame) -> None:
    start, end = EDGES.index(frame.start[0]), EDGES.index(frame.end[0])
    if start == 4 or end == 0 or start > end:
        translator.refuse(frame, f"a frame cannot reach from {frame.start[0]} to {frame.end[0]}")


def edge_text(translator: Translator, frame: s.Frame, edge: tuple[str, s.Node | None], scope: Scope) -> str:
    words, node = edge
    if node is None:
        return words
    value = translator.value(node, scope)
    if frame.unit != "RANGE" and not value.type.integral:
        translator.refuse(node, f"a frame of {frame.unit} counts whole numbers, not {value.type}")
    if value.known and (value.constant is None or (isinstance(value.constant, (int, float)) and value.constant < 0)):
        translator.refuse(node, "a frame's offset is neither null nor negative")
    if not value.is_constant:
        from chalicelib.queries.sql.values import fail_when

        refused = fail_when("{0} IS NULL OR {0} < 0", text("Window frame offset must not be negative or null"))
        if not value.type.interval:
            return f"{once([value], lambda one: f'CASE {refused.format(one)} ELSE {one} END')} {words}"
    return f"{value} {words}"

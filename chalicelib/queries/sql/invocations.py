"""Calls of functions: scalar, aggregate and window; lambdas, FILTER and OVER."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlglot import exp

from chalicelib.queries.sql import special
from chalicelib.queries.sql.arguments import Refused, want
from chalicelib.queries.sql.calls import Argument, Lambda, choose, coerced, expanded, rendered
from chalicelib.queries.sql.functions import SAME_AS, VOLATILE, Form, forms, split_types
from chalicelib.queries.sql.scope import Scope
from chalicelib.queries.sql.translating import Translating
from chalicelib.queries.sql.types import (
    BIGINT,
    DOUBLE,
    UNKNOWN,
    VARCHAR,
    Type,
    common,
    decimal,
    text,
)
from chalicelib.queries.sql.values import OPAQUE, Value, coerce

MAKES_LONG = {"sequence", "repeat", "lpad", "rpad", "array_join"}  # times the length of an array: too long


class Invocations(Translating):
    """Which form of a function a call means is calls.py's business; here its parts are translated and put together."""

    def call(self, node: exp.Anonymous, scope: Scope) -> Value:
        return self.finished(self.invoked(node, scope))

    def finished(self, made: tuple[Value, Form | None]) -> Value:
        value, form = made
        return (
            replace(value, sql=form.after.format(value.sql, type=value.type.duckdb)) if form and form.after else value
        )

    def called(self, name: str, arguments: Sequence[Value]) -> Value:
        """A function of a syntax of its own."""
        form, bound = choose(name, forms()[SAME_AS.get(name, name)], list(arguments))
        pairs = zip(arguments, form.parameters, strict=True)
        return rendered(form, bound, [coerced(form, bound, *pair) for pair in pairs])

    def invoked(self, node: exp.Anonymous, scope: Scope) -> tuple[Value, Form | None]:
        """A call as written, and its form, before what FILTER and OVER add."""
        name = SAME_AS.get(node.name.lower(), node.name.lower())
        if scope.variables and name in MAKES_LONG:
            self.statement.refuse(node, f"{name} in a lambda is not supported")
        if not isinstance(node.this, str):
            self.statement.refuse(node, "a function's name is not quoted")
        self.statement.volatile |= name in VOLATILE
        if name in special.SPECIAL:
            return self.special_call(node, name, scope), None
        if name in PROGRAMMED:
            return PROGRAMMED[name](self, node, scope)
        known = forms().get(name)
        if known is None:
            self.statement.refuse(node, f"the function {node.name} is not supported")
        if known[0].kind != "scalar" and not self.allows_aggregates:
            self.statement.refuse(node, f"{name} cannot be used here")
        return self.formed(node, name, known, scope)

    def special_call(self, node: exp.Anonymous, name: str, scope: Scope) -> Value:
        arguments = [self.value(part, scope) for part in node.expressions]
        try:
            return special.SPECIAL[name](arguments)
        except Refused as error:
            place = node if error.at is None else node.expressions[error.at]
            return self.statement.refuse(place, f"{name}: {error}")

    def formed(self, node: exp.Anonymous, name: str, known: list[Form], scope: Scope) -> tuple[Value, Form]:
        written, distinct, order = aggregate_parts(node)
        if any(isinstance(part, exp.Star) for part in written):
            if name != "count" or distinct or order or len(written) != 1:
                self.statement.refuse(node, f"{name}(*) is not a function")
            return Value("count(*)", BIGINT), Form("count", ("*",), "bigint", "count(*)", kind="aggregate")
        arguments: list[Argument] = [
            Lambda(len(part.expressions)) if isinstance(part, exp.Lambda) else self.value(part, scope)
            for part in written
        ]
        form, bound = choose(name, known, arguments)
        made = self.arguments(written, arguments, expanded(form, len(arguments)) or [], form, bound, scope)
        call = rendered(form, bound, made)
        if (distinct or order) and form.kind != "aggregate":
            self.statement.refuse(node, f"{name} is not an aggregate function")
        if distinct or order:
            call = self.qualified(call, distinct, order, scope)
        return call, form

    def arguments(
        self,
        written: Sequence[exp.Expr],
        given: Sequence[Argument],
        parameters: Sequence[str],
        form: Form,
        bound: dict[str, Type],
        scope: Scope,
    ) -> list[Value]:
        """The arguments as the form takes them; a lambda is translated now that its variables' types are known."""
        made = []
        for node, argument, parameter in zip(written, given, parameters, strict=True):
            if isinstance(argument, Lambda):
                made.append(self.function(node, parameter, bound, scope))
            else:
                made.append(coerced(form, bound, argument, parameter))
        return made

    def function(self, node: exp.Expr, parameter: str, bound: dict[str, Type], scope: Scope) -> Value:
        takes, gives = parameter.split("=>")
        kinds = [bound[name] for name in split_types(takes.strip("()"))]
        body, names = self.lambda_body(node, kinds, scope)
        if len(gives) == 1 and gives.isupper():
            bound[gives] = body.type
        elif body.type not in (Type(gives), UNKNOWN):
            self.statement.refuse(node, f"the lambda must answer {gives}, not {body.type}")
        return Value(f"lambda {', '.join(names)}: {body}", Type("function"))

    def lambda_body(self, node: exp.Expr, kinds: Sequence[Type], scope: Scope) -> tuple[Value, list[str]]:
        if scope.variables:
            self.statement.refuse(node, "a lambda within a lambda is not supported")
        names = [self.statement.fresh("v") for _ in kinds]
        variables = {
            self.queries.name_of(variable).lower(): Value(name, kind)
            for variable, name, kind in zip(node.expressions, names, kinds, strict=True)
        }
        with self.without_aggregates():
            return self.value(node.this, scope.inside(variables)), names

    def qualified(self, call: Value, distinct: bool, order: Sequence[exp.Expr], scope: Scope) -> Value:
        """``sum(DISTINCT x)``, ``array_agg(x ORDER BY y)``."""
        opening = call.sql.index("(") + 1
        inside = call.sql[opening:-1]
        if distinct and inside.startswith("DISTINCT "):
            distinct = False
        ordering = f" ORDER BY {', '.join(self.queries.ordered(part, scope) for part in order)}" if order else ""
        return replace(call, sql=f"{call.sql[:opening]}{'DISTINCT ' if distinct else ''}{inside}{ordering})")

    def filtered(self, node: exp.Filter, scope: Scope) -> Value:
        return self.finished(self.filter_call(node, scope))

    def filter_call(self, node: exp.Filter, scope: Scope) -> tuple[Value, Form]:
        value, form = self.bare(node.this, scope)
        if form.kind != "aggregate":
            self.statement.refuse(node, "FILTER belongs to an aggregate function")
        test = self.boolean(node.expression.this, scope, "FILTER's condition")
        return replace(value, sql=f"{value.sql} FILTER (WHERE {test})"), form

    def bare(self, node: exp.Expr, scope: Scope) -> tuple[Value, Form]:
        """A call that FILTER or OVER follows."""
        if isinstance(node, exp.Filter):
            return self.filter_call(node, scope)
        value, form = self.invoked(node, scope) if isinstance(node, exp.Anonymous) else (Value("", UNKNOWN), None)
        if form is None:
            self.statement.refuse(node, "OVER and FILTER belong to an aggregate or window function")
        return value, form

    def window(self, node: exp.Window, scope: Scope) -> Value:
        if not self.allows_aggregates:
            self.statement.refuse(node, "a window function cannot be used here")
        self.statement.only(node, "this", "partition_by", "order", "spec", "alias", "over")
        call, nulls = node.this, ""
        if isinstance(call, (exp.IgnoreNulls, exp.RespectNulls)):
            nulls = " IGNORE NULLS" if isinstance(call, exp.IgnoreNulls) else ""
            call = call.this
        value, form = self.bare(call, scope)
        if form.kind == "scalar":
            self.statement.refuse(node, f"{form.name} is not a window function")
        if nulls:
            value = replace(value, sql=f"{value.sql[:-1]}{nulls})")
        return self.finished((replace(value, sql=f"{value.sql} OVER ({self.over(node, scope)})"), form))

    def over(self, node: exp.Window, scope: Scope) -> str:
        """What stands in the brackets after OVER; a named window's definition comes first."""
        parts = []
        if alias := node.args.get("alias"):
            named = self.windows.get(alias.name.lower())
            if named is None:
                self.statement.refuse(alias, f"there is no window {alias.name}")
            parts.append(self.over(named, scope))
        if partition := node.args.get("partition_by"):
            parts.append("PARTITION BY " + ", ".join(str(self.value(part, scope)) for part in partition))
        if order := node.args.get("order"):
            parts.append("ORDER BY " + ", ".join(self.queries.ordered(part, scope) for part in order.expressions))
        if spec := node.args.get("spec"):
            parts.append(self.frame(spec, scope))
        return " ".join(part for part in parts if part)

    def frame(self, spec: exp.WindowSpec, scope: Scope) -> str:
        self.statement.only(spec, "kind", "start", "start_side", "end", "end_side")
        start = self.bound(spec.args.get("start"), spec.args.get("start_side"), scope)
        end = self.bound(spec.args.get("end") or "CURRENT ROW", spec.args.get("end_side"), scope)
        kind = str(spec.args.get("kind")).upper()
        if kind not in ("ROWS", "RANGE", "GROUPS"):
            self.statement.refuse(spec, f"a frame of {kind} is not supported")
        return f"{kind} BETWEEN {start} AND {end}"

    def bound(self, edge: Any, side: str | None, scope: Scope) -> str:
        if isinstance(edge, exp.Expr):
            return f"{self.value(edge, scope)} {side}"
        return f"{edge} {side or ''}".strip()

    def listagg(self, node: exp.GroupConcat, scope: Scope) -> Value:
        self.statement.only(node, "this", "separator")
        if not isinstance(node.this, exp.Order):
            self.statement.refuse(node, "LISTAGG takes WITHIN GROUP (ORDER BY …)")
        value = self.value(node.this.this, scope)
        separator = (
            self.value(node.args["separator"], scope) if node.args.get("separator") else Value("''", VARCHAR, "")
        )
        if value.type != VARCHAR or not isinstance(separator.constant, str):
            self.statement.refuse(node, "LISTAGG takes varchar and a literal separator")
        order = ", ".join(self.queries.ordered(part, scope) for part in node.this.expressions)
        return Value(f"string_agg({value}, {text(separator.constant)} ORDER BY {order})", VARCHAR)


def aggregate_parts(node: exp.Anonymous) -> tuple[list[exp.Expr], bool, list[exp.Expr]]:
    """The arguments of a call without DISTINCT and ORDER BY, which are answered beside them."""
    arguments, distinct, order = list(node.expressions), False, []
    if arguments and isinstance(arguments[-1], exp.Order):
        order = arguments[-1].expressions
        arguments[-1] = arguments[-1].this
    if arguments and isinstance(arguments[0], exp.Distinct):
        distinct = True
        arguments = arguments[0].expressions + arguments[1:]
    return arguments, distinct, order


def approx_percentile(self: Invocations, node: exp.Anonymous, scope: Scope) -> tuple[Value, Form | None]:
    """The exact percentile, which is within the bound of the approximate one."""
    arguments = [self.value(part, scope) for part in node.expressions]
    want(arguments, 2)
    value, share = arguments
    if not value.type.numeric or value.type.name == "decimal":
        raise Refused(f"approx_percentile takes a number, not {value.type}")
    if share.type.name == "array" or not share.is_constant or share.constant is OPAQUE:
        raise Refused("the percentage of approx_percentile is one literal")
    form = Form("approx_percentile", ("N", "double"), "N", "", kind="aggregate")
    return Value(f"quantile_disc({value}, {coerce(share, DOUBLE)})", value.type), form


def numeric_aggregate(self: Invocations, node: exp.Anonymous, scope: Scope) -> tuple[Value, Form | None]:
    """sum and avg, whose decimals have a type of their own."""
    name = node.name.lower()
    written, distinct, order = aggregate_parts(node)
    if not self.allows_aggregates or len(written) != 1:
        self.statement.refuse(node, f"{name} takes one argument, and cannot be used everywhere")
    value = self.value(written[0], scope)
    if value.type.name != "decimal":
        return self.formed(node, name, forms()[name], scope)
    kind = decimal(38, value.type.scale) if name == "sum" else value.type
    form = Form(name, ("N",), "N", "", f"CAST({{}} AS {kind.duckdb})", kind="aggregate")
    call = Value(f"{name}({value})", kind)
    return (self.qualified(call, distinct, order, scope) if distinct or order else call), form


def reduce(self: Invocations, node: exp.Anonymous, scope: Scope) -> tuple[Value, Form | None]:
    """``reduce(array, start, (s, x) -> …, s -> …)``."""
    parts = node.expressions
    if len(parts) != 4 or not all(isinstance(part, exp.Lambda) for part in parts[2:]):
        raise Refused("reduce takes an array, a start, and two lambdas")
    values, start = self.value(parts[0], scope), self.value(parts[1], scope)
    if values.type.name != "array" or [len(part.expressions) for part in parts[2:]] != [2, 1]:
        raise Refused("reduce takes an array, a start, and lambdas of two arguments and one")
    state = start.type
    merged, names = self.lambda_body(parts[2], [state, values.type.args[0]], scope)
    if merged.type != state:
        state = common(state, merged.type) or state
        merged, names = self.lambda_body(parts[2], [state, values.type.args[0]], scope)
    if merged.type != state:
        raise Refused(f"reduce starts with {start.type} and goes on with {merged.type}")
    if state != values.type.args[0]:
        raise Refused(f"reduce of {values.type} to {state} is not supported; transform the array first")
    folded = Value(f"list_reduce({values}, lambda {', '.join(names)}: {merged}, {coerce(start, state)})", state)
    last, (name,) = self.lambda_body(parts[3], [state], scope)
    return Value(f"list_extract(list_transform([{folded}], lambda {name}: {last}), 1)", last.type), None


PROGRAMMED: dict[str, Callable[[Invocations, exp.Anonymous, Scope], tuple[Value, Form | None]]] = {
    "approx_percentile": approx_percentile,
    "sum": numeric_aggregate,
    "avg": numeric_aggregate,
    "reduce": reduce,
}

"""Expressions of Trino's SQL as typed DuckDB text.

Each kind of node has one method; a node, or a part of one, that no method takes is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from sqlglot import exp

from chalicelib.queries.sql import numeric, special, temporal
from chalicelib.queries.sql.arguments import Refused, alike
from chalicelib.queries.sql.constants import LARGEST_INTEGER, Constants
from chalicelib.queries.sql.invocations import Invocations
from chalicelib.queries.sql.scope import Scope
from chalicelib.queries.sql.translating import Method
from chalicelib.queries.sql.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    INTERVAL_DAY,
    UNKNOWN,
    VARCHAR,
    array,
    common,
    text,
)
from chalicelib.queries.sql.values import OPAQUE, Value, coerce, fail_when, utc_time, zoned

COMPARISONS = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
ARITHMETIC = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
EXTRACTED = {
    "year", "quarter", "month", "week", "day", "day_of_month", "day_of_week", "dow", "day_of_year", "doy",
    "year_of_week", "yow", "hour", "minute", "second",
}  # fmt: skip


class Expressions(Constants, Invocations):
    """Names, operators, conditions, arrays, subqueries."""

    def column(self, node: exp.Column, scope: Scope) -> Value:
        parts = [part for name in ("catalog", "db", "table", "this") if (part := node.args.get(name))]
        self.statement.only(node, "catalog", "db", "table", "this")
        return self.resolve(node, parts, scope)

    def identifier(self, node: exp.Identifier, scope: Scope) -> Value:
        return self.resolve(node, [node], scope)

    def dot(self, node: exp.Dot, scope: Scope) -> Value:
        if not isinstance(node.expression, exp.Identifier):
            self.statement.refuse(node, "only a field's name may follow '.'")
        return self.fields(node, self.value(node.this, scope), [node.expression.name])

    def paren(self, node: exp.Paren, scope: Scope) -> Value:
        self.statement.only(node, "this")
        inner = self.value(node.this, scope)
        return replace(inner, sql=f"({inner.sql})")

    def arithmetic(self, node: exp.Binary, scope: Scope) -> Value:
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        sign = ARITHMETIC[type(node)]
        kinds = (left.type.name, right.type.name)
        if any(name.startswith("interval") or name in temporal.TIMES for name in kinds):
            return self.time_arithmetic(node, sign, left, right)
        return numeric.arithmetic(sign, left, right)

    def time_arithmetic(self, node: exp.Expr, sign: str, left: Value, right: Value) -> Value:
        first, second = left.type.name, right.type.name
        if sign == "+" and first.startswith("interval") and second in temporal.TIMES:
            return self.time_arithmetic(node, sign, right, left)
        if sign in "+-" and first in temporal.TIMES and second.startswith("interval"):
            return moved(sign, left, right)
        if sign == "-" and first in temporal.TIMES and second in temporal.TIMES:
            kind = common(left.type, right.type) or left.type
            one, other = coerce(left, kind), coerce(right, kind)
            micros = f"epoch_us(CAST({one.compared} AS TIMESTAMP)) - epoch_us(CAST({other.compared} AS TIMESTAMP))"
            return Value(f"to_microseconds({micros})", INTERVAL_DAY)
        if sign in "+-" and first == second and first.startswith("interval"):
            return Value(f"({left} {sign} {right})", left.type)
        if sign == "*" and first.startswith("interval") and right.type.integral:
            return Value(f"({left} * {right})", left.type)
        if sign == "*" and second.startswith("interval") and left.type.integral:
            return Value(f"({right} * {left})", right.type)
        return self.statement.refuse(node, f"cannot apply {left.type} {sign} {right.type}")

    def negation(self, node: exp.Neg, scope: Scope) -> Value:
        if isinstance(node.this, exp.Literal) and node.this.name == str(LARGEST_INTEGER + 1):
            return Value(f"CAST('-{node.this.name}' AS BIGINT)", BIGINT, -LARGEST_INTEGER - 1)
        value = self.value(node.this, scope)
        if not (value.type.numeric or value.type.name.startswith("interval") or value.type == UNKNOWN):
            self.statement.refuse(node, f"cannot negate {value.type}")
        known = isinstance(value.constant, (int, float, Decimal)) and not isinstance(value.constant, bool)
        made = f"(-{value})" if value.type.numeric else f"({value} * -1)"
        return replace(value, sql=made, constant=-value.constant if known else value.constant)

    def comparison(self, node: exp.Binary, scope: Scope) -> Value:
        sign = COMPARISONS[type(node)]
        if isinstance(node.right, (exp.All, exp.Any)):
            return self.quantified(node, sign, scope)
        left, right = self.alike(node, sign, self.value(node.left, scope), self.value(node.right, scope))
        return Value(f"({left.compared} {sign} {right.compared})", BOOLEAN)

    def alike(self, node: exp.Expr, sign: str, left: Value, right: Value) -> tuple[Value, Value]:
        """Both as their common type, which must be one whose comparison has no odd nulls inside."""
        kind = common(left.type, right.type)
        if kind is None or not (kind.orderable if sign in ("<", "<=", ">", ">=") else kind.comparable):
            self.statement.refuse(node, f"cannot apply {left.type} {sign} {right.type}")
        if kind.args and sign != "IS DISTINCT FROM":
            self.statement.refuse(node, f"comparing {kind} with {sign} is not supported")
        return coerce(left, kind), coerce(right, kind)

    def quantified(self, node: exp.Binary, sign: str, scope: Scope) -> Value:
        quantifier = "ALL" if isinstance(node.right, exp.All) else "ANY"
        inner = node.right.this.unnest() if isinstance(node.right.this, exp.Subquery) else node.right.this
        if not isinstance(inner, exp.Query):
            self.statement.refuse(node, f"{quantifier} takes a subquery")
        left = self.value(node.left, scope)
        relation = self.queries.column_of(inner, scope)
        kind = common(left.type, relation.columns[0].type)
        if kind is None or kind.args or kind.zoned:
            self.statement.refuse(node, f"cannot apply {left.type} {sign} {relation.columns[0].type}")
        return Value(
            f"({coerce(left, kind)} {sign} {quantifier} ({self.queries.cast_column(relation, kind)}))", BOOLEAN
        )

    def distinct_from(self, node: exp.Binary, scope: Scope) -> Value:
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        left, right = self.alike(node, "IS DISTINCT FROM", left, right)
        word = "IS DISTINCT FROM" if isinstance(node, exp.NullSafeNEQ) else "IS NOT DISTINCT FROM"
        return Value(f"({left.compared} {word} {right.compared})", BOOLEAN)

    def logic(self, node: exp.Binary, scope: Scope) -> Value:
        word = "AND" if isinstance(node, exp.And) else "OR"
        operands = [self.boolean(part, scope, f"{word}'s operand") for part in flat(node)]
        return Value("(" + f" {word} ".join(map(str, operands)) + ")", BOOLEAN)

    def negated(self, node: exp.Not, scope: Scope) -> Value:
        return Value(f"(NOT {self.boolean(node.this, scope, 'NOT’s operand')})", BOOLEAN)

    def is_null(self, node: exp.Is, scope: Scope) -> Value:
        if not isinstance(node.expression, exp.Null):
            self.statement.refuse(node, "IS takes NULL, NOT NULL or [NOT] DISTINCT FROM")
        return Value(f"({self.value(node.this, scope)} IS NULL)", BOOLEAN)

    def between(self, node: exp.Between, scope: Scope) -> Value:
        self.statement.only(node, "this", "low", "high", "negate")
        value = self.value(node.this, scope)
        low, high = self.value(node.args["low"], scope), self.value(node.args["high"], scope)
        one, least = self.alike(node, "<=", value, low)
        other, most = self.alike(node, "<=", value, high)
        made = f"({one.compared} >= {least.compared} AND {other.compared} <= {most.compared})"
        return negate(node, Value(made, BOOLEAN))

    def within(self, node: exp.In, scope: Scope) -> Value:
        self.statement.only(node, "this", "expressions", "query", "negate")
        value = self.value(node.this, scope)
        if query := node.args.get("query"):
            return negate(node, self.within_query(node, value, query, scope))
        listed = [self.value(part, scope) for part in node.expressions]
        kind = value.type
        for one in listed:
            joint = common(kind, one.type)
            if joint is None or joint.args:
                self.statement.refuse(node, f"cannot look for {value.type} IN a list of {one.type}")
            kind = joint
        items = ", ".join(coerce(one, kind).compared for one in listed)
        return negate(node, Value(f"({coerce(value, kind).compared} IN ({items}))", BOOLEAN))

    def within_query(self, node: exp.Expr, value: Value, query: exp.Expr, scope: Scope) -> Value:
        inner = query.unnest() if isinstance(query, exp.Subquery) else query
        relation = self.queries.column_of(inner, scope)
        kind = common(value.type, relation.columns[0].type)
        if kind is None or kind.args or kind.zoned:
            self.statement.refuse(node, f"cannot look for {value.type} IN a subquery of {relation.columns[0].type}")
        return Value(f"({coerce(value, kind)} IN ({self.queries.cast_column(relation, kind)}))", BOOLEAN)

    def like(self, node: exp.Expr, scope: Scope) -> Value:
        escape = None
        if isinstance(node, exp.Escape):
            escape = self.value(node.expression, scope)
            node = node.this
        if not isinstance(node, exp.Like):
            self.statement.refuse(node, "ESCAPE belongs to LIKE")
        self.statement.only(node, "this", "expression", "negate")
        value, pattern = self.value(node.this, scope), self.value(node.expression, scope)
        for part in (value, pattern, *([escape] if escape else [])):
            if part.type not in (VARCHAR, UNKNOWN):
                self.statement.refuse(node, f"LIKE takes varchar, not {part.type}")
        check_like(pattern, escape)
        made = f"({coerce(value, VARCHAR)} LIKE {coerce(pattern, VARCHAR)}{f' ESCAPE {escape}' if escape else ''})"
        return negate(node, Value(made, BOOLEAN))

    def concatenation(self, node: exp.DPipe, scope: Scope) -> Value:
        values = [self.value(part, scope) for part in flat(node)]
        if len(values) > 2 and all(value.type in (VARCHAR, UNKNOWN) for value in values):
            return special.concat(values)
        made = values[0]
        for value in values[1:]:
            made = self.concatenated(made, value)
        return made

    def concatenated(self, left: Value, right: Value) -> Value:
        if left.type.name == "array" and right.type != UNKNOWN and right.type == left.type.args[0]:
            return Value(f"list_append({left}, {right})", left.type)
        if right.type.name == "array" and left.type != UNKNOWN and left.type == right.type.args[0]:
            return Value(f"list_prepend({left}, {right})", right.type)
        return special.concat([left, right])

    def at_time_zone(self, node: exp.AtTimeZone, scope: Scope) -> Value:
        self.statement.only(node, "this", "zone")
        return temporal.at_timezone([self.value(node.this, scope), self.value(node.args["zone"], scope)])

    def condition(self, node: exp.If, scope: Scope) -> Value:
        branches = [self.value(node.args["true"], scope)]
        otherwise = node.args.get("false")
        branches.append(self.value(otherwise, scope) if otherwise else Value("NULL", UNKNOWN, None))
        kind = alike(branches)
        test = self.boolean(node.this, scope, "IF's condition")
        yes, no = (coerce(branch, kind) for branch in branches)
        return Value(f"CASE WHEN {test} THEN {yes} ELSE {no} END", kind)

    def case(self, node: exp.Case, scope: Scope) -> Value:
        self.statement.only(node, "this", "ifs", "default")
        results = [self.value(branch.args["true"], scope) for branch in node.args["ifs"]]
        default = node.args.get("default")
        results.append(self.value(default, scope) if default else Value("NULL", UNKNOWN, None))
        kind = alike(results)
        made = []
        for branch, result in zip(node.args["ifs"], results[:-1], strict=True):
            made.append(f"WHEN {self.case_test(node, branch, scope)} THEN {coerce(result, kind)}")
        return Value(f"CASE {' '.join(made)} ELSE {coerce(results[-1], kind)} END", kind)

    def case_test(self, node: exp.Case, branch: exp.Expr, scope: Scope) -> str:
        if node.this is None:
            return self.boolean(branch.this, scope, "CASE's condition").sql
        left, right = self.alike(branch, "=", self.value(node.this, scope), self.value(branch.this, scope))
        return f"{left.compared} = {right.compared}"

    def extract(self, node: exp.Extract, scope: Scope) -> Value:
        self.statement.only(node, "this", "expression")
        field = node.this.name.lower()
        if field not in EXTRACTED:
            self.statement.refuse(node, f"EXTRACT({field.upper()} …) is not supported")
        return self.called(field, [self.value(node.expression, scope)])

    def trim(self, node: exp.Trim, scope: Scope) -> Value:
        self.statement.only(node, "this", "expression", "position")
        function = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(node.args.get("position") or "BOTH", "trim")
        if signs := node.args.get("expression"):
            value, taken = self.value(node.this, scope), self.value(signs, scope)
            return Value(f"{function}({coerce(value, VARCHAR)}, {coerce(taken, VARCHAR)})", VARCHAR)
        return self.called(function, [self.value(node.this, scope)])

    def position(self, node: exp.StrPosition, scope: Scope) -> Value:
        self.statement.only(node, "this", "substr")
        return self.called("strpos", [self.value(node.this, scope), self.value(node.args["substr"], scope)])

    def array_literal(self, node: exp.Array, scope: Scope) -> Value:
        self.statement.only(node, "expressions")
        if not node.expressions:
            return Value("[]", array(UNKNOWN))
        items = [self.value(part, scope) for part in node.expressions]
        kind = alike(items)
        return Value(f"[{', '.join(str(coerce(item, kind)) for item in items)}]", array(kind))

    def tuple_literal(self, node: exp.Tuple, scope: Scope) -> Value:
        return special.row([self.value(part, scope) for part in node.expressions])

    def subscript(self, node: exp.Bracket, scope: Scope) -> Value:
        self.statement.only(node, "this", "expressions", "offset")
        value = self.value(node.this, scope)
        if len(node.expressions) != 1:
            self.statement.refuse(node, "one subscript is taken")
        index = self.value(node.expressions[0], scope)
        if value.type.name == "map":
            key = coerce(index, value.type.args[0])
            missing = fail_when(
                f"{value} IS NOT NULL AND {key} IS NOT NULL AND NOT map_contains({value}, {key})",
                f"'Key not present in map: ' || CAST({key} AS VARCHAR)",
            )
            return Value(f"CASE {missing} ELSE map_extract_value({value}, {key}) END", value.type.args[1])
        if value.type.name == "row" and isinstance(index.constant, int) and 1 <= index.constant <= len(value.type.args):
            field = value.type.fields[index.constant - 1]
            return Value(f"struct_extract({value}, {text(field)})", value.type.args[index.constant - 1])
        if value.type.name != "array" or not index.type.integral:
            self.statement.refuse(node, f"cannot apply {value.type}[{index.type}]")
        low = fail_when(f"{index} < 1", text("SQL array indices start at 1"))
        long = text("Array subscript must be less than or equal to array length")
        high = fail_when(f"{index} > len({value})", long)
        return Value(f"CASE {low} {high} ELSE list_extract({value}, {index}) END", value.type.args[0])

    def subquery(self, node: exp.Expr, scope: Scope) -> Value:
        inner = node.unnest() if isinstance(node, exp.Subquery) else node
        relation = self.queries.column_of(inner, scope)
        return Value(f"({relation.sql})", relation.columns[0].type)

    def exists(self, node: exp.Exists, scope: Scope) -> Value:
        self.statement.only(node, "this")
        inner = node.this.unnest() if isinstance(node.this, exp.Subquery) else node.this
        return Value(f"EXISTS ({self.queries.query(inner, scope).sql})", BOOLEAN)


def moved(sign: str, value: Value, interval: Value) -> Value:
    """A date or timestamp and an interval: days and less are exact times, months are the calendar's."""
    made = f"({value.utc if value.type.zoned else value.sql} {sign} {interval})"
    if value.type == DATE:
        return Value(f"CAST({made} AS DATE)", DATE)
    if not value.type.zoned:
        return Value(made, value.type)
    if interval.type == INTERVAL_DAY:
        return zoned(made, value.zone, value.type.precision)
    return zoned(utc_time(f"({value.local} {sign} {interval})", value.zone), value.zone, value.type.precision)


def negate(node: exp.Expr, value: Value) -> Value:
    return Value(f"(NOT {value})", BOOLEAN) if node.args.get("negate") else value


def flat(node: exp.Binary) -> Iterator[exp.Expr]:
    """The operands of a chain of ANDs (or ORs), without recursion."""
    waiting: list[exp.Expr] = [node]
    while waiting:
        part = waiting.pop()
        if type(part) is type(node):
            waiting += [part.args["expression"], part.args["this"]]
        else:
            yield part


def check_like(pattern: Value, escape: Value | None) -> None:
    if escape is None:
        return
    if pattern.constant is OPAQUE:
        raise Refused("the value of the pattern is needed")
    if not isinstance(escape.constant, str) or len(escape.constant) != 1:
        raise Refused("the escape of LIKE is one character")
    if isinstance(pattern.constant, str):
        sign = re.escape(escape.constant)
        if re.search(rf"{sign}(?![%_]|{sign})", re.sub(f"{sign}{sign}", "", pattern.constant)):
            raise Refused("an escape in LIKE must be followed by %, _ or the escape itself")


METHODS: dict[type[exp.Expr], Method] = {
    exp.Literal: Expressions.literal,
    exp.Boolean: Expressions.boolean_literal,
    exp.Null: Expressions.null,
    exp.HexString: Expressions.hex_string,
    exp.Placeholder: Expressions.placeholder,
    exp.Column: Expressions.column,
    exp.Identifier: Expressions.identifier,
    exp.Dot: Expressions.dot,
    exp.Paren: Expressions.paren,
    exp.Neg: Expressions.negation,
    exp.NullSafeEQ: Expressions.distinct_from,
    exp.NullSafeNEQ: Expressions.distinct_from,
    exp.And: Expressions.logic,
    exp.Or: Expressions.logic,
    exp.Not: Expressions.negated,
    exp.Is: Expressions.is_null,
    exp.Between: Expressions.between,
    exp.In: Expressions.within,
    exp.Like: Expressions.like,
    exp.Escape: Expressions.like,
    exp.DPipe: Expressions.concatenation,
    exp.AtTimeZone: Expressions.at_time_zone,
    exp.If: Expressions.condition,
    exp.Case: Expressions.case,
    exp.Cast: Expressions.conversion,
    exp.TryCast: Expressions.conversion,
    exp.Interval: Expressions.interval,
    exp.Extract: Expressions.extract,
    exp.Trim: Expressions.trim,
    exp.StrPosition: Expressions.position,
    exp.CurrentDate: Expressions.current_date,
    exp.CurrentTimestamp: Expressions.current_timestamp,
    exp.Localtimestamp: Expressions.current_timestamp,
    exp.Array: Expressions.array_literal,
    exp.Tuple: Expressions.tuple_literal,
    exp.Bracket: Expressions.subscript,
    exp.Subquery: Expressions.subquery,
    exp.Select: Expressions.subquery,
    exp.Exists: Expressions.exists,
    exp.Anonymous: Expressions.call,
    exp.Filter: Expressions.filtered,
    exp.Window: Expressions.window,
    exp.GroupConcat: Expressions.listagg,
    **dict.fromkeys(COMPARISONS, Expressions.comparison),
    **dict.fromkeys(ARITHMETIC, Expressions.arithmetic),
}
Expressions.methods = METHODS

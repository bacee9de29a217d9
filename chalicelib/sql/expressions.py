"""Expressions of Trino's SQL as typed DuckDB text.

Each kind of node has one method; a node, or a part of one, that no method takes is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from chalicelib.sql import numeric, special, temporal
from chalicelib.sql.arguments import Refused, alike, want
from chalicelib.sql.calls import Argument, Lambda, NoForm, choose, coerced, expanded, rendered
from chalicelib.sql.functions import SAME_AS, VOLATILE, Form, forms, split_types
from chalicelib.sql.parsing import Statement, length_limit, type_of
from chalicelib.sql.scope import Ambiguous, Scope
from chalicelib.sql.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    INTERVAL_DAY,
    INTERVAL_MONTH,
    TIMESTAMP,
    UNKNOWN,
    VARBINARY,
    VARCHAR,
    Type,
    array,
    common,
    decimal,
    text,
)
from chalicelib.sql.values import OPAQUE, CannotCast, TooComplex, Value, cast, coerce, fail_when, utc_time, zoned

if TYPE_CHECKING:
    from chalicelib.sql.queries import Queries

COMPARISONS = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
ARITHMETIC = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
INTERVALS = {"DAY": "days", "HOUR": "hours", "MINUTE": "minutes", "SECOND": "seconds"}
EXTRACTED = {
    "year", "quarter", "month", "week", "day", "day_of_month", "day_of_week", "dow", "day_of_year", "doy",
    "year_of_week", "yow", "hour", "minute", "second",
}  # fmt: skip
MAKES_LONG = {"sequence", "repeat", "lpad", "rpad", "array_join"}  # times the length of an array: too long
PARAMETER = "$lake_{}"  # how the translation names the n-th parameter, from 0
LARGEST_INTEGER = 2**63 - 1
Method = Callable[["Expressions", Any, Scope], Value]


class Expressions:
    """Translates expressions of one statement; subqueries go to ``queries``."""

    def __init__(self, statement: Statement, queries: Queries) -> None:
        self.statement = statement
        self.queries = queries
        self.allows_aggregates = True
        self.windows: dict[str, exp.Window] = {}

    def value(self, node: exp.Expr, scope: Scope) -> Value:
        """A node's translation. Raises QueryRefused."""
        method = METHODS.get(type(node))
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

    # Literals and names

    def literal(self, node: exp.Literal, _scope: Scope) -> Value:
        if node.is_string:
            return Value(text(node.name), VARCHAR, node.name)
        written = node.name.replace("_", "")
        if re.fullmatch(r"\d+", written):
            number = int(written)
            if number > LARGEST_INTEGER:
                self.statement.refuse(node, f"{written} does not fit bigint")
            return Value(written, INTEGER if number < 2**31 else BIGINT, number)
        if re.fullmatch(r"\d*\.\d*", written) and written != ".":
            whole, _, part = written.partition(".")
            digits = len(whole.lstrip("0")) + len(part)
            if digits > 38:
                self.statement.refuse(node, f"{written} has more than 38 digits")
            kind = decimal(max(1, digits), len(part))
            return Value(f"CAST({text(written)} AS {kind.duckdb})", kind, Decimal(written))
        if re.fullmatch(r"(\d+\.?\d*|\.\d+)[eE][+-]?\d+", written):
            return Value(f"CAST({text(written)} AS DOUBLE)", DOUBLE, float(written))
        return self.statement.refuse(node, f"{written} is not a number")

    def boolean_literal(self, node: exp.Boolean, _scope: Scope) -> Value:
        return Value("true" if node.this else "false", BOOLEAN, bool(node.this))

    def null(self, _node: exp.Null, _scope: Scope) -> Value:
        return Value("NULL", UNKNOWN, None)

    def hex_string(self, node: exp.HexString, _scope: Scope) -> Value:
        if not re.fullmatch(r"([0-9A-Fa-f]{2})*", node.name):
            self.statement.refuse(node, "a binary literal holds pairs of hexadecimal digits")
        return Value(f"unhex({text(node.name)})", VARBINARY)

    def placeholder(self, node: exp.Placeholder, _scope: Scope) -> Value:
        self.statement.only(node)
        at = self.statement.places.index(node.meta["start"])
        kind, known = self.statement.parameters[at]
        if kind == UNKNOWN:
            return Value("NULL", UNKNOWN, None)
        if kind.zoned:
            return zoned(f"CAST({PARAMETER.format(at)} AS TIMESTAMP)", "'UTC'", kind.precision)
        return Value(f"CAST({PARAMETER.format(at)} AS {kind.duckdb})", kind, known)

    def column(self, node: exp.Column, scope: Scope) -> Value:
        parts = [part for name in ("catalog", "db", "table", "this") if (part := node.args.get(name))]
        self.statement.only(node, "catalog", "db", "table", "this")
        return self.resolve(node, parts, scope)

    def identifier(self, node: exp.Identifier, scope: Scope) -> Value:
        return self.resolve(node, [node], scope)

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

    def dot(self, node: exp.Dot, scope: Scope) -> Value:
        if not isinstance(node.expression, exp.Identifier):
            self.statement.refuse(node, "only a field's name may follow '.'")
        return self.fields(node, self.value(node.this, scope), [node.expression.name])

    def paren(self, node: exp.Paren, scope: Scope) -> Value:
        self.statement.only(node, "this")
        inner = self.value(node.this, scope)
        return replace(inner, sql=f"({inner.sql})")

    # Operators

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

    # Conditions

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

    # Casts and literals of other types

    def conversion(self, node: exp.Cast, scope: Scope) -> Value:
        self.statement.only(node, "this", "to", "safe")
        to = type_of(self.statement, node.args["to"])
        value = self.value(node.this, scope)
        trying = isinstance(node, exp.TryCast)
        if self.is_typed_literal(node):
            return self.typed_literal(node, value, to)
        made = cast(value, to, trying)
        limit = length_limit(node.args["to"])
        return made if limit is None else Value(f"left({made}, {limit})", made.type)

    def is_typed_literal(self, node: exp.Cast) -> bool:
        """``DATE '2026-11-20'`` parses as a cast; only its text tells."""
        start = node.this.meta.get("start") if isinstance(node.this, exp.Literal) and node.this.is_string else None
        if start is None or isinstance(node, exp.TryCast):
            return False
        return re.search(r"\bcast\s*\(\s*$", without_comments(self.statement.text[:start]), re.IGNORECASE) is None

    def typed_literal(self, node: exp.Cast, value: Value, to: Type) -> Value:
        written = str(value.constant)
        if to.name in ("timestamp", "timestamptz"):
            return self.timestamp_literal(node, written)
        if to.name == "date":
            self.parsed(node, written, lambda: date.fromisoformat(written))
            return Value(f"DATE {text(written)}", DATE, date.fromisoformat(written))
        if to.name == "decimal":
            number = self.parsed(node, written, lambda: Decimal(written))
            digits, scale = len(number.as_tuple().digits), max(0, -int(number.as_tuple().exponent))
            kind = decimal(max(digits, scale, 1), scale)
            return Value(f"CAST({text(written)} AS {kind.duckdb})", kind, number)
        made = cast(value, to)
        return replace(made, sql=made.sql)

    def timestamp_literal(self, node: exp.Expr, written: str) -> Value:
        match = re.fullmatch(
            r"(\d{4,}-\d{1,2}-\d{1,2})( (\d{1,2}:\d{2}(:\d{2}(\.(\d{1,6}))?)?))?( ?[A-Za-z]\S*)?", written
        )
        if not match:
            self.statement.refuse(node, f"'{written}' is not a timestamp literal")
        clock = match[3] or "00:00:00"
        local = f"{match[1]} {clock if clock.count(':') == 2 else clock + ':00'}"
        self.parsed(node, written, lambda: datetime.fromisoformat(local))
        made = Value(f"TIMESTAMP {text(local)}", replace(TIMESTAMP, precision=len(match[6] or "")))
        if not match[7]:
            return made
        return temporal.with_timezone([made, Value(text(match[7].strip()), VARCHAR, match[7].strip())])

    def parsed(self, node: exp.Expr, written: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except (ValueError, InvalidOperation):
            return self.statement.refuse(node, f"'{written}' is not such a literal")

    def interval(self, node: exp.Interval, _scope: Scope) -> Value:
        self.statement.only(node, "this", "unit")
        unit = node.args["unit"].name.upper() if isinstance(node.args.get("unit"), exp.Var) else ""
        written = node.this.name if isinstance(node.this, exp.Literal) and node.this.is_string else None
        if written is None or not re.fullmatch(r"[+-]?\d{1,9}", written):
            self.statement.refuse(node, "an interval is written INTERVAL '3' DAY, with a whole number")
        if unit in ("YEAR", "MONTH"):
            return Value(f"to_{unit.lower()}s({int(written)})", INTERVAL_MONTH)
        if unit not in INTERVALS:
            self.statement.refuse(node, f"an interval's unit is YEAR, MONTH, DAY, HOUR, MINUTE or SECOND, not {unit}")
        return Value(f"to_{INTERVALS[unit]}({int(written)})", INTERVAL_DAY)

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

    def current_date(self, node: exp.Expr, _scope: Scope) -> Value:
        self.statement.only(node)
        self.statement.volatile = True
        return Value("CAST(get_current_timestamp() AS DATE)", DATE)

    def current_timestamp(self, node: exp.Expr, _scope: Scope) -> Value:
        self.statement.only(node)
        self.statement.volatile = True
        made = temporal.now([])
        return Value(made.utc, TIMESTAMP) if isinstance(node, exp.Localtimestamp) else made

    # Arrays, maps, rows

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

    # Subqueries

    def subquery(self, node: exp.Expr, scope: Scope) -> Value:
        inner = node.unnest() if isinstance(node, exp.Subquery) else node
        relation = self.queries.column_of(inner, scope)
        return Value(f"({relation.sql})", relation.columns[0].type)

    def exists(self, node: exp.Exists, scope: Scope) -> Value:
        self.statement.only(node, "this")
        inner = node.this.unnest() if isinstance(node.this, exp.Subquery) else node.this
        return Value(f"EXISTS ({self.queries.query(inner, scope).sql})", BOOLEAN)

    # Calls

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


def type_of_value(given: Any) -> Type | None:
    """The type of a bound parameter: that of the literal one would write for it."""
    if given is None:
        return UNKNOWN
    if isinstance(given, bool):
        return BOOLEAN
    if isinstance(given, int):
        return INTEGER if abs(given) < 2**31 else BIGINT if -(2**63) <= given < 2**63 else None
    if isinstance(given, float):
        return DOUBLE
    if isinstance(given, str):
        return VARCHAR
    if isinstance(given, Decimal) and given.is_finite():
        parts = given.as_tuple()
        scale = max(0, -int(parts.exponent))
        return decimal(max(len(parts.digits) + max(0, int(parts.exponent)), scale, 1), scale)
    if isinstance(given, datetime):
        digits = 6 if given.microsecond % 1000 else 3
        return Type("timestamptz" if given.tzinfo else "timestamp", precision=digits)
    return DATE if isinstance(given, date) else None


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


def without_comments(sql: str) -> str:
    return re.sub(r"/\*.*?\*/|--[^\n]*", "", sql, flags=re.DOTALL)


def describe(error: Exception) -> str:
    return f"cannot cast {error}" if isinstance(error, CannotCast) else str(error)


def approx_percentile(self: Expressions, node: exp.Anonymous, scope: Scope) -> tuple[Value, Form | None]:
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


def numeric_aggregate(self: Expressions, node: exp.Anonymous, scope: Scope) -> tuple[Value, Form | None]:
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


def reduce(self: Expressions, node: exp.Anonymous, scope: Scope) -> tuple[Value, Form | None]:
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


PROGRAMMED: dict[str, Callable[[Expressions, exp.Anonymous, Scope], tuple[Value, Form | None]]] = {
    "approx_percentile": approx_percentile,
    "sum": numeric_aggregate,
    "avg": numeric_aggregate,
    "reduce": reduce,
}

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

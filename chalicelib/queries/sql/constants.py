"""Literals, parameters, casts and the current time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlglot import exp

from chalicelib.queries.sql import temporal
from chalicelib.queries.sql.parsing import length_limit, type_of
from chalicelib.queries.sql.scope import Scope
from chalicelib.queries.sql.translating import Translating
from chalicelib.queries.sql.types import (
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
    decimal,
    text,
)
from chalicelib.queries.sql.values import Value, cast, zoned

INTERVALS = {"DAY": "days", "HOUR": "hours", "MINUTE": "minutes", "SECOND": "seconds"}
PARAMETER = "$lake_{}"  # how the translation names the n-th parameter, from 0
LARGEST_INTEGER = 2**63 - 1


class Constants(Translating):
    """What stands for a value without reading a column."""

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

    def current_date(self, node: exp.Expr, _scope: Scope) -> Value:
        self.statement.only(node)
        self.statement.volatile = True
        return Value("CAST(get_current_timestamp() AS DATE)", DATE)

    def current_timestamp(self, node: exp.Expr, _scope: Scope) -> Value:
        self.statement.only(node)
        self.statement.volatile = True
        made = temporal.now([])
        return Value(made.utc, TIMESTAMP) if isinstance(node, exp.Localtimestamp) else made

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


def without_comments(sql: str) -> str:
    return re.sub(r"/\*.*?\*/|--[^\n]*", "", sql, flags=re.DOTALL)

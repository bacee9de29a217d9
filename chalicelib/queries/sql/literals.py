"""Python values as Trino literals, which is how Athena takes the values of ``?``."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from chalicelib.errors import QueryRefused
from chalicelib.queries.sql.types import text


def literal(value: Any) -> str:
    """The literal that means ``value``. Raises QueryRefused for a value that has none."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return float_literal(value)
    if isinstance(value, Decimal) and value.is_finite():
        return f"DECIMAL '{value:f}'"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, datetime):
        return timestamp_literal(value)
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    raise QueryRefused(f"a parameter of type {type(value).__name__} cannot be bound")


def float_literal(value: float) -> str:
    if math.isnan(value):
        return "nan()"
    if math.isinf(value):
        return "infinity()" if value > 0 else "-infinity()"
    shown = repr(value)
    return shown.replace("e", "E") if "e" in shown else f"{shown}E0"


def timestamp_literal(value: datetime) -> str:
    digits = "microseconds" if value.microsecond % 1000 else "milliseconds"
    if value.tzinfo is None:
        return f"TIMESTAMP '{value.isoformat(' ', digits)}'"
    moment = value.astimezone(UTC).replace(tzinfo=None)
    return f"TIMESTAMP '{moment.isoformat(' ', digits)} UTC'"

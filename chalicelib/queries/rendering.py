"""Result rows as JSON and CSV, the same for the API and the command line.

JSON keeps types as far as it has them. What it has not is text: integers beyond 2^53 (a double would round them),
decimals, dates and times (RFC 3339, UTC), NaN and infinities, binary (base64). CSV is RFC 4180 in UTF-8: a null is
an empty field, an empty string is ``""``; arrays, maps and rows are JSON.

A timestamp without a zone is UTC, as all of the lake's are. Where a statement answers times of a listener's own clock,
a comment names those columns, ``-- local times: started, ended``: they are written as they are, without ``Z``.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from chalicelib.queries.engine import RowPage

EXACT = 2**53  # integers up to here are exact in every JSON reader
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # with which formulas begin
PLAIN = (str, bool, type(None))
LOCAL_TIMES = re.compile(r"^\s*--\s*local times:([\w, ]+)$", re.MULTILINE)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, PLAIN):
        return value
    for kind, convert in CONVERSIONS:
        if isinstance(value, kind):
            return convert(value)
    return str(value)


def plain_int(value: int) -> int | str:
    """A whole number as JSON: text beyond what a double holds exactly."""
    return value if -EXACT <= value <= EXACT else str(value)


def plain_float(value: float) -> float | str:
    """A double as JSON: text for what JSON has no number for."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def plain_datetime(value: datetime) -> str:
    """Naive timestamps are UTC in the lake; digits of a second are shown as far as they say something."""
    moment = value.astimezone(UTC) if value.tzinfo else value
    return moment.replace(tzinfo=None).isoformat(timespec="auto" if value.microsecond % 1000 else "milliseconds") + "Z"


def local_columns(sql: str) -> frozenset[str]:
    """The columns that a statement says are times of a listener's own clock."""
    return frozenset(name for names in LOCAL_TIMES.findall(sql) for name in re.findall(r"\w+", names))


def with_local_times(page: RowPage, sql: str) -> RowPage:
    """A page of the statement's result whose local times are texts already, so that nobody takes them for UTC."""
    local = local_columns(sql)
    places = {at for at, column in enumerate(page.columns) if column.name in local}
    if not places:
        return page
    rows = [tuple(local_time(value) if at in places else value for at, value in enumerate(row)) for row in page.rows]
    return replace(page, rows=rows)


def local_time(value: Any) -> Any:
    """A time as its own clock showed it; anything else as it is."""
    return plain_datetime(value).removesuffix("Z") if isinstance(value, datetime) else value


def plain_mapping(value: dict[Any, Any]) -> dict[str, Any]:
    """A map or a row as JSON, with text for its keys."""
    return {key if isinstance(key, str) else csv_text(key): plain(item) for key, item in value.items()}


CONVERSIONS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (int, plain_int),
    (float, plain_float),
    (datetime, plain_datetime),
    (date, date.isoformat),
    (time, time.isoformat),
    (Decimal, str),
    (timedelta, str),
    (dict, plain_mapping),
    ((list, tuple), lambda value: [plain(item) for item in value]),
    ((bytes, bytearray, memoryview), lambda value: base64.b64encode(value).decode()),
)


def plain_rows(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows as JSON."""
    return [[plain(value) for value in row] for row in rows]


def csv_lines(rows: Iterable[Sequence[Any]], *, excel: bool = False) -> str:
    """Rows as CSV lines, each ended by CR LF; for ``excel`` texts that it would run as formulas are neutralised."""
    field = excel_field if excel else csv_field
    return "".join(",".join([field(value) for value in row]) + "\r\n" for row in rows)


def excel_field(value: Any) -> str:
    """As :func:`csv_field`; a text that a spreadsheet takes for a formula begins with an apostrophe."""
    if isinstance(value, str) and value.lstrip(" \u00a0\ufeff").startswith(FORMULA):
        return csv_field(f"'{value}")
    return csv_field(value)


def csv_field(value: Any) -> str:
    """A value as a field of CSV: nothing for null, quoted where it must be."""
    if value is None:
        return ""
    text = csv_text(value)
    if text == "" or any(mark in text for mark in ',"\r\n') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text


def csv_text(value: Any) -> str:
    """A value as a cell of CSV; nested ones as JSON."""
    shown = plain(value)
    if isinstance(shown, str):
        return shown
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))

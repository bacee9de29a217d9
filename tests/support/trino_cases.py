"""Statements of Trino's own tests and their answers, asked of the lake as a user's query is.

``python -m tests.support.trino_cases [--show CLASS] [--like WORDS] [--most N]`` prints how many ended how:

same        the same answer, or a failure where Trino fails
different   another answer
accepted    an answer where Trino fails or refuses
failing     a failure while it ran where Trino answers
refused     refused by name before it ran, where Trino answers
crash       anything else than an answer or an error of the lake's own

The cases are not part of the project: ``CASES_FILE`` beside the checkout, or the file that $TRINO_CASES names.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import math
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from chalicelib.errors import LakeError, QueryRefused
from chalicelib.queries.embedded.duck import Duck, DuckBounds
from chalicelib.queries.embedded.listing import FileListing
from chalicelib.queries.result_files import ResultFile, python_rows
from chalicelib.queries.sql import check
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from chalicelib.views import user_tables
from tests.support import SHARED

CASES_FILE = Path(os.environ.get("TRINO_CASES") or SHARED / "sql" / "trino-cases.jsonl")
CLASSES = ("same", "different", "accepted", "failing", "refused", "crash")
SESSION_ZONE = "Pacific/Apia"  # of the tests that the cases come from; the lake's is UTC
SECONDS = 20.0  # that one statement may run


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one case ended."""

    case: dict[str, Any]
    ended: str
    found: str


def cases(file: Path = CASES_FILE) -> list[dict[str, Any]]:
    with file.open() as lines:
        return [json.loads(line) for line in lines]


def outcomes(asked: Iterable[dict[str, Any]]) -> Iterator[Outcome]:
    """Ask each case of the embedded engine's own connection, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        lake = open_lake(Settings(lake_url=folder))
        duck = Duck(Path(folder), DuckBounds(1_000_000_000, 1, Path(folder) / "spill"), FileListing(lake))
        try:
            for case in asked:
                yield Outcome(case, *ended(duck, case))
        finally:
            duck.close()


def ended(duck: Duck, case: dict[str, Any]) -> tuple[str, str]:
    watch = threading.Timer(SECONDS, duck.interrupt)
    watch.start()
    try:
        columns, rows = answer(duck, case["sql"])
    except QueryRefused as error:
        return ("same" if "error" in case else "refused"), error.message
    except LakeError as error:
        return ("same" if fails(case) else "failing"), error.message
    except Exception as error:
        if isinstance(error, OSError) or type(error).__module__.startswith(("duckdb", "_duckdb")):  # while rows came
            return ("same" if fails(case) else "failing"), str(error)
        return "crash", f"{type(error).__name__}: {error}"
    finally:
        watch.cancel()
    if "error" in case and not any("rows" in other or "value" in other for other in older(case)):
        return "accepted", repr(rows)[:300]
    found = f"{[f'{column.name} {column.type}' for column in columns]} {rows!r}"[:300]
    return ("same" if any(agrees(one, rows) for one in (case, *older(case))) else "different"), found


def answer(duck: Duck, sql: str) -> tuple[Any, list[tuple[Any, ...]]]:
    checked = check(sql, user_tables())
    duck.refresh(checked.tables)
    columns = [(column.name, column.type) for column in checked.columns]
    file = io.BytesIO()
    with ResultFile(file, columns) as result:
        for batch in duck.batches(checked, 16_384):
            result.write(result.batch_of_arrays(batch.columns))
    return checked.columns, python_rows(pq.read_table(io.BytesIO(file.getvalue())), columns)


def older(case: dict[str, Any]) -> list[dict[str, Any]]:
    """What the other versions answer, where they disagree."""
    return list(case.get("versions", {}).values())


def fails(case: dict[str, Any]) -> bool:
    return "error" in case or any("error" in other for other in older(case))


def agrees(case: dict[str, Any], rows: list[tuple[Any, ...]]) -> bool:
    if "error" in case:
        return False
    if "value" in case:
        return len(rows) == 1 and len(rows[0]) == 1 and same(case["value"], rows[0][0])
    expected = case["rows"]
    if len(expected) != len(rows):
        return False
    if case.get("ordered"):
        return all(same_row(one, other) for one, other in zip(expected, rows, strict=True))
    left = list(rows)
    for one in expected:
        at = next((place for place, other in enumerate(left) if same_row(one, other)), None)
        if at is None:
            return False
        del left[at]
    return True


def same_row(expected: list[Any], found: tuple[Any, ...]) -> bool:
    return len(expected) == len(found) and all(map(same, expected, found))


def same(expected: Any, found: Any) -> bool:
    """Whether a value of the lake's is what the case says."""
    if expected is None or found is None:
        return expected is None and found is None
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected in (0, 1) and found in (0, 1) and bool(expected == found)  # their other engine says 1 for true
    if isinstance(expected, (int, float)):
        return isinstance(found, (int, float, Decimal)) and number(float(expected), float(found), 1e-9)
    if isinstance(expected, str):
        return isinstance(found, str) and expected == found
    if isinstance(expected, list):
        inner = list(found.values()) if isinstance(found, dict) else found
        if isinstance(inner, tuple) and len(inner) == len(expected) and all(is_field(part) for part in inner):
            inner = [held for _, held in inner]  # a row as the key of a map
        return isinstance(inner, (list, tuple)) and len(expected) == len(inner) and all(map(same, expected, inner))
    ((kind, value),) = expected.items()
    return same_kind(kind, value, found)


def is_field(part: Any) -> bool:
    return isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str) and part[0].startswith("field")


def same_kind(kind: str, value: Any, found: Any) -> bool:
    if kind in ("double", "real"):
        close = 1e-9 if kind == "double" else 1e-6
        return isinstance(found, (int, float, Decimal)) and number(float(value), float(found), close)
    if kind == "decimal":
        if isinstance(found, float):  # where the tests write 4.0 for a double
            return number(float(value), found, 1e-9)
        return isinstance(found, (int, Decimal)) and decimals(value, found)
    if kind == "date":
        return isinstance(found, date) and str(found) == padded(str(value).lstrip("+"))
    if kind == "timestamp":
        return moment(value, found)
    if kind == "timestamptz":
        return zoned_moment(value, found)
    if kind == "hex":
        return isinstance(found, bytes) and found.hex() == value.lower()
    if kind == "map":
        pairs = list(found.items()) if isinstance(found, dict) else list(found)
        return len(pairs) == len(value) and all(
            any(same(key, k) and same(item, v) for k, v in pairs) for key, item in value
        )
    if kind == "row":
        return same(value, found)
    if kind == "json":
        return isinstance(found, str) and json_value(found) == json_value(value)
    if kind == "interval":
        return bool(interval(value) == interval(str(found)))
    return bool(found == value)


def number(expected: float, found: float, close: float) -> bool:
    if math.isnan(expected) or math.isnan(found):
        return math.isnan(expected) and math.isnan(found)
    return math.isclose(expected, found, rel_tol=close, abs_tol=1e-300)


def decimals(value: str, found: Any) -> bool:
    try:
        return Decimal(value) == Decimal(found)
    except InvalidOperation:
        return False


def moment(value: str, found: Any) -> bool:
    if not isinstance(found, datetime):
        return False
    try:
        return found.replace(tzinfo=None) == datetime.fromisoformat(to_micros(value))
    except ValueError:  # a year beyond Python's
        return False


def padded(day: str) -> str:
    """``2019-8-31`` as ``2019-08-31``."""
    year, *rest = day.split("-")
    return "-".join([year.zfill(4), *(part.zfill(2) for part in rest)])


def to_micros(value: str) -> str:
    """``2020-05-01 12:34:56.1`` with as many digits of a second as fromisoformat takes."""
    whole, _, part = value.strip().partition(".")
    day, _, clock = whole.replace("T", " ").partition(" ")
    whole = f"{padded(day)} {clock if clock.count(':') == 2 else clock + ':00' if clock else '00:00:00'}"
    return f"{whole}.{(part + '000000')[:6]}"


def zoned_moment(value: str, found: Any) -> bool:
    """Instant and zone; where the zone is the session's own, the instant or the wall clock."""
    local, _, zone = value.rpartition(" ")
    if not isinstance(found, datetime) or found.tzinfo is None:
        return False
    try:
        expected = datetime.fromisoformat(to_micros(local)).replace(tzinfo=zone_of(zone))
    except ValueError:
        return False
    if zone == SESSION_ZONE:
        return expected == found or found.replace(tzinfo=None) == expected.replace(tzinfo=None)
    shown = {getattr(found.tzinfo, "key", None), str(found.tzinfo).removeprefix("UTC")}
    alike = zone in shown or (zone in ("UTC", "Z", "+00:00") and found.utcoffset() == UTC.utcoffset(found))
    return expected.astimezone(UTC) == found.astimezone(UTC) and alike


def zone_of(name: str) -> Any:
    from zoneinfo import ZoneInfo

    if match := re.fullmatch(r"([+-])(\d\d):(\d\d)", name):
        return datetime.fromisoformat(f"2000-01-01T00:00:00{match[0]}").tzinfo
    return ZoneInfo({"Asia/Katmandu": "Asia/Kathmandu"}.get(name, name))


def json_value(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        return text


def interval(text: str) -> Any:
    """Milliseconds of a day-to-second interval, months of the other."""
    if match := re.fullmatch(r"(-?)(\d+) (\d+):(\d+):(\d+)\.(\d+)", text):
        days, hours, minutes, seconds, millis = (int(match[at]) for at in range(2, 7))
        total = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + millis
        return "ms", -total if match[1] else total
    if match := re.fullmatch(r"(-?)(\d+)-(\d+)", text):
        months = int(match[2]) * 12 + int(match[3])
        return "months", -months if match[1] else months
    match = re.fullmatch(r"(-?[\d.:\- ]+) (\w+)( TO \w+)?", text)
    if not match:
        return text
    return spelled_interval(match[1], match[2], match[3])


def spelled_interval(written: str, unit: str, to: str | None) -> Any:
    sizes = {"DAY": 86_400_000, "HOUR": 3_600_000, "MINUTE": 60_000, "SECOND": 1000}
    if unit in ("YEAR", "MONTH"):
        sign, body = (-1, written[1:]) if written.startswith("-") else (1, written)
        years, _, months = body.partition("-") if to else (body, "", "0")
        return "months", sign * (int(years) * 12 + int(months or 0)) if unit == "YEAR" else sign * int(years)
    if unit not in sizes:
        return written, unit, to
    sign, body = (-1, written[1:]) if written.startswith("-") else (1, written)
    parts = [Decimal(part) for part in re.split(r"[ :]", body)]
    order = list(sizes)
    first = order.index(unit)
    total = sum((part * sizes[order[first + at]] for at, part in enumerate(parts)), Decimal(0))
    return "ms", int(sign * total)


def main() -> None:
    parser = argparse.ArgumentParser(description="The cases of Trino's own tests, asked of the lake.")
    parser.add_argument("--show", nargs="*", default=[], choices=CLASSES, help="print the cases that ended so")
    parser.add_argument("--like", default="", help="only cases whose statement or source holds this")
    parser.add_argument("--most", type=int, default=40, help="cases printed of each class")
    parser.add_argument("--messages", action="store_true", help="count the messages of what is shown")
    options = parser.parse_args()
    asked = [case for case in cases() if options.like.lower() in (case["sql"] + case["from"]).lower()]
    started = time.process_time()
    found = list(outcomes(asked))
    counts = collections.Counter(one.ended for one in found)
    for shown in options.show:
        listed = [one for one in found if one.ended == shown]
        if options.messages:
            heads = collections.Counter(re.sub(r"'[^']*'|\d+", "_", one.found)[:110] for one in listed)
            for words, count in heads.most_common(options.most):
                example = next(o for o in listed if re.sub(r"'[^']*'|\d+", "_", o.found)[:110] == words)
                print(f"{count:5} {words}    e.g. {example.case['sql'][:150]!r}")
            continue
        for one in listed[: options.most]:
            expected = one.case.get("value", one.case.get("rows", one.case.get("error")))
            print(f"{one.ended}: {one.case['sql']}\n    Trino: {json.dumps(expected)[:300]}\n    lake:  {one.found}")
            print(f"    {one.case['from']} {one.case['trino']}")
    print(", ".join(f"{name} {counts[name]}" for name in CLASSES), f"of {len(found)}")
    print(f"{time.process_time() - started:.0f} s of CPU")


if __name__ == "__main__":
    main()

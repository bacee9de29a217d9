"""Saved reports: one ``.sql`` file each, in Athena's dialect, with what people need to know in its header.

A report file starts with comment lines that hold TOML, then one SELECT::

    -- title = "Top artists"
    -- description = "Artists by plays"
    -- chart = {kind = "bar", x = "artist", y = "plays"}
    -- [parameters]
    -- period = {type = "period", default = "4w"}
    -- limit = {type = "integer", default = 20, least = 1, most = 1000}
    SELECT ... WHERE ended_at >= :from AND ended_at < :to ... LIMIT :limit

Parameters are written ``:name`` and bound as values (``?``), never pasted. Types:

``period``    a span of the listener's days: ``7d``, ``4w``, ``6m``, ``1y`` (up to and including today), ``2025``,
              ``2025-03``, ``2025-03-14`` or ``all``; ``from`` and ``to`` (dates, ``to`` included) replace it. It
              gives ``:from``, ``:to`` (excluded) and ``:previous_from``, where the span of equal length before it
              starts; all three are UTC timestamps. A report has at most one, named ``period``.
``timezone``  an IANA name; periods and days are this zone's. At most one, named ``timezone``.
``user``      a listener; empty for everybody
``integer``   with ``least`` and ``most``
``choice``    one of ``values``
``text``      anything

The lake's owner adds reports as ``reports/<name>.sql`` in the lake; they pass the same guard, and replace a
built-in report of the same name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chalicelib.clock import Clock, now
from chalicelib.errors import InvalidRequest, NotFound, QueryFailed
from chalicelib.lake import REPORTS, Lake
from chalicelib.queries.engine import Engine, Query, QueryState, RowPage

BUILT_IN = Path(__file__).parent / "sql"
LARGEST_REPORT = 65_536  # bytes of one report file
LONGEST_TEXT = 500  # characters of one parameter value
TYPES = ("period", "timezone", "user", "integer", "choice", "text")
CHARTS = ("bar", "line", "heatmap", "table", "number")
PERIOD_BOUNDS = ("from", "to", "previous_from")
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2200, 1, 1)  # what "all" spans
HELP = {
    "period": "7d, 4w, 6m, 1y (up to today), 2025, 2025-03, 2025-03-14 or all; or give from and to",
    "timezone": "IANA time zone whose days and hours count, such as Europe/Berlin",
    "user": "Listener; empty for everybody",
}
#: SQL text in which a colon is no parameter, or a parameter.
PIECE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|(?<![:\w]):([a-z_]\w*)""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a report. ``least`` and ``most`` bound an integer; ``values`` are a choice's."""

    name: str
    type: str
    default: str | int
    help: str = ""
    least: int | None = None
    most: int | None = None
    values: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"name": self.name, "type": self.type, "default": self.default, "help": self.help}
        if self.type == "integer":
            shown |= {"least": self.least, "most": self.most}
        if self.values:
            shown["values"] = list(self.values)
        return shown


@dataclass(frozen=True, slots=True)
class Report:
    """A report as read from its file. ``fault`` says why an owner's own report cannot be run."""

    name: str
    title: str
    description: str
    sql: str
    parameters: tuple[Parameter, ...] = ()
    chart: dict[str, Any] = field(default_factory=dict)
    built_in: bool = True
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As ``GET /reports`` lists it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "chart": self.chart,
            "built_in": self.built_in,
            "fault": self.fault,
            "parameters": [parameter.as_json() for parameter in self.parameters],
        }

    def parameter(self, type: str) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.type == type), None)


@dataclass(frozen=True, slots=True)
class BoundReport:
    """SQL with ``?`` and the values that go with them, in order; ``values`` are what the parameters came to."""

    sql: str
    bound: tuple[str | int, ...]
    values: dict[str, str | int]


@dataclass(frozen=True, slots=True)
class ReportRun:
    """A report that was run: its query and, when that ended in time, the first page of rows."""

    report: Report
    values: dict[str, str | int]
    query: Query
    page: RowPage | None = None


def reports(lake: Lake | None = None) -> list[Report]:
    """Every report by name: the built-in ones and the lake's own."""
    found = {report.name: report for report in built_in_reports()}
    if lake is not None:
        found |= {report.name: report for report in own_reports(lake)}
    return sorted(found.values(), key=lambda report: report.name)


def report(name: str, lake: Lake | None = None) -> Report:
    """One report; NotFound names those there are."""
    found = {report.name: report for report in reports(lake)}
    if name not in found:
        raise NotFound(f"there is no report {name}; there are {', '.join(found)}", report=name)
    return found[name]


def run(
    engine: Engine,
    report: Report,
    values: Mapping[str, Any] | None = None,
    *,
    wait: float = 25.0,
    limit: int = 1000,
    client: str = "",
    clock: Clock = now,
) -> ReportRun:
    """Run a report and wait for it up to ``wait`` seconds; ``page`` (at most ``limit`` rows) is None if it goes on.

    Raises InvalidRequest naming every faulty value at once, QueryRefused, QueryFailed, EngineBusy.
    """
    ready = bind(report, values or {}, clock=clock)
    query = engine.start_query(ready.sql, ready.bound, client=client)
    query = engine.wait(query.query_id, wait)
    if query.state in (QueryState.FAILED, QueryState.CANCELLED):
        message = (query.error or {}).get("message", f"the query was {query.state}")
        raise QueryFailed(f"report {report.name}: {message}", query_id=query.query_id, error=query.error)
    page = engine.rows(query.query_id, limit) if query.state == QueryState.SUCCEEDED else None
    return ReportRun(report, ready.values, query, page)


def bind(report: Report, values: Mapping[str, Any], *, clock: Clock = now) -> BoundReport:
    """The report's SQL with its parameters as values. Raises InvalidRequest naming every fault at once."""
    if report.fault:
        raise InvalidRequest(f"report {report.name} cannot be run: {report.fault}", report=report.name)
    given = read_values(report, values)
    texts = {**given, **period_bounds(report, given, values, clock)}
    bound: list[str | int] = []

    def place(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return match[0]
        bound.append(texts[name])
        return "CAST(? AS timestamp)" if name in PERIOD_BOUNDS else "?"

    sql = PIECE.sub(place, report.sql)
    return BoundReport(sql, tuple(bound), texts)


# --- values ------------------------------------------------------------------------------------------------------


def read_values(report: Report, values: Mapping[str, Any]) -> dict[str, str | int]:
    known = {parameter.name: parameter for parameter in report.parameters}
    allowed = [*known, *(("from", "to") if report.parameter("period") else ())]
    faults = [
        f"{name} is not a parameter; there are {', '.join(allowed) or 'none'}" for name in values if name not in allowed
    ]
    read: dict[str, str | int] = {}
    for parameter in report.parameters:
        try:
            read[parameter.name] = read_value(parameter, values.get(parameter.name, parameter.default))
        except ValueError as error:
            faults.append(f"{parameter.name}: {error}")
    if faults:
        raise InvalidRequest(f"report {report.name}: {'; '.join(faults)}", report=report.name, faults=faults)
    return read


def read_value(parameter: Parameter, value: Any) -> str | int:
    """The value in its parameter's type; ValueError says what it must be."""
    text = str(value).strip()
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"is longer than {LONGEST_TEXT} characters")
    if parameter.type == "integer":
        return whole_number(parameter, text)
    if parameter.type == "choice" and text not in parameter.values:
        raise ValueError(f"{text!r} is not one of {', '.join(parameter.values)}")
    if parameter.type == "timezone":
        return time_zone(text).key
    if parameter.type == "period":
        period_days(text, FIRST_DAY)
    return text


def whole_number(parameter: Parameter, text: str) -> int:
    least = -(10**18) if parameter.least is None else parameter.least
    most = 10**18 if parameter.most is None else parameter.most
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise ValueError(f"{text!r} is not a whole number")
    number = int(text)
    if not least <= number <= most:
        raise ValueError(f"{number} is not from {least} to {most}")
    return number


def time_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{text!r} is not an IANA time zone such as Europe/Berlin") from None


def period_bounds(
    report: Report, given: Mapping[str, str | int], values: Mapping[str, Any], clock: Clock
) -> dict[str, str]:
    """``from``, ``to`` and ``previous_from`` as UTC timestamps without a zone; {} where no period is asked for."""
    parameter = report.parameter("period")
    if parameter is None:
        return {}
    zone_parameter = report.parameter("timezone")
    zone = ZoneInfo(str(given[zone_parameter.name])) if zone_parameter else ZoneInfo("UTC")
    today = clock().astimezone(zone).date()
    try:
        first, after = period_days(str(given[parameter.name]), today)
        first = date_in(values["from"]) if values.get("from") else first
        after = date_in(values["to"]) + timedelta(days=1) if values.get("to") else after
        if first >= after:
            raise ValueError(f"from {first} is after to {after - timedelta(days=1)}")
    except ValueError as error:
        raise InvalidRequest(f"report {report.name}: period: {error}", report=report.name) from None
    before = max(first - (after - first), FIRST_DAY)
    return {
        name: datetime.combine(day, time(), zone).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        for name, day in zip(PERIOD_BOUNDS, (first, after, before), strict=True)
    }


def period_days(text: str, today: date) -> tuple[date, date]:
    """First day of a period and the day after its last."""
    if text == "all":
        return FIRST_DAY, LAST_DAY
    after = today + timedelta(days=1)
    if match := re.fullmatch(r"([1-9]\d{0,3})([dwmy])", text):
        count, unit = int(match[1]), match[2]
        if unit in "dw":
            return max(after - timedelta(days=count * (7 if unit == "w" else 1)), FIRST_DAY), after
        return max(months_before(after, count * (12 if unit == "y" else 1)), FIRST_DAY), after
    if match := re.fullmatch(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?", text):
        first = date_in("-".join(part or "01" for part in match.groups()))
        if match[3]:
            return first, first + timedelta(days=1)
        return first, months_before(first, -1 if match[2] else -12)
    raise ValueError(f"{text!r} is not a period such as 7d, 4w, 6m, 1y, 2025, 2025-03 or all")


def months_before(day: date, count: int) -> date:
    """The same day ``count`` months earlier, or that month's last day."""
    months = day.year * 12 + day.month - 1 - count
    if months < 12:
        return date.min
    first = date(months // 12, months % 12 + 1, 1)
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return first.replace(day=min(day.day, (following - first).days))


def date_in(text: Any) -> date:
    """A date from 1970 to 2200; ValueError for anything else."""
    try:
        day = date.fromisoformat(str(text).strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a date such as 2025-03-14") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"{day} is not from {FIRST_DAY} to {LAST_DAY}")
    return day


# --- files -------------------------------------------------------------------------------------------------------


@cache
def built_in_reports() -> tuple[Report, ...]:
    return tuple(parse_report(path.stem, path.read_text("utf-8")) for path in sorted(BUILT_IN.glob("*.sql")))


def own_reports(lake: Lake) -> list[Report]:
    """The lake's own reports; one that cannot be read is listed with its fault."""
    found = []
    for info in lake.store.list(REPORTS):
        name = info.key.removeprefix(REPORTS).removesuffix(".sql")
        if not info.key.endswith(".sql") or not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
            continue
        try:
            if info.size > LARGEST_REPORT:
                raise ValueError(f"is larger than {LARGEST_REPORT} bytes")
            found.append(parse_report(name, lake.store.read(info.key).decode("utf-8"), built_in=False))
        except NotFound:  # deleted since it was listed
            continue
        except ValueError as error:
            found.append(Report(name, name, "", "", built_in=False, fault=f"{info.key}: {error}"))
    return found


def parse_report(name: str, text: str, *, built_in: bool = True) -> Report:
    """A report file's content. ValueError says what is wrong with it."""
    lines = text.lstrip("\ufeff").splitlines()
    length = next((at for at, line in enumerate(lines) if not line.startswith("--")), len(lines))
    header = "\n".join(line[2:] for line in lines[:length])
    sql = "\n".join(lines[length:]).strip().removesuffix(";").rstrip()
    try:
        said = tomllib.loads(header)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"its header is not TOML: {error}") from None
    if not sql:
        raise ValueError("it holds no SQL")
    report = Report(
        name=name,
        title=required_text(said, "title"),
        description=required_text(said, "description"),
        sql=sql,
        parameters=tuple(read_parameter(key, value) for key, value in said.get("parameters", {}).items()),
        chart=read_chart(said.get("chart", {"kind": "table"})),
        built_in=built_in,
    )
    check_names(report, said)
    return report


def required_text(said: Mapping[str, Any], name: str) -> str:
    if not isinstance(said.get(name), str) or not said[name]:
        raise ValueError(f"its header names no {name}")
    return str(said[name])


def read_parameter(name: str, said: Any) -> Parameter:
    if not isinstance(said, dict) or said.get("type") not in TYPES:
        raise ValueError(f"parameter {name} needs a type: one of {', '.join(TYPES)}")
    kind = said["type"]
    if kind in ("period", "timezone") and name != kind:
        raise ValueError(f"parameter {name} of type {kind} must be named {kind}")
    require_plain(f"parameter {name}", said)
    try:
        parameter = Parameter(
            name=name,
            type=kind,
            default=said.get("default", "UTC" if kind == "timezone" else ""),
            help=said.get("help", HELP.get(kind, "")),
            least=said.get("least"),
            most=said.get("most"),
            values=tuple(said.get("values", ())),
        )
        read_value(parameter, parameter.default)
    except (ValueError, TypeError) as error:
        raise ValueError(f"parameter {name}: its default {error}") from None
    return parameter


def read_chart(said: Any) -> dict[str, Any]:
    if not isinstance(said, dict) or said.get("kind") not in CHARTS:
        raise ValueError(f"chart needs a kind: one of {', '.join(CHARTS)}")
    require_plain("chart", said)
    return dict(said)


def require_plain(what: str, said: Mapping[str, Any]) -> None:
    """Texts, whole numbers and lists of texts: TOML's dates and NaN have no place in JSON."""
    for name, value in said.items():
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str) or (type(each) is int and each is value) for each in texts):
            raise ValueError(f"{what}: {name} must be a text or a whole number, or a list of texts")


def check_names(report: Report, said: Mapping[str, Any]) -> None:
    unknown = set(said) - {"title", "description", "chart", "parameters"}
    if unknown:
        raise ValueError(f"its header holds {', '.join(sorted(unknown))}, which means nothing")
    offered = {parameter.name for parameter in report.parameters if parameter.type != "period"}
    if report.parameter("period"):
        offered |= set(PERIOD_BOUNDS)
    used = {match[1] for match in PIECE.finditer(report.sql) if match[1]}
    if used - offered:
        raise ValueError(f"its SQL uses :{', :'.join(sorted(used - offered))} without declaring it")
    if idle := offered - used - set(PERIOD_BOUNDS) - {"timezone"}:
        raise ValueError(f"its parameter {', '.join(sorted(idle))} is not used in its SQL")

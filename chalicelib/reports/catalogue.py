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

``min_seconds`` is the same in every report: the seconds from which on a listen counts as a play. Whoever counts plays
counts rows of ``heard`` with ``play_seconds >= :min_seconds``; whoever adds up time adds up all of its ``ms``.

The lake's owner adds reports as ``reports/<name>.sql`` in the lake; they pass the same guard, and replace a
built-in report of the same name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.clock import Clock, now
from chalicelib.errors import InvalidRequest, NotFound
from chalicelib.lake import REPORTS, Lake
from chalicelib.queries.engine import Engine, Query, QueryState, RowPage, failure_of
from chalicelib.reports.parameters import Parameter, read_parameter, read_value, require_plain
from chalicelib.reports.periods import PERIOD_BOUNDS, bounds

BUILT_IN = Path(__file__).parent / "sql"
LARGEST_REPORT = 65_536  # bytes of one report file
QUESTIONS = (
    "What did I hear most?",
    "When did I listen?",
    "What is new, and what is forgotten?",
    "How do I listen?",
    "Who shares my taste, and what do I keep?",
)  # in the order in which they are listed
CHARTS = ("bar", "line", "heatmap", "table", "number")
AXES = ("x", "y", "value", "series")  # of a chart, each the name of a column; y may be several
#: SQL text in which a colon is no parameter, or a parameter.
PIECE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|(?<![:\w]):([a-z_]\w*)""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Report:
    """A report as read from its file. ``fault`` says why an owner's own report cannot be run, ``question`` which of
    QUESTIONS it answers: those of one are listed together."""

    name: str
    title: str
    description: str
    sql: str
    parameters: tuple[Parameter, ...] = ()
    chart: dict[str, Any] = field(default_factory=dict)
    built_in: bool = True
    fault: str | None = None
    question: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As ``GET /reports`` lists it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "question": self.question,
            "chart": self.chart,
            "built_in": self.built_in,
            "fault": self.fault,
            "parameters": [parameter.as_json() for parameter in self.parameters],
        }

    def parameter(self, type: str) -> Parameter | None:
        """The first parameter of a type; None where there is none."""
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
    only: str | None = None,
) -> ReportRun:
    """Run a report and wait for it up to ``wait`` seconds; ``page`` (at most ``limit`` rows) is None if it goes on.

    With ``only`` a listener, whatever ``values`` say, it is of that listener alone (see own.py). Raises InvalidRequest
    naming every faulty value at once, Forbidden, QueryRefused, QueryFailed, EngineBusy.
    """
    ready = bind(report, values or {}, clock=clock) if only is None else bind_own(report, values or {}, only, clock)
    query = engine.start_query(ready.sql, ready.bound, client=client)
    query = engine.wait(query.query_id, wait)
    if query.state in (QueryState.FAILED, QueryState.CANCELLED):
        raise failure_of(query, f"report {report.name}: ")
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


def bind_own(report: Report, values: Mapping[str, Any], listener: str, clock: Clock = now) -> BoundReport:
    """The report narrowed to one listener. Raises Forbidden too."""
    from chalicelib.reports.own import own_sql, require_own

    require_own(report)
    forced = {"user": listener} if report.parameter("user") else {}
    ready = bind(report, {**values, **forced}, clock=clock)
    return replace(ready, sql=own_sql(ready.sql, listener))


# --- values ------------------------------------------------------------------------------------------------------


def read_values(report: Report, values: Mapping[str, Any]) -> dict[str, str | int]:
    """The values of all parameters in their types. Raises InvalidRequest naming every fault at once."""
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
        return bounds(str(given[parameter.name]), values.get("from"), values.get("to"), zone, today)
    except ValueError as error:
        raise InvalidRequest(f"report {report.name}: period: {error}", report=report.name) from None


# --- files -------------------------------------------------------------------------------------------------------


@cache
def built_in_reports() -> tuple[Report, ...]:
    """The reports of this release, by name."""
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
        question=read_question(said),
    )
    check_names(report, said)
    return report


def required_text(said: Mapping[str, Any], name: str) -> str:
    """A text of the header. Raises ValueError where it is missing."""
    if not isinstance(said.get(name), str) or not said[name]:
        raise ValueError(f"its header names no {name}")
    return str(said[name])


def read_question(said: Mapping[str, Any]) -> str | None:
    """Which question a header says that the report answers. Raises ValueError for one that nobody asks."""
    question: str | None = said.get("question")
    if question is not None and question not in QUESTIONS:
        raise ValueError(f"question must be one of: {' '.join(QUESTIONS)}")
    return question


def read_chart(said: Any) -> dict[str, Any]:
    """The chart that a header declares. Raises ValueError."""
    if not isinstance(said, dict) or said.get("kind") not in CHARTS:
        raise ValueError(f"chart needs a kind: one of {', '.join(CHARTS)}")
    require_plain("chart", said)
    return dict(said)


def require_axes(report: Report, columns: Sequence[str]) -> None:
    """Refuse a chart whose axes are no columns of the result. Raises InvalidRequest naming every fault at once."""
    said = [(axis, report.chart[axis]) for axis in AXES if axis in report.chart]
    wanted = [(axis, name) for axis, names in said for name in (names if isinstance(names, list) else [names])]
    if missing := [f"{axis} = {name}" for axis, name in wanted if name not in columns]:
        raise InvalidRequest(
            f"report {report.name}: its chart has {', '.join(missing)}, and the result has no such column; "
            f"it has {', '.join(columns)}",
            report=report.name,
            columns=list(columns),
        )


def check_names(report: Report, said: Mapping[str, Any]) -> None:
    """Refuse what a header declares and its SQL does not use, and the other way round. Raises ValueError."""
    unknown = set(said) - {"title", "description", "question", "chart", "parameters"}
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

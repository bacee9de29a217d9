"""Trino's client protocol: a statement is posted, its pages are fetched until there are no more.

Source: "Trino client REST API" of Trino's developer guide.
"""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BUSY = (502, 503, 504)  # answers of a server that wants to be asked again
#: Without it timestamps come with three digits whatever their type.
CAPABILITIES = "PARAMETRIC_DATETIME"


class TrinoFailed(Exception):
    """Trino refused a statement, or failed while it ran."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['errorName']}: {error['message']}")
        self.name: str = error["errorName"]
        self.message: str = error["message"]
        place = error.get("errorLocation")
        self.place: tuple[int, int] | None = (place["lineNumber"], place["columnNumber"]) if place else None
        #: The parser's refusals are the ones that Athena answers at once.
        self.by_the_parser = "ParsingException" in (error.get("failureInfo") or {}).get("type", "")


class Double(float):
    """A double or real with the digits that Trino wrote, which are Java's."""

    written: str

    def __new__(cls, written: str) -> Double:
        number = super().__new__(cls, written)
        number.written = written
        return number


@dataclass(frozen=True)
class Column:
    name: str
    type: str  # in Trino's words, with lengths and precisions
    signature: Mapping[str, Any]  # the same as a tree


@dataclass
class Answer:
    """What a statement answered. ``rows`` are as the protocol writes them; ``values()`` are Python's."""

    query_id: str
    columns: list[Column] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    stats: Mapping[str, Any] = field(default_factory=dict)
    next: str = ""  # where the next page is; empty: there is none


@dataclass(frozen=True)
class Session:
    """Whom Trino takes the asker for, and where unqualified names are looked up."""

    url: str
    catalog: str = "memory"
    schema: str = "default"
    user: str = "lake"
    properties: Mapping[str, str] = field(default_factory=dict)

    def headers(self) -> dict[str, str]:
        held = {
            "X-Trino-User": self.user,
            "X-Trino-Catalog": self.catalog,
            "X-Trino-Schema": self.schema,
            "X-Trino-Time-Zone": "UTC",
            "X-Trino-Client-Capabilities": CAPABILITIES,
        }
        if self.properties:
            held["X-Trino-Session"] = ",".join(
                f"{name}={urllib.parse.quote(value)}" for name, value in self.properties.items()
            )
        return held


def ask(session: Session, sql: str, parameters: Sequence[str] = ()) -> Answer:
    """Run a statement to its end. ``parameters`` are SQL expressions, one for each ``?``. Raises TrinoFailed."""
    answer = start(session, sql, parameters)
    while answer.next:
        advance(answer)
    return answer


def start(session: Session, sql: str, parameters: Sequence[str] = ()) -> Answer:
    """Post a statement: an answer whose pages :func:`advance` fetches. Raises TrinoFailed."""
    headers = session.headers()
    if parameters:  # a statement prepared under a name, so that places in messages are the statement's own
        headers["X-Trino-Prepared-Statement"] = f"asked={urllib.parse.quote_plus(sql)}"
        sql = f"EXECUTE asked USING {', '.join(parameters)}"
    request = urllib.request.Request(f"{session.url}/v1/statement", sql.encode(), headers, method="POST")
    page = fetch(request)
    answer = Answer(page["id"])
    take(answer, page)
    return answer


def advance(answer: Answer) -> None:
    """Fetch the next page of an answer. Raises TrinoFailed."""
    take(answer, fetch(urllib.request.Request(answer.next)))


def cancel(answer: Answer) -> None:
    """Tell Trino that nobody waits for an answer any more."""
    if answer.next:
        with urllib.request.urlopen(urllib.request.Request(answer.next, method="DELETE"), timeout=30):
            pass


def take(answer: Answer, page: dict[str, Any]) -> None:
    if "error" in page:
        raise TrinoFailed(page["error"])
    if page.get("columns") and not answer.columns:
        answer.columns = [Column(each["name"], each["type"], each["typeSignature"]) for each in page["columns"]]
    answer.rows += page.get("data") or []
    answer.stats = page.get("stats", {})
    answer.next = page.get("nextUri", "")


def fetch(request: urllib.request.Request, patience: float = 30.0) -> dict[str, Any]:
    deadline = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                page: dict[str, Any] = json.loads(response.read(), parse_float=Double)
                return page
        except urllib.error.HTTPError as error:
            if error.code not in BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def plain(cell: Any, signature: Mapping[str, Any]) -> Any:
    """A cell without the protocol's wrappings: numbers are numbers, varbinary is bytes, maps are lists of pairs (so
    that a key may be anything), rows are tuples; what JSON has no type for stays text in Trino's own writing."""
    if cell is None:
        return None
    kind, inner = signature["rawType"], signature["arguments"]
    if kind == "array":
        return [plain(each, inner[0]["value"]) for each in cell]
    if kind == "map":
        key, value = inner[0]["value"], inner[1]["value"]
        return [(plain(name, key), plain(each, value)) for name, each in cell.items()]
    if kind == "row":
        return tuple(
            plain(each, argument["value"]["typeSignature"]) for each, argument in zip(cell, inner, strict=True)
        )
    if kind == "varbinary":
        return base64.b64decode(cell)
    if kind in ("double", "real"):
        return cell if isinstance(cell, float) else Double(cell)
    if kind in ("tinyint", "smallint", "integer", "bigint"):
        return int(cell)  # a map's keys are text
    if kind == "boolean":
        return cell if isinstance(cell, bool) else cell == "true"
    return cell

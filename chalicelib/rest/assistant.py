"""The lake for assistants: the Model Context Protocol's tools, each of which is a request to the API.

A tool call becomes a request of the same token, handled as any other: scope, rate, guard and limits are the API's, in
one place. ``POST /mcp`` speaks the protocol's streamable HTTP without sessions (revisions up to 2025-11-25), so that it
works behind API Gateway too; `lake mcp` has the same tools over stdio by the protocol's own SDK.
https://modelcontextprotocol.io/specification/2025-11-25/basic/transports
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chalicelib import __version__
from chalicelib.queries.engine import CatalogueTable
from chalicelib.rest.messages import Reply, Request, as_json
from chalicelib.rest.replies import QueryRows, ReportList, ReportRows, TableList
from chalicelib.rest.routes import LONGEST_SQL, LONGEST_WAIT, NAME
from chalicelib.rest.schema import AnyObject, Field, ListOf, Scalar, Text, Whole, check_body

REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
METHOD_NOT_FOUND, INVALID_PARAMS = -32601, -32602
MOST_ROWS = 1_000  # of one answer: what an assistant can take in
INSTRUCTIONS = """\
A person's own Spotify listening: plays, tracks, artists, albums, playlists, library, top lists, and the runs that
brought them. Look at list_tables first, then ask in SQL or run a report. SQL is Athena's dialect (engine version 3,
Trino); one statement that reads; aggregate rather than fetch rows. `plays` has one row per listen, `heard` the same
with the seconds that count; reports count a play from 30 seconds on. Times are UTC. Nothing here changes anything."""

Document = dict[str, Any]
ToAsk = Callable[[Request], Reply]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: what it takes, the class of its answer, and the request to the API that it is."""

    name: str
    description: str
    shape: type[Any]
    request: Callable[[Request, Document], Request]
    fields: tuple[Field, ...] = ()

    def as_json(self) -> Document:
        """As ``tools/list`` shows it."""
        required = [each.name for each in self.fields if each.required]
        return {
            "name": self.name,
            "description": self.description,
            "inputSchema": {
                "type": "object",
                "properties": {each.name: each.schema() for each in self.fields},
                "required": required,
                "additionalProperties": False,
            },
            "outputSchema": output_schema(self.shape),
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }


def output_schema(shape: type[Any]) -> Document:
    """The shape of a tool's answer, with the classes that stand in it."""
    from chalicelib.rest.openapi import answered_schemas, reference

    return {"type": "object", **reference(shape.__name__), "components": {"schemas": answered_schemas([shape])}}


def asking(caller: Request, method: str, route: str, **parts: Any) -> Request:
    """Another request of the same caller."""
    headers = {"accept": "application/json", "content-type": "application/json"}
    return replace(
        caller, method=method, route=route, headers=headers, **{"path": {}, "query": {}, "body": b"", **parts}
    )


def texts(**values: Any) -> dict[str, list[str]]:
    """Query parameters of those values that are given."""
    return {name: [str(value)] for name, value in values.items() if value is not None}


def ask_query(caller: Request, given: Document) -> Request:
    """SQL, with its first rows if they are there in time."""
    body = json.dumps({"sql": given["sql"], "parameters": given["parameters"]}).encode()
    query = texts(wait=LONGEST_WAIT, limit=given["limit"])
    return asking(caller, "POST", "/queries", query=query, body=body)


def ask_rows(caller: Request, given: Document) -> Request:
    """More rows, or those of a query that took longer."""
    query = texts(wait=LONGEST_WAIT, limit=given["limit"], page_token=given["page_token"])
    return asking(caller, "GET", "/queries/{query_id}/rows", path={"query_id": given["query_id"]}, query=query)


def ask_report(caller: Request, given: Document) -> Request:
    """A report with its parameters."""
    return asking(
        caller, "GET", "/reports/{name}", path={"name": given["name"]}, query=texts(**(given["parameters"] or {}))
    )


LIMIT = Field("limit", Whole(1, MOST_ROWS), "Most rows of this answer", default=100)
TOOLS = (
    Tool(
        "list_tables",
        "Every table with what it holds, its columns with types and descriptions, and how many rows it has.",
        TableList,
        lambda caller, _: asking(caller, "GET", "/tables"),
    ),
    Tool(
        "describe_table",
        "One table: columns with types and descriptions, rows and bytes of each month, how fresh it is.",
        CatalogueTable,
        lambda caller, given: asking(caller, "GET", "/tables/{name}", path={"name": given["name"]}),
        (Field("name", Text(1, 128, NAME), "The table", True, example="plays"),),
    ),
    Tool(
        "query",
        "Run one reading SQL statement in Athena's dialect (Trino). The answer has the columns with their types and "
        "the first rows; where query.state is running it has none yet, and query_rows has them later.",
        QueryRows,
        ask_query,
        (
            Field("sql", Text(1, LONGEST_SQL), "The statement", True, example="SELECT count(*) AS plays FROM plays"),
            Field("parameters", ListOf(Scalar(), most=100), "Values for its `?`, in order", default=[]),
            LIMIT,
        ),
    ),
    Tool(
        "query_rows",
        "More rows of a query: its next page, or the rows of one that took longer than an answer waits.",
        QueryRows,
        ask_rows,
        (
            Field("query_id", Text(1, 128, NAME), "query.query_id of an earlier answer", True),
            Field("page_token", Text(1, 4_000), "next_page_token of the page before"),
            LIMIT,
        ),
    ),
    Tool(
        "list_reports",
        "The saved reports: what each shows, and the parameters that it takes with their defaults.",
        ReportList,
        lambda caller, _: asking(caller, "GET", "/reports"),
    ),
    Tool(
        "run_report",
        "Run a saved report; the answer has its rows and the SQL behind them.",
        ReportRows,
        ask_report,
        (
            Field("name", Text(1, 128, NAME), "The report", True, example="top_artists"),
            Field("parameters", AnyObject(), "Its parameters by name, those that are not the defaults", default={}),
        ),
    ),
)
BY_NAME = {tool.name: tool for tool in TOOLS}


# --- calling a tool -----------------------------------------------------------------------------------------------


def call(name: str, arguments: Mapping[str, Any], caller: Request, handle: ToAsk) -> Document:
    """A tool's result as ``tools/call`` answers it; a failure is one that the assistant can read. KeyError for a tool
    that there is not."""
    tool = BY_NAME[name]
    values, faults = check_body(tool.fields, dict(arguments))
    if faults:
        return failure(" ".join(f"{each['name']} {each['message']};" for each in faults).rstrip(";"))
    reply = handle(tool.request(caller, values))
    found = json.loads(str(reply.content))
    if reply.status >= 400:
        return failure(found["error"]["message"])
    answer = complete(tool, found, values, caller, handle)
    return {"content": [{"type": "text", "text": compact(answer)}], "structuredContent": answer, "isError": False}


def complete(tool: Tool, found: Document, values: Document, caller: Request, handle: ToAsk) -> Document:
    """The answer in its tool's one shape, whether rows are there yet or not."""
    if tool.shape is ReportRows and "report" not in found:  # the query that goes on
        waiting = {"report": report_of(values["name"], caller, handle), "values": {}, "sql": found["sql"]}
        return {**waiting, "query_id": found["query_id"], **NO_ROWS}
    if tool.shape is not QueryRows or "query" in found:
        return found
    if "query_id" in found:
        return {"query": found, **NO_ROWS}
    return {"query": query_of(values["query_id"], caller, handle), **found}


NO_ROWS: Document = {"columns": [], "rows": [], "next_page_token": None, "truncated": False}


def query_of(query_id: str, caller: Request, handle: ToAsk) -> Any:
    """A query as the API shows it."""
    return json.loads(str(handle(asking(caller, "GET", "/queries/{query_id}", path={"query_id": query_id})).content))


def report_of(name: str, caller: Request, handle: ToAsk) -> Any:
    """A report as the API lists it."""
    listed = json.loads(str(handle(asking(caller, "GET", "/reports")).content))["reports"]
    return next(each for each in listed if each["name"] == name)


def failure(message: str) -> Document:
    """What went wrong, in words that the assistant reads."""
    return {"content": [{"type": "text", "text": message}], "isError": True}


def compact(answer: Any) -> str:
    """JSON without spaces."""
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


# --- streamable HTTP, without sessions ----------------------------------------------------------------------------


def answer_message(message: Document, caller: Request, handle: ToAsk) -> Document | None:
    """The answer to one JSON-RPC message; None to a notification."""
    if message["id"] is None:
        return None
    head: Document = {"jsonrpc": "2.0", "id": message["id"]}
    method, given = message["method"], message["params"] or {}
    if method == "initialize":
        wanted = given.get("protocolVersion")
        return {**head, "result": welcome(wanted if wanted in REVISIONS else REVISIONS[-1])}
    if method == "ping":
        return {**head, "result": {}}
    if method == "tools/list":
        return {**head, "result": {"tools": [as_json(tool.as_json()) for tool in TOOLS]}}
    if method == "tools/call":
        name, arguments = given.get("name"), given.get("arguments") or {}
        if not isinstance(name, str) or name not in BY_NAME or not isinstance(arguments, dict):
            return {**head, "error": {"code": INVALID_PARAMS, "message": f"there is no tool {str(name)[:100]}"}}
        return {**head, "result": call(name, arguments, caller, handle)}
    return {**head, "error": {"code": METHOD_NOT_FOUND, "message": f"there is no method {method[:100]}"}}


def welcome(revision: str) -> Document:
    """What a client is told first."""
    return {
        "protocolVersion": revision,
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": "spotify-lake", "version": __version__},
        "instructions": INSTRUCTIONS,
    }

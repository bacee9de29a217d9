"""The lake as an assistant meets it: the Model Context Protocol's own client, over HTTP and over stdio."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import requests
from httpx2 import AsyncClient
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from chalicelib.rest.access import Access
from chalicelib.settings import Settings
from chalicelib.stores import open_secrets
from chalicelib.views import user_tables
from tests.support.server import LakeServer, environment, eventually, filled

Ask = Callable[[Client], Awaitable[None]]
WAYS = ("http", "stdio")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    with LakeServer(filled(tmp_path_factory, "assisted")) as running:
        yield running


@asynccontextmanager
async def connected(server: LakeServer, way: str) -> AsyncIterator[Client]:
    """The SDK's client, connected as its user would."""
    if way == "stdio":
        program = StdioServerParameters(
            command=sys.executable, args=["-m", "chalicelib", "mcp"], env=environment(server.folder, {})
        )
        async with Client(stdio_client(program)) as client:
            yield client
        return
    headers = {"Authorization": f"Bearer {server.token}"}
    async with (
        AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{server.url}/mcp", http_client=http)) as client,
    ):
        yield client


@pytest.mark.thorough
@pytest.mark.parametrize("way", WAYS)
def test_an_assistant_finds_the_tables_asks_and_reports(server: LakeServer, way: str) -> None:
    async def ask() -> None:
        async with connected(server, way) as client:
            await tools_are_described(client)
            await tables_have_columns(client)
            await sql_is_answered_and_guarded(client)
            await rows_come_in_pages(client)
            await reports_run(client)

    anyio.run(ask)


async def tools_are_described(client: Client) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert {"list_tables", "describe_table", "query", "query_rows", "list_reports", "run_report"} == tools.keys()
    for tool in tools.values():
        assert tool.description and tool.output_schema
        assert tool.annotations and tool.annotations.read_only_hint


async def tables_have_columns(client: Client) -> None:
    listed = await called(client, "list_tables")
    tables = {table["name"]: table for table in listed["tables"]}
    assert tables.keys() == user_tables().keys()
    plays = await called(client, "describe_table", name="plays")
    assert plays["description"] and all(column["type"] and column["description"] for column in plays["columns"])


async def sql_is_answered_and_guarded(client: Client) -> None:
    answer = await called(
        client, "query", sql="SELECT count(*) AS n FROM plays WHERE item_type = ?", parameters=["track"]
    )
    assert answer["columns"] == [{"name": "n", "type": "bigint"}] and answer["rows"][0][0] > 0
    assert answer["query"]["state"] == "succeeded"
    assert "only SELECT" in await refused(client, "query", sql="DROP TABLE plays")
    assert "coun" in await refused(client, "query", sql="SELECT coun(*) FROM plays")
    assert "nothing_such" in await refused(client, "describe_table", name="nothing_such")
    assert "limit must be" in await refused(client, "query", sql="SELECT 1", limit=100_000)
    assert "sql is missing" in await refused(client, "query")
    with pytest.raises(MCPError, match="delete_everything"):
        await client.call_tool("delete_everything", {})


async def rows_come_in_pages(client: Client) -> None:
    sql = "SELECT n FROM UNNEST(sequence(1, 250)) AS t(n) ORDER BY n"
    first = await called(client, "query", sql=sql)
    assert [row[0] for row in first["rows"]] == list(range(1, 101))
    more = {"query_id": first["query"]["query_id"], "page_token": first["next_page_token"], "limit": 1000}
    rest = await called(client, "query_rows", **more)
    assert [row[0] for row in rest["rows"]] == list(range(101, 251)) and rest["next_page_token"] is None


async def reports_run(client: Client) -> None:
    listed = {report["name"]: report for report in (await called(client, "list_reports"))["reports"]}
    assert listed["top_tracks"]["parameters"]
    ran = await called(client, "run_report", name="top_tracks", parameters={"limit": 2, "min_seconds": 0})
    assert 0 < len(ran["rows"]) <= 2 and ran["sql"] and ran["values"]["limit"] == 2
    assert "limit" in await refused(client, "run_report", name="top_tracks", parameters={"limit": "many"})


async def called(client: Client, tool: str, **arguments: Any) -> Any:
    """What a tool answers; the client has held it against the tool's schema."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert json.loads(result.content[0].text) == result.structured_content  # type: ignore[union-attr]
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """What an assistant reads where a tool fails."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)  # type: ignore[union-attr]


def test_without_a_token_nothing_is_said_and_what_is_no_message_is_refused(server: LakeServer) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert requests.post(f"{server.url}/mcp", json=message, timeout=30).status_code == 401
    assert server.get("/mcp").status_code == 405  # there is no stream to listen to
    assert server.post("/mcp", json={"jsonrpc": "1.0", "method": "ping"}).status_code == 400
    assert server.post("/mcp", json={**message, "method": "nothing"}).json()["error"]["code"] == -32601
    notification = server.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (notification.status_code, notification.text) == (202, "")


def tool_call(name: Any, arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    "message",
    [
        [],
        [{"jsonrpc": "2.0", "id": 1, "method": "ping"}],
        {"jsonrpc": "2.0", "id": {"a": 1}, "method": "ping"},
        {"jsonrpc": "2.0", "id": [1], "method": "ping"},
        {"jsonrpc": "2.0", "id": 1, "method": ["ping"]},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ["query"]},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": "query"},
        {"jsonrpc": "2.0", "id": 1, "method": "x" * 201},
    ],
)
def test_what_is_no_message_of_the_protocol_is_refused(server: LakeServer, message: Any) -> None:
    answer = server.post("/mcp", json=message)
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("name", [None, 7, ["query"], {"query": 1}, "", "../query", "__class__", "q" * 10_000])
def test_a_tool_that_there_is_not_is_an_error_of_the_call(server: LakeServer, name: Any) -> None:
    answer = server.post("/mcp", json=tool_call(name, {}))
    assert answer.status_code == 200 and answer.json()["error"]["code"] == -32602


HOSTILE: tuple[tuple[str, Any], ...] = (
    ("query", {"sql": "SELECT 1 AS one", "sql2": "x"}),
    ("query", {"sql": ["SELECT 1"]}),
    ("query", {"sql": "SELECT ? AS x", "parameters": [{"a": 1}]}),
    ("query", {"sql": "SELECT 1 AS one", "limit": 1_001}),
    ("query", {"sql": "SELECT * FROM read_csv('/etc/passwd')"}),
    ("query", {"sql": "SELECT 1 AS one; SELECT 2 AS two"}),
    ("query", {"sql": "INSERT INTO plays SELECT * FROM plays"}),
    ("query", {"sql": "(" * 5_000}),
    ("query_rows", {"query_id": "../../secrets/api"}),
    ("query_rows", {"query_id": "nothing-such", "page_token": "x"}),
    ("describe_table", {"name": "plays/../secrets"}),
    ("run_report", {"name": "../../etc/passwd"}),
    ("run_report", {"name": "top_artists", "parameters": {"limit": {"a": [1]}}}),
    ("run_report", {"name": "top_artists", "parameters": {"limit": 1_000_000_000_000}}),
    ("run_report", {"name": "top_artists", "parameters": {"page_token": "x"}}),
    ("run_report", {"name": "top_artists", "parameters": "limit"}),
)


@pytest.mark.parametrize(("tool", "arguments"), HOSTILE)
def test_hostile_arguments_are_refused_in_words(server: LakeServer, tool: str, arguments: Any) -> None:
    answer = server.post("/mcp", json=tool_call(tool, arguments))
    assert answer.status_code == 200
    result = answer.json()["result"]
    assert result["isError"] and result["content"][0]["text"] and len(answer.text) < 2_000
    assert "Traceback" not in server.log()


def test_no_answer_holds_more_rows_than_it_says(server: LakeServer) -> None:
    sql = "SELECT n FROM UNNEST(sequence(1, 5000)) AS t(n)"
    for tool, arguments in (
        ("query", {"sql": sql, "limit": 1_000}),
        ("run_report", {"name": "listening_over_time", "parameters": {"period": "all", "unit": "hour"}}),
    ):
        result = server.post("/mcp", json=tool_call(tool, arguments)).json()["result"]
        assert not result["isError"], result
        assert 0 < len(result["structuredContent"]["rows"]) <= 1_000


def test_a_reading_token_is_enough(server: LakeServer) -> None:
    settings = Settings(lake_url=str(server.lake), secrets_url=str(server.folder / "secrets"))
    _, token = Access(settings, open_secrets(settings)).add("assistant", "read")
    call = {"name": "query", "arguments": {"sql": "SELECT 1 AS one"}}
    message = {"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": call}
    head = {"Authorization": f"Bearer {token}"}
    answer = eventually(  # the service takes up a new token in a moment
        lambda: (a := requests.post(f"{server.url}/mcp", json=message, headers=head, timeout=60)).ok and a.json()
    )
    assert answer["id"] == "a" and answer["result"]["structuredContent"]["rows"] == [[1]]

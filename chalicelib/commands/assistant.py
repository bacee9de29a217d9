"""`lake mcp`: the assistant's tools over stdin and stdout, by the Model Context Protocol's own SDK."""

from __future__ import annotations

import uuid
from functools import partial

import anyio
import anyio.to_thread
from mcp import MCPError
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import INVALID_PARAMS, CallToolRequestParams, CallToolResult, ListToolsResult, Tool

from chalicelib import __version__
from chalicelib.rest import assistant
from chalicelib.rest.access import READ
from chalicelib.rest.api import Api
from chalicelib.rest.messages import Request

CLIENT = "assistant"  # whose queries these are


def serve_stdio(api: Api) -> None:
    """Answer on stdin and stdout until stdin ends."""
    anyio.run(partial(run, server_of(api)))


async def run(server: Server) -> None:
    """The SDK's loop."""
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def server_of(api: Api) -> Server:
    """The SDK's server with the lake's tools. Who may start this process may read its lake: the scope is ``read``."""

    async def list_tools(*_: object) -> ListToolsResult:
        return ListToolsResult(tools=[Tool.model_validate(tool.as_json()) for tool in assistant.TOOLS])

    async def call_tool(_: object, asked: CallToolRequestParams) -> CallToolResult:
        if asked.name not in assistant.BY_NAME:
            raise MCPError(INVALID_PARAMS, f"there is no tool {asked.name[:100]}")
        caller = Request("POST", "/mcp", scope=READ, token_id=CLIENT, request_id=str(uuid.uuid4()))
        call = partial(assistant.call, asked.name, asked.arguments or {}, caller, api.handle)
        return CallToolResult.model_validate(await anyio.to_thread.run_sync(call))

    return Server(
        "spotify-lake",
        version=__version__,
        instructions=assistant.INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )

"""mcp-use 1.7.1."""

import asyncio

from mcp.types import ElicitResult
from mcp_use import MCPClient
from script import ARGUMENTS, FIELDS, TOOL, URL, action, play


async def elicited(*_):
    chosen = await action()
    return ElicitResult(action=chosen, content={"sure": True} if chosen == "accept" else None)


async def main():
    servers = {"mcpServers": {"tools": {"url": URL, "headers": FIELDS}}}
    client = MCPClient(servers, elicitation_callback=elicited)
    session = await client.create_session("tools")
    try:
        await play(lambda: session.call_tool(TOOL, ARGUMENTS))
    finally:
        await client.close_all_sessions()


asyncio.run(main())

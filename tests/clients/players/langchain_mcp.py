"""langchain-mcp-adapters 0.3.2."""

import asyncio

from langchain_mcp_adapters.callbacks import Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient
from mcp.types import ElicitResult
from script import ARGUMENTS, FIELDS, TOOL, URL, action, play


async def elicited(*_):
    chosen = await action()
    return ElicitResult(action=chosen, content={"sure": True} if chosen == "accept" else None)


async def main():
    servers = {"tools": {"transport": "streamable_http", "url": URL, "headers": FIELDS}}
    client = MultiServerMCPClient(servers, callbacks=Callbacks(on_elicitation=elicited))
    # Each call of such a tool is a session of its own.
    tools = {tool.name: tool for tool in await client.get_tools()}
    await play(lambda: tools[TOOL].ainvoke(ARGUMENTS))


asyncio.run(main())

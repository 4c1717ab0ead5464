"""The official Python SDK 2.3.0. ERA is `legacy` or `2026-07-28`."""

import asyncio
import os

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult
from script import ARGUMENTS, FIELDS, KIND, TOOL, action, play


async def elicited(*_):
    chosen = await action()
    return ElicitResult(action=chosen, content={"sure": True} if chosen == "accept" else None)


async def progressed(*_):
    pass


async def main():
    async with (
        httpx2.AsyncClient(headers=FIELDS, timeout=None) as http,
        Client(
            streamable_http_client(URL, http_client=http),
            mode=os.environ["ERA"],
            elicitation_callback=elicited,
        ) as client,
    ):
        callback = progressed if KIND in {"progress", "resume"} else None
        await play(lambda: client.call_tool(TOOL, ARGUMENTS, progress_callback=callback))


URL = os.environ["MCP_URL"]
asyncio.run(main())

"""`python -m benchmarks.mcp_caller ORIGIN TOKEN TOOL SECONDS`: one client, call after call."""

import asyncio
import json
import sys
from time import perf_counter

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from benchmarks.open_loop import summary


async def measured(origin: str, token: str, tool: str, seconds: float) -> dict[str, float]:
    """Call *tool* for *seconds*, one call at a time; return what `Answers` wants."""
    times: list[float] = []
    bad = 0
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http,
        Client(streamable_http_client(f"{origin}/mcp", http_client=http), mode="legacy") as client,
    ):
        await client.list_tools()
        begin = perf_counter()
        while perf_counter() - begin < seconds:
            asked = perf_counter()
            result = await client.call_tool(tool, {"text": "hello"})
            times.append(perf_counter() - asked)
            bad += bool(result.is_error)
        return summary(times, bad, perf_counter() - begin)


if __name__ == "__main__":
    _, origin_, token_, tool_, seconds_ = sys.argv
    print(json.dumps(asyncio.run(measured(origin_, token_, tool_, float(seconds_)))))

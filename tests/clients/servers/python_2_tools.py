"""The tools on the official Python SDK 2.3.0, for both eras. Arguments: port, URL of the API."""

import asyncio
import sys
from typing import Annotated

import httpx2
import uvicorn
from events import Events
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse

PORT, API = int(sys.argv[1]), sys.argv[2]
mcp = MCPServer("tools")


class Sure(BaseModel):
    sure: bool


def entered(tool: str) -> None:
    sys.stdout.write(f"entered {tool}\n")
    sys.stdout.flush()


async def call_api(headers) -> None:
    async with httpx2.AsyncClient() as http:
        fields = {"authorization": headers["authorization"]}
        (await http.get(f"{API}/api/v1/clusters", headers=fields)).raise_for_status()


@mcp.tool()
async def plain(ctx: Context) -> str:
    await call_api(ctx.headers)
    return "done"


@mcp.tool()
async def fail() -> str:
    raise ValueError("no")


@mcp.tool()
async def hold() -> str:
    entered("hold")
    await asyncio.sleep(4)
    return "held"


@mcp.tool()
async def progress(ctx: Context) -> str:
    for step in range(1, 4):
        await ctx.report_progress(step, 3)
    return "done"


@mcp.tool()
async def resume(ctx: Context) -> str:
    await ctx.report_progress(1, 2)
    await ctx.close_sse_stream()
    await asyncio.sleep(0.2)
    return "done"


async def question():
    entered("ask")
    return Elicit("Delete?", Sure)


@mcp.tool()
async def ask(answer: Annotated[Sure, Resolve(question)]) -> str:
    return f"deleted: {answer}"


@mcp.custom_route("/api/v1/clusters", methods=["GET"])
async def clusters(_: Request) -> JSONResponse:
    return JSONResponse([])


app = mcp.streamable_http_app(event_store=Events(), retry_interval=100)
uvicorn.run(app, port=PORT, log_level="error", timeout_graceful_shutdown=1)

"""The tools on fastmcp-tasks 4.1.4, with tasks of 2026. Arguments: port, URL of the API."""

import asyncio
import sys

import httpx2
from fastmcp import Context, FastMCP
from fastmcp.server.dependencies import get_http_headers
from fastmcp.utilities.tasks import TaskConfig
from fastmcp_tasks import TasksExtension
from starlette.responses import JSONResponse

PORT, API = int(sys.argv[1]), sys.argv[2]
mcp = FastMCP("tools")
mcp.add_extension(TasksExtension())


def entered(tool: str) -> None:
    sys.stdout.write(f"entered {tool}\n")
    sys.stdout.flush()


@mcp.tool()
async def plain() -> str:
    fields = {"authorization": get_http_headers(include_all=True)["authorization"]}
    async with httpx2.AsyncClient() as http:
        (await http.get(f"{API}/api/v1/clusters", headers=fields)).raise_for_status()
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
async def ask(ctx: Context) -> str:
    entered("ask")
    answer = await ctx.elicit("Delete?", bool)
    return f"deleted: {answer.action}"


@mcp.tool(task=TaskConfig(mode="required"))
async def task(how: str) -> str:
    entered("task")
    await asyncio.sleep(4 if how == "cancelled" else 0.3)
    if how == "failed":
        raise ValueError("no")
    return how


@mcp.custom_route("/api/v1/clusters", methods=["GET"])
async def clusters(_) -> JSONResponse:
    return JSONResponse([])


mcp.run("http", host="127.0.0.1", port=PORT, show_banner=False, log_level="error")

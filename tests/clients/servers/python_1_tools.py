"""The tools on the official Python SDK 1.30.0, with its tasks. Arguments: port, URL of the API."""

import asyncio
import contextlib
import sys

import httpx
import uvicorn
from events import Events
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

PORT, API = int(sys.argv[1]), sys.argv[2]
TOOLS = ("plain", "fail", "hold", "progress", "resume", "ask", "task")
server = Server("tools")
server.experimental.enable_tasks()


def entered(tool):
    sys.stdout.write(f"entered {tool}\n")
    sys.stdout.flush()


async def call_api():
    headers = server.request_context.request.headers
    async with httpx.AsyncClient() as http:
        fields = {"authorization": headers["authorization"]}
        (await http.get(f"{API}/api/v1/clusters", headers=fields)).raise_for_status()


async def hold(_):
    entered("hold")
    await asyncio.sleep(4)


async def report(steps):
    context = server.request_context
    token = context.meta and context.meta.progressToken
    for step in range(1, steps + 1):
        if token is not None:
            await context.session.send_progress_notification(
                token, step, 3, related_request_id=str(context.request_id)
            )


async def resume(_):
    await report(1)
    await server.request_context.close_sse_stream()
    await asyncio.sleep(0.2)


async def ask(_):
    context = server.request_context
    entered("ask")
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}}
    answer = await context.session.elicit_form("Delete?", schema, context.request_id)
    return f"deleted: {answer.action}"


async def fail(_):
    raise ValueError("no")


async def start_task(how):
    async def work(task):
        entered("task")
        await asyncio.sleep(4 if how == "cancelled" else 0.3)
        failed = how == "failed"
        text = types.TextContent(type="text", text=how)
        return types.CallToolResult(content=[text], isError=failed)

    return await server.request_context.experimental.run_task(work)


@server.list_tools()
async def list_tools():
    return [
        types.Tool(
            name=name,
            inputSchema={"type": "object"},
            execution=types.ToolExecution(taskSupport="required") if name == "task" else None,
        )
        for name in TOOLS
    ]


@server.call_tool(validate_input=False)
async def call_tool(name, arguments):
    if name == "task":
        return await start_task(arguments["how"])
    if name == "plain":
        await call_api()
    elif name == "progress":
        await report(3)
    elif name in ("hold", "resume", "ask", "fail"):
        said = await globals()[name](arguments)
        return [types.TextContent(type="text", text=said or "done")]
    elif name not in TOOLS:
        raise ValueError(f"Unknown tool: {name}")
    return [types.TextContent(type="text", text="done")]


manager = StreamableHTTPSessionManager(server, event_store=Events(), retry_interval=100)


@contextlib.asynccontextmanager
async def lifespan(_):
    async with manager.run():
        yield


async def clusters(_):
    return JSONResponse([])


class Mcp:
    async def __call__(self, scope, receive, send):
        await manager.handle_request(scope, receive, send)


app = Starlette(
    routes=[Route("/api/v1/clusters", clusters), Route("/mcp", Mcp())], lifespan=lifespan
)
uvicorn.run(app, port=PORT, log_level="error", timeout_graceful_shutdown=1)

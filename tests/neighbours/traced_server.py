"""An MCP server of the official SDK with OpenTelemetry's instrumentation, or without.

`traced_server.py KIND` runs in an environment of its own: nothing of this project is there. It
prints its port and reads the URL of its API from stdin. The truth is in each path: the tool
`t7` calls `/api/v1/t7/…`.

`instrumented` reads and sends trace context and baggage, `outbound` sends them only, `plain` has
no OpenTelemetry.
"""

import asyncio
import random
import socket
import sys
from typing import Any

import httpx
import uvicorn
from mcp.server.lowlevel import Server
from mcp.types import CallToolResult, ListToolsResult, TextContent
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


class Tools:
    """Tools that call the API while they run, and once more after their response."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self.api_url = ""
        self._exporter = exporter
        self._http = httpx.AsyncClient(timeout=60)
        self._later: set[asyncio.Task[None]] = set()
        self._api_calls = 0

    async def call(self, context: Any, params: Any) -> CallToolResult:
        token = context.request.headers["authorization"]
        for number in range(params.arguments["calls"]):
            await self._get(params.name, number, token)
        if params.arguments["later"]:
            task = asyncio.create_task(self._get(params.name, 99, token))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        return CallToolResult(content=[TextContent(type="text", text="done")])

    async def _get(self, name: str, number: int, token: str) -> None:
        await asyncio.sleep(random.uniform(0.001, 0.02))
        url = f"{self.api_url}/api/v1/{name}/{number}"
        await self._http.get(url, headers={"Authorization": token})

    async def respond_to_api(self, request: Any) -> JSONResponse:
        self._api_calls += 1
        return JSONResponse({"path": request.url.path})

    async def report(self, _: Any) -> JSONResponse:
        await asyncio.gather(*self._later)
        spans = [span.name for span in self._exporter.get_finished_spans()]
        return JSONResponse({"api_calls": self._api_calls, "spans": spans})


async def no_tools(*_: Any) -> ListToolsResult:
    return ListToolsResult(tools=[])


async def serve(kind: str) -> None:
    """Serve MCP at /mcp, the API, and a report of what has happened."""
    exporter = InMemorySpanExporter()
    if kind != "plain":
        provider = TracerProvider(sampler=ParentBased(ALWAYS_ON))
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        HTTPXClientInstrumentor().instrument()
    tools = Tools(exporter)
    server = Server("tools", on_call_tool=tools.call, on_list_tools=no_tools)
    mcp: Any = server.streamable_http_app()
    if kind == "instrumented":
        mcp = OpenTelemetryMiddleware(mcp)
    api = Route("/api/v1/{path:path}", tools.respond_to_api)
    others = Starlette(routes=[api, Route("/report", tools.report)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        is_other = scope["type"] == "http" and not scope["path"].startswith("/mcp")
        await (others if is_other else mcp)(scope, receive, send)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        tools.api_url = (await asyncio.to_thread(sys.stdin.readline)).strip()
        config = uvicorn.Config(app, log_level="error", access_log=False)
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))

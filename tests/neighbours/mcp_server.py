"""A PodWarden of the tests: an MCP server of the official SDK whose tools call the API.

It runs in the loop of the test, so that a tool can be held and let go by an event. What a tool
does is in its name, `<behaviour>.<label>`: the label makes each call a tool of its own, so that
the audit log can be held against the truth.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn
from aiohttp import ClientSession
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    ListToolsResult,
    TextContent,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from tests.neighbours.mcp_events import Events

MODERN: Final = "2026-07-28"
RETRY_MS: Final = 50
_SCHEMA: Final = {"type": "object", "properties": {}}
PASSED_ON: Final = {
    "both": ("baggage", "x-request-id"),
    "baggage": ("baggage",),
    "trace": ("traceparent",),
    "context": ("baggage", "traceparent"),
    "request": ("x-request-id",),
    "nothing": (),
}
"""What tools of these names pass on to the API besides the token."""


class Tools:
    """What the tools do, and what became of them."""

    def __init__(self) -> None:
        self.api_url = ""
        """Where the sidecar offers the API."""
        self.secret: str | None = None
        """The token for the API, if it is not the caller's own."""
        self.http: ClientSession
        self.entered: asyncio.Queue[str] = asyncio.Queue()
        """The tools that were called, in the order of their arrival."""
        self.release = asyncio.Event()
        """Set to let held tools go on."""
        self.cancelled: asyncio.Queue[str] = asyncio.Queue()
        self.received: list[Request] = []
        """The requests for tool calls."""
        self.api_calls: Counter[str] = Counter()
        """How many API calls have arrived, by label."""

    async def call(
        self, context: ServerRequestContext[Any], params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        """Do what the name of the tool says."""
        assert context.request is not None
        behaviour, _, label = params.name.partition(".")
        self.received.append(context.request)
        self.entered.put_nowait(params.name)
        try:
            if behaviour in PASSED_ON or behaviour == "sometimes":
                await self._call_api(context, behaviour, label, **params.arguments or {})
            elif behaviour in {"hold", "progress", "close_stream"}:
                await self._wait(context, behaviour)
            elif behaviour == "ask":
                return await self._ask(context, params, label)
            elif behaviour == "fail":
                return CallToolResult(content=[_text("no")], is_error=True)
            else:
                raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
        except asyncio.CancelledError:
            self.cancelled.put_nowait(params.name)
            raise
        return CallToolResult(content=[_text(params.name)])

    async def _ask(
        self, context: ServerRequestContext[Any], params: CallToolRequestParams, label: str
    ) -> CallToolResult | InputRequiredResult:
        """Call the API, and ask the client whether to go on, as the era does."""
        await self._call_api(context, "both", label)
        if context.protocol_version < MODERN:
            answer = await context.session.elicit_form("Sure?", _SCHEMA, context.request_id)
            return CallToolResult(content=[_text(answer.action)])
        if params.input_responses is None:
            question = ElicitRequest(
                params=ElicitRequestFormParams(message="Sure?", requested_schema=_SCHEMA)
            )
            return InputRequiredResult(
                input_requests={"sure": question}, request_state=f"{params.name} at {id(params)}"
            )
        return CallToolResult(content=[_text("went on")])

    async def _wait(self, context: ServerRequestContext[Any], behaviour: str) -> None:
        """Wait to be released, having reported progress or closed the stream."""
        if behaviour == "progress":
            for step in range(1, 4):
                await context.session.report_progress(step, 3)
        elif behaviour == "close_stream":
            await context.session.report_progress(1, 2)
            assert context.close_sse_stream is not None
            await context.close_sse_stream()
        await self.release.wait()

    async def _call_api(
        self, context: ServerRequestContext[Any], behaviour: str, label: str, calls: int = 1
    ) -> None:
        assert context.request is not None
        given = context.request.headers
        for number in range(calls):
            # `sometimes` passes everything on with every other call.
            passing = ("both", "nothing")[number % 2] if behaviour == "sometimes" else behaviour
            names = ("authorization", *PASSED_ON[passing])
            headers = {name: given[name] for name in names if name in given}
            if self.secret is not None:
                headers["authorization"] = f"Bearer {self.secret}"
            url = f"{self.api_url}/api/v1/{label}/{number}"
            async with self.http.get(url, headers=headers) as response:
                assert response.status == 200

    async def respond_to_api(self, request: Request) -> JSONResponse:
        """Respond to an API call of any path."""
        self.api_calls[request.path_params["path"].split("/")[0]] += 1
        return JSONResponse({"path": request.path_params["path"]})


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


class McpServer:
    """A running server: its address, its tools and its sessions."""

    def __init__(self, port: int, tools: Tools) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.tools = tools


@asynccontextmanager
async def running_mcp_server(
    *, json_response: bool = False, around: Callable[[ASGIApp], ASGIApp] = lambda app: app
) -> AsyncIterator[McpServer]:
    """Serve API and MCP on a free port, with the middleware *around* them.

    Tell the tools where the sidecar is by `api_url`.
    """
    tools = Tools()

    async def list_tools(*_: Any) -> ListToolsResult:
        return ListToolsResult(tools=[])

    server = Server("tools", on_call_tool=tools.call, on_list_tools=list_tools)
    mcp = server.streamable_http_app(
        event_store=Events(), retry_interval=RETRY_MS, json_response=json_response
    )
    app = Starlette(
        routes=[Route("/api/v1/{path:path}", tools.respond_to_api), *mcp.routes],
        lifespan=lambda _: server.session_manager.run(),
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        web = uvicorn.Server(
            uvicorn.Config(
                around(app), log_config=None, access_log=False, timeout_graceful_shutdown=1
            )
        )
        serving = asyncio.create_task(web.serve(sockets=[listener]), name="mcp server")
        async with ClientSession() as tools.http:
            try:
                yield McpServer(listener.getsockname()[1], tools)
            finally:
                tools.release.set()
                web.should_exit = True
                with contextlib.suppress(asyncio.CancelledError):
                    await serving

"""`python -m tests.neighbours.mcp_fixtures`: what the conformance suite wants of a server.

Built with the official SDK; the names and texts are those that the scenarios ask for.
"""

import asyncio
import json
import logging
import signal
import socket
import sys
import warnings
from typing import Any, Final

import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.types import (
    CompleteRequestParams,
    CompleteResult,
    Completion,
    EmptyResult,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    UnsubscribeRequestParams,
)

from tests.neighbours.mcp_contents import (
    DEFAULTS,
    ENUMS,
    PNG,
    SCHEMA_2020_12,
    USER,
    Content,
    audio,
    embedded,
    image,
    text,
)
from tests.neighbours.mcp_events import Events

RETRY_MS: Final = 100
_STEP_SECONDS: Final = 0.05


class Tools:
    """The tools that the suite calls, each under the name that it asks for."""

    async def test_simple_text(self) -> list[Content]:
        """Say something."""
        return [text("This is a simple text response for testing.")]

    async def test_image_content(self) -> list[Content]:
        """Show something."""
        return [image()]

    async def test_audio_content(self) -> list[Content]:
        """Play something."""
        return [audio()]

    async def test_embedded_resource(self) -> list[Content]:
        """Hand over a resource."""
        return [embedded("test://embedded-resource", "This is an embedded resource content.")]

    async def test_multiple_content_types(self) -> list[Content]:
        """Say, show and hand over."""
        data = json.dumps({"test": "data", "value": 123})
        return [
            text("Multiple content types test:"),
            image(),
            embedded("test://mixed-content-resource", data, "application/json"),
        ]

    async def test_tool_with_logging(self, context: Context) -> list[Content]:
        """Log three times."""
        for said in ("started", "processing data", "completed"):
            await _tell(context, f"Tool execution {said}")
            await asyncio.sleep(_STEP_SECONDS)
        return [text("Logged.")]

    async def test_tool_with_progress(self, context: Context) -> list[Content]:
        """Report progress three times."""
        for done in (0, 50, 100):
            await context.report_progress(done, 100)
            await asyncio.sleep(_STEP_SECONDS)
        return [text("Done.")]

    async def test_error_handling(self) -> list[Content]:
        """Fail."""
        raise RuntimeError("This tool intentionally returns an error for testing")

    async def test_sampling(self, prompt: str, context: Context) -> list[Content]:
        """Ask the client's model."""
        response = await context.session.create_message(
            [SamplingMessage(role="user", content=text(prompt))],
            max_tokens=100,
            related_request_id=context.request_id,
        )
        assert isinstance(response.content, TextContent)
        return [text(f"LLM response: {response.content.text}")]

    async def test_elicitation(self, message: str, context: Context) -> list[Content]:
        """Ask the user."""
        return await _asked(context, message, USER)

    async def test_elicitation_sep1034_defaults(self, context: Context) -> list[Content]:
        """Ask the user, with a default for everything."""
        return await _asked(context, "Please look through this", DEFAULTS)

    async def test_elicitation_sep1330_enums(self, context: Context) -> list[Content]:
        """Ask the user to choose, in each way there is."""
        return await _asked(context, "Please choose", ENUMS)

    async def test_reconnection(self, context: Context) -> list[Content]:
        """Close the stream and answer when the client has come back."""
        await _tell(context, "Before the stream is closed")
        await context.close_sse_stream()
        await asyncio.sleep(2 * RETRY_MS / 1_000)
        await _tell(context, "After the client has come back")
        return [text("Resumed.")]

    async def json_schema_2020_12_tool(self) -> list[Content]:
        """Show a schema."""
        return [text("See my schema.")]


async def _tell(context: Context, message: str) -> None:
    await context.session.send_log_message("info", message, related_request_id=context.request_id)


async def _asked(context: Context, message: str, schema: dict[str, Any]) -> list[Content]:
    response = await context.session.elicit_form(message, schema, context.request_id)
    return [text(f"Elicitation completed: action={response.action}, content={response.content}")]


class Prompts:
    """The prompts that the suite gets."""

    async def test_simple_prompt(self) -> list[UserMessage]:
        """Be simple."""
        return [UserMessage("This is a simple prompt for testing.")]

    async def test_prompt_with_arguments(self, arg1: str, arg2: str) -> list[UserMessage]:
        """Use the arguments."""
        return [UserMessage(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]

    async def test_prompt_with_embedded_resource(self, resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
        """Hand over a resource."""
        return [
            UserMessage(embedded(resourceUri, "Embedded resource content for testing.")),
            UserMessage("Please process the embedded resource above."),
        ]

    async def test_prompt_with_image(self) -> list[UserMessage]:
        """Show something."""
        return [UserMessage(image()), UserMessage("Please analyze the image above.")]


def _add_resources(server: MCPServer) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def statictext() -> str:
        """Text."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        """Bytes."""
        return PNG

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        """What is subscribed to."""
        return "Nothing new."

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002 - the template's name for it
        """Whatever it was asked for."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _add_handlers(server: MCPServer) -> None:
    """Add what the SDK has no decorator for."""

    async def accept(_: ServerRequestContext[Any], __: Any) -> EmptyResult:
        return EmptyResult()

    for method, params in (
        ("logging/setLevel", SetLevelRequestParams),
        ("resources/subscribe", SubscribeRequestParams),
        ("resources/unsubscribe", UnsubscribeRequestParams),
    ):
        server._lowlevel_server.add_request_handler(method, params, accept)

    async def complete(_: ServerRequestContext[Any], __: CompleteRequestParams) -> CompleteResult:
        return CompleteResult(completion=Completion(values=["paris", "park"], total=2))

    server._lowlevel_server.add_request_handler(
        "completion/complete", CompleteRequestParams, complete
    )


def conformance_server() -> MCPServer:
    """Return the server with all that the suite asks for."""
    server = MCPServer("conformance-fixtures", log_level="CRITICAL")
    tools, prompts = Tools(), Prompts()
    for name in [name for name in dir(tools) if not name.startswith("_")]:
        server.add_tool(getattr(tools, name), structured_output=False)
    for name in [name for name in dir(prompts) if not name.startswith("_")]:
        server.prompt()(getattr(prompts, name))
    shown = server._tool_manager.get_tool("json_schema_2020_12_tool")
    assert shown is not None
    shown.parameters = SCHEMA_2020_12
    _add_resources(server)
    _add_handlers(server)
    return server


async def serve() -> None:
    """Serve on a free port until told to stop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = conformance_server().streamable_http_app(
            event_store=Events(), retry_interval=RETRY_MS, host="127.0.0.1"
        )
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
        )
        host, port = listener.getsockname()
        started = {"event": "service.started", "host": host, "port": port}
        sys.stderr.write(json.dumps(started) + "\n")
        await server.serve(sockets=[listener])


def main() -> None:
    """Serve until SIGTERM, and leave with 0."""
    logging.disable()  # what the suite provokes is no news
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    # uvicorn stops for this, then raises it again for whoever handled it before.
    signal.signal(signal.SIGTERM, lambda _, __: sys.exit(0))
    asyncio.run(serve())


if __name__ == "__main__":
    main()

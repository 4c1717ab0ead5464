"""`python -m deploy.local.demo`: the demo PodWarden as one process, API and `/mcp` together."""

import asyncio
import signal
import socket
from types import FrameType

import structlog
import uvicorn
from aiohttp import ClientSession
from mcp.server.mcpserver import MCPServer
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from audit_log.postgres.database import open_database
from audit_log.postgres.token_table import TokenTable
from audit_log.process.logs import set_up_logs
from audit_log.process.reading import read_settings
from audit_log.process.settings import AuditLogSettings
from deploy.local.demo.api import Api, error_response
from deploy.local.demo.callers import CallersOnly, FindToken
from deploy.local.demo.inventory import Inventory
from deploy.local.demo.tools import Tools

log = structlog.get_logger("deploy.local.demo")


class DemoSettings(BaseSettings):
    """Settings of the demo, read from the environment."""

    model_config = SettingsConfigDict(env_prefix="DEMO_", frozen=True)

    api_url: str = Field(description="where the sidecar offers the API")
    listener: int = Field(description="file descriptor of the socket on which to serve")
    """A socket and not a port: the sidecar is told the address before the demo can serve it."""


def application(server: MCPServer, find: FindToken) -> Starlette:
    """Return API and MCP server as one application, closed to callers without a token."""
    mcp = server.streamable_http_app(host="127.0.0.1")  # Hosts other than loopback: 421
    return Starlette(
        routes=[Api(Inventory()).routes(), *mcp.routes],
        middleware=[Middleware(CallersOnly, find)],
        exception_handlers={HTTPException: error_response},
        lifespan=lambda _: server.session_manager.run(),
    )


async def serve(shared: AuditLogSettings, demo: DemoSettings) -> None:
    """Serve until told to stop."""
    listener = socket.socket(fileno=demo.listener)
    host, port = listener.getsockname()[:2]
    async with (
        open_database(
            shared.database_url.get_secret_value(), application="demo-podwarden"
        ) as database,
        ClientSession(demo.api_url.rstrip("/") + "/api/v1/") as api,
    ):
        app = application(Tools(api).server(), TokenTable(database).find)
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)
        )
        log.info("service.started", host=host, port=port)
        await server.serve(sockets=[listener])


def main() -> None:
    """Run the demo."""
    shared = read_settings(AuditLogSettings)
    demo = read_settings(DemoSettings)
    set_up_logs(shared.log_format, shared.log_level)
    # uvicorn stops on these signals, then raises them again for the handler it had replaced.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    asyncio.run(serve(shared, demo))


def _end(_: int, __: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()

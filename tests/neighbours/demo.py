"""The demo PodWarden as a real process behind the sidecar, and the official SDK's client."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.neighbours.program import CHECKOUT
from tests.neighbours.services import Service


@asynccontextmanager
async def running_demo(
    listener: socket.socket, api_url: str, database_url: str
) -> AsyncIterator[Service]:
    """Run the demo on *listener*; its tools call the API at *api_url*."""
    readable, writable = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "deploy.local.demo"),
        cwd=CHECKOUT,
        env={
            "PATH": os.environ["PATH"],
            "AUDIT_LOG_DATABASE_URL": database_url,
            "AUDIT_LOG_LOG_FORMAT": "json",
            "DEMO_API_URL": api_url,
            "DEMO_LISTENER": str(listener.fileno()),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=writable,
        pass_fds=[listener.fileno()],
    )
    os.close(writable)
    service = Service(process, os.fdopen(readable, "rb"))
    try:
        await service.logged("service.started")
        yield service
        assert await service.stop() == 0, service.report()
        assert service.noise == [], service.report()
    finally:
        await service.kill()


@asynccontextmanager
async def mcp_client(url: str, secret: str, mode: str) -> AsyncIterator[Client]:
    """Speak MCP at *url* in one of the two eras: `legacy`, or a version since 2026-07-28."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {secret}"}) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client

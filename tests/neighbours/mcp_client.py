"""The official SDK's client, with whatever fields a test wants sent along."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult, Implementation

MODERN: Final = "2026-07-28"
ERAS: Final = ("legacy", MODERN)
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Neighbours speak plain HTTP. The default of the client loads all root certificates each time."""


@asynccontextmanager
async def mcp_client(
    url: str,
    secret: str,
    era: str,
    info: Implementation | None = None,
    *,
    answer: Any = "accept",
    **fields: str,
) -> AsyncIterator[Client]:
    """Speak MCP at *url* with the token *secret*; the client says *info* of itself.

    Questions get the *answer*: an action of MCP's elicitation. *fields* have `_` for `-` in their
    names.
    """

    async def elicited(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action=answer, content={} if answer == "accept" else None)

    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    async with (
        # Streams may stay silent for as long as they like.
        httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {secret}", **headers}, timeout=None, verify=_NO_TLS
        ) as http,
        Client(
            streamable_http_client(f"{url}/mcp", http_client=http),
            mode=era,
            client_info=info,
            elicitation_callback=elicited,
        ) as client,
    ):
        yield client

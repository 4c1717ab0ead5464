"""Responses that are sent piece by piece, to clients that may be slow or gone."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

from audit_api.responses import streamed_response

STALL_SECONDS: Final = 600.0
"""How long a client may accept no byte before its connection is closed.

A client that reads 10 kB/s without a pause accepts none for minutes: its kernel reports room only
when half of a buffer of several MiB is free (RFC 9293, section 3.8.6.2.2).
"""
log = structlog.get_logger("audit_api")


class StreamedResponse:
    """A response whose head is sent and whose body is under way."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response

    async def send(self, piece: bytes) -> None:
        """Send *piece*, waiting for a slow client; TimeoutError after `STALL_SECONDS`."""
        async with asyncio.timeout(STALL_SECONDS):
            await self.response.write(piece)


@asynccontextmanager
async def streaming(
    request: web.Request,
    content_type: str,
    fields: Mapping[str, str],
    *,
    coding: web.ContentCoding | None = None,
    charset: str | None = "utf-8",
) -> AsyncIterator[StreamedResponse]:
    """Yield a response whose head is sent. If the block fails, the connection is aborted.

    The status can no longer change by then, and a response that ends in order would look complete.
    """
    response = streamed_response(content_type, fields, charset=charset)
    if coding is not None:
        response.enable_compression(coding)
    await response.prepare(request)
    try:
        yield StreamedResponse(response)
    except Exception as error:  # noqa: BLE001  the head is sent, so no error response is possible
        log.warning("response.broke_off", path=request.path, error=type(error).__name__)
        if request.transport is not None:
            request.transport.abort()

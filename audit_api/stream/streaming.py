"""Answers that are sent piece by piece, to callers who may be slow or gone."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

from audit_api.responses import streamed_response

STALL_SECONDS: Final = 30.0
"""How long a caller may take nothing at all before it is hung up on."""
log = structlog.get_logger("audit_api")


class StreamedResponse:
    """An answer under way."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response

    async def send(self, piece: bytes) -> None:
        """Send *piece*, as fast as the caller takes it; TimeoutError if it takes nothing."""
        async with asyncio.timeout(STALL_SECONDS):
            await self.response.write(piece)


@asynccontextmanager
async def streaming(
    request: web.Request, content_type: str, fields: Mapping[str, str]
) -> AsyncIterator[StreamedResponse]:
    """Yield an answer whose head is sent. If the block fails, the caller sees it cut off.

    No other status can be sent by then, and an answer that merely ends would look complete.
    """
    response = streamed_response(content_type, fields)
    await response.prepare(request)
    try:
        yield StreamedResponse(response)
    except Exception as error:  # noqa: BLE001  whatever it is, the head is sent already
        log.warning("answer.broken_off", path=request.path, error=type(error).__name__)
        if request.transport is not None:
            request.transport.abort()

"""The way there: a request, sent upstream as it comes in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import StreamReader
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

from proxy.http.errors import BodyTimedOutError, MalformedBodyError, UpstreamTimedOutError
from proxy.http.fields import FieldList, field_lines
from proxy.http.framing import LAST_CHUNK, chunk
from proxy.http.request import RequestHead
from proxy.relay.response_relay import Relay
from proxy.relay.upstream_connection import UpstreamConnection


@asynccontextmanager
async def sending(
    content: StreamReader,
    head: RequestHead,
    fields: FieldList,
    relay: Relay,
    patience_seconds: float,
) -> AsyncIterator[None]:
    """Send *head* with *fields* in place of its own, and *content*, while the block waits.

    What goes wrong with the body fails the relay. The answer may end before the body does;
    then the rest of it is not sent.
    """
    connection = relay.connection
    wire = head.on_the_wire(field_lines([*fields, *relay.exchange.added_fields]))
    if content.is_eof() and content.exception() is None:
        data = content.read_nowait()
        relay.exchange.request_content(data)
        connection.send(wire + _framed(data, head) + _end(head))
        connection.request_was_sent()
        yield
        return
    connection.send(wire)
    sending_body = _send_body(content, head, relay, patience_seconds)
    body = asyncio.create_task(sending_body, name="request-body")
    try:
        yield
    finally:
        body.cancel()
        await asyncio.wait({body})


async def _send_body(
    content: StreamReader, head: RequestHead, relay: Relay, patience_seconds: float
) -> None:
    connection: UpstreamConnection = relay.connection
    try:
        while data := await _next_piece(content, relay, patience_seconds):
            relay.exchange.request_content(data)
            connection.send(_framed(data, head))
            await connection.drained()
        connection.send(_end(head))
        connection.request_was_sent()
    except (UpstreamTimedOutError, BodyTimedOutError) as error:
        relay.failed(error)
    except (RequestPayloadError, HttpProcessingError):
        relay.failed(MalformedBodyError("the body of the request is malformed"))


async def _next_piece(content: StreamReader, relay: Relay, patience_seconds: float) -> bytes:
    """Return the next bytes of the body; nothing at its end. Raises BodyTimedOutError."""
    while True:
        try:
            async with asyncio.timeout(patience_seconds):
                return await content.readany()
        except TimeoutError:
            if relay.status is None:
                raise BodyTimedOutError("the body of the request does not come") from None
            # The upstream answers already: how both go on is theirs to settle.


def _framed(data: bytes, head: RequestHead) -> bytes:
    return chunk(data) if data and head.body_is_chunked else data


def _end(head: RequestHead) -> bytes:
    return LAST_CHUNK if head.body_is_chunked else b""

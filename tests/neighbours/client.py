"""A client that speaks raw bytes: what it sends is what is on the wire."""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tests.neighbours.messages import HEAD_LIMIT_BYTES, Message, read_response

PATIENCE_SECONDS: Final = 15
"""How long a test waits for a peer. No working peer needs longer."""


class Client:
    """One connection to a server, and what comes back over it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, raw: bytes) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            self.writer.write(raw)
            await self.writer.drain()

    async def response(self, method: bytes = b"GET") -> Message:
        """Return the next response, which may be an interim one."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await read_response(self.reader, method)

    async def responses(self, method: bytes = b"GET") -> list[Message]:
        """Return the interim responses and the final one to a request."""
        responses = [await self.response(method)]
        while responses[-1].status < 200:
            responses.append(await self.response(method))
        return responses

    async def ask(self, raw: bytes, method: bytes = b"GET") -> Message:
        """Send *raw* and return the final response."""
        await self.send(raw)
        return (await self.responses(method))[-1]

    async def read_until(self, end: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.readuntil(end)

    async def read_exactly(self, count: int) -> bytes:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.readexactly(count)

    async def read_to_the_end(self) -> bytes:
        """Return all that still comes until the server closes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def hears_nothing_for(self, seconds: float) -> bool:
        """Say whether the server keeps quiet and the connection open for that long."""
        try:
            async with asyncio.timeout(seconds):
                await self.reader.readexactly(1)
        except TimeoutError:
            return True
        return False

    def end_sending(self) -> None:
        """Close our half of the connection and go on listening."""
        self.writer.write_eof()

    def hang_up(self) -> None:
        """Reset the connection."""
        reset(self.writer)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by a reset rather than in order."""
    # An abort alone throws away what waits to be sent, and then closes in order like any other.
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def end_at_once(writer: asyncio.StreamWriter) -> None:
    """End what *writer* sends, at once; `write_eof` may wait for the loop's next turn."""
    with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as connection:
        connection.shutdown(socket.SHUT_WR)


@asynccontextmanager
async def connected(port: int, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """Yield a client connected to *port* of this machine; close it afterwards."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, limit=HEAD_LIMIT_BYTES
    )
    try:
        yield Client(reader, writer)
    finally:
        # In order would mean to wait until the server has taken what it perhaps never will.
        writer.transport.abort()
        # The server may have ended the connection first, in whatever way.
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)

"""A server in PostgreSQL's place that accepts every client and then breaks the protocol.

A proxy that is broken or is being updated replies so. The driver raises for it what no document
lists: an AttributeError for a query that is said to be over before it has begun.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content


_ASKS_FOR_TLS: Final = struct.pack("!i", 80877103)
_NO_TLS: Final = b"N"
_READY: Final = _message(b"Z", b"I")
_WELCOME: Final = (
    _message(b"R", struct.pack("!i", 0))
    + _message(b"S", b"server_version\x0015.0\0")
    + _message(b"S", b"client_encoding\0UTF8\0")
    + _message(b"K", struct.pack("!ii", 1, 2))
    + _READY
)


class OddPostgres:
    """Its URL, and the number of messages that it got."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let the client in; say that each of its queries is over, and nothing else."""
        with suppress(ConnectionError):
            if (await reader.read(2**16)).endswith(_ASKS_FOR_TLS):
                writer.write(_NO_TLS)
                await reader.read(2**16)
            writer.write(_WELCOME)
            while await reader.read(2**16):
                self.asked += 1
                writer.write(_READY)
        writer.close()


@asynccontextmanager
async def odd_postgres() -> AsyncIterator[OddPostgres]:
    """Run the server; close it afterwards."""
    odd = OddPostgres()
    async with await asyncio.start_server(odd.serve, "127.0.0.1", 0) as server:
        odd.url = f"postgresql://anyone@127.0.0.1:{server.sockets[0].getsockname()[1]}/any"
        yield odd

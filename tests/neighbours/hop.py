"""A stretch of network before a server, which can refuse, lose, cut, and lead elsewhere."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import unquote, urlsplit

from tests.neighbours.client import reset

_PIECE_BYTES: Final = 2**16


class Hop:
    """Relays TCP connections to the server at a URL; refuses them until opened.

    Without a port the URL names the directory of PostgreSQL's socket.
    """

    def __init__(self, sock: socket.socket, url: str) -> None:
        self._sock = sock
        self._url = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._to_last_client: asyncio.StreamWriter | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self.requests_pass = asyncio.Event()
        self.replies_pass = asyncio.Event()
        """While one of these is not set, nothing gets through that way and nobody is told."""
        self.requests_pass.set()
        self.replies_pass.set()
        self.pieces = 0
        """How many pieces of the clients and of the server have come through."""
        self.seconds_away = 0.0
        """How long responses take to come through, on connections made from now on."""
        self.seconds_per_byte = 0.0
        """How long each byte takes besides, either way, on each connection."""

    @property
    def url(self) -> str:
        """The PostgreSQL URL that leads through here."""
        user = self._url.netloc.rpartition("@")[0]
        return f"postgresql://{user}@127.0.0.1:{self.port}{self._url.path}"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._sock.getsockname()[1])

    async def open(self) -> None:
        """Listen from now on."""
        self._server = await asyncio.start_server(self._serve, sock=self._sock)

    def black_hole(self) -> None:
        """Let nothing through any more, either way; nobody is told."""
        self.requests_pass.clear()
        self.replies_pass.clear()

    def restore(self) -> None:
        """Let everything through again. What was on its way arrives, as TCP sends it again."""
        self.requests_pass.set()
        self.replies_pass.set()

    def cut(self) -> None:
        """End every connection by a reset, and throw away what was on its way."""
        for pump in self._pumps:
            pump.cancel()
        for writer in self._writers:
            if not writer.is_closing():
                reset(writer)
        self._writers.clear()

    def say(self, said: bytes) -> None:
        """Send *said* in the server's place to the client that connected last."""
        assert self._to_last_client is not None
        self._to_last_client.write(said)

    def lead_to(self, url: str) -> None:
        """Lead new connections to another server, and end those to the first."""
        self._url = urlsplit(url)
        self.cut()

    async def close(self) -> None:
        self.cut()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        if self._server is None:
            self._sock.close()
        else:
            self._server.close()
            await self._server.wait_closed()

    async def _reach_server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._url.port is not None:
            return await asyncio.open_connection(self._url.hostname, self._url.port)
        directory = unquote(self._url.hostname or "")
        return await asyncio.open_unix_connection(f"{directory}/.s.PGSQL.5432")

    async def _serve(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        self._writers.add(to_client)
        self._to_last_client = to_client
        try:
            from_server, to_server = await self._reach_server()
        except OSError:
            reset(to_client)
            return
        self._writers.add(to_server)
        for reader, writer, passes, seconds in (
            (from_client, to_server, self.requests_pass, 0.0),
            (from_server, to_client, self.replies_pass, self.seconds_away),
        ):
            pump = asyncio.create_task(self._pump(reader, writer, passes, seconds))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        passes: asyncio.Event,
        seconds: float,
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_PIECE_BYTES):
                await asyncio.sleep(seconds + len(data) * self.seconds_per_byte)
                await passes.wait()
                self.pieces += 1
                writer.write(data)
                await writer.drain()
        await passes.wait()
        writer.close()


@asynccontextmanager
async def hop_to(url: str, *, is_open: bool = True) -> AsyncIterator[Hop]:
    """Yield a hop to the server at *url*."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    hop = Hop(sock, url)
    try:
        if is_open:
            await hop.open()
        yield hop
    finally:
        await hop.close()

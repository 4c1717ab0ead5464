"""A raw upstream: it records the bytes it gets, and answers the bytes that the test gives it."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest_asyncio

from tests.neighbours.client import PATIENCE_SECONDS, reset
from tests.neighbours.messages import HEAD_LIMIT_BYTES, Message, read_head, read_request_body

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(slots=True)
class Call:
    """One request as the upstream meets it, and the means to answer it."""

    head: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    hung_up: asyncio.Event
    """Set when the peer has closed the connection. Seen only while there is room to read."""
    read: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the request has been read to its end."""
    request: Message = field(init=False)

    def __post_init__(self) -> None:
        self.request = Message(self.head, complete=False)

    async def read_body(self) -> Message:
        """Read the request to its end, if that has not been done."""
        if not self.read.is_set():
            self.request = await read_request_body(self.reader, self.head)
            self.read.set()
        return self.request

    async def gone(self) -> None:
        """Wait until the peer has closed the connection."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.hung_up.wait()

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    def close(self) -> None:
        """End the connection in order, after what was sent."""
        self.writer.close()

    def abort(self) -> None:
        """End the connection by a reset."""
        reset(self.writer)


Behaviour = Callable[[Call], Awaitable[None]]
"""What the upstream does with one request. Afterwards it reads on, unless it closed."""


def responding(raw: bytes, *, then_close: bool = False) -> Behaviour:
    """Read the request, answer *raw*; close, if so told, whether *raw* said so or not."""

    async def behave(call: Call) -> None:
        await call.read_body()
        await call.send(raw)
        if then_close:
            call.close()

    return behave


def responding_at_once(raw: bytes) -> Behaviour:
    """Answer before the body of the request was read."""

    async def behave(call: Call) -> None:
        await call.send(raw)
        await call.read_body()

    return behave


def in_pieces(*pieces: bytes | asyncio.Event) -> Behaviour:
    """Read the request, send the bytes in turn, and wait for each event among them."""

    async def behave(call: Call) -> None:
        await call.read_body()
        for piece in pieces:
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            else:
                await call.send(piece)

    return behave


async def never_responding(call: Call) -> None:
    """Read the request and wait until the peer has given up."""
    await call.read_body()
    await call.hung_up.wait()


def endlessly(head: bytes, piece: bytes) -> Behaviour:
    """Send *piece* again and again until the peer has hung up."""

    async def behave(call: Call) -> None:
        await call.send(head)
        while not call.hung_up.is_set():
            await call.send(piece)
            # A peer that keeps pace never makes `send` wait: the client in this loop would starve.
            await asyncio.sleep(0)

    return behave


def switching_to_echo(response: bytes) -> Behaviour:
    """Send *response* (a 101), then send back every byte that comes, until the peer ends."""

    async def behave(call: Call) -> None:
        await call.send(response)
        while data := await call.reader.read(2**16):
            await call.send(data)
        call.close()

    return behave


class _Connection(asyncio.StreamReaderProtocol):
    """A stream that tells at once when the peer closes, whoever is reading."""

    def __init__(self, serve: Callable[..., Awaitable[None]]) -> None:
        self.hung_up = asyncio.Event()
        self._reader = asyncio.StreamReader(limit=HEAD_LIMIT_BYTES)
        super().__init__(self._reader, lambda reader, writer: serve(reader, writer, self.hung_up))

    def eof_received(self) -> bool | None:
        self.hung_up.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.hung_up.set()
        super().connection_lost(exc)


class Upstream:
    """What the tests tell the upstream to do, and what it saw."""

    def __init__(self, sock: socket.socket, scheme: str) -> None:
        self.port: int = sock.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.calls: list[Call] = []
        self.connections: list[asyncio.StreamWriter] = []
        self._plan: deque[Behaviour] = deque()
        self._entered: asyncio.Queue[Call] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._defects: list[Exception] = []
        self.plan(responding(OK))

    def plan(self, *behaviours: Behaviour) -> None:
        """Forget what was seen; treat the next requests so in turn, the last for ever."""
        self._plan = deque(behaviours)
        self.calls.clear()
        self._entered = asyncio.Queue()

    async def entered(self) -> Call:
        """Return the next request, as soon as its head is there."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._entered.get()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hung_up: asyncio.Event
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections.append(writer)
        try:
            await self._serve_connection(reader, writer, hung_up)
        except ConnectionError:
            hung_up.set()
        except asyncio.CancelledError:
            pass  # By `end`: the test is over. A cancelled task would make asyncio 3.11 complain.
        except Exception as defect:  # noqa: BLE001 - raised again where the test sees it
            self._defects.append(defect)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hung_up: asyncio.Event
    ) -> None:
        while not writer.is_closing() and (head := await read_head(reader)):
            call = Call(head, reader, writer, hung_up)
            behave = self._plan.popleft() if len(self._plan) > 1 else self._plan[0]
            self.calls.append(call)
            self._entered.put_nowait(call)
            await behave(call)

    async def end(self) -> None:
        """Abort what is open, and fail when something went wrong in a behaviour."""
        for writer in self.connections:
            writer.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._defects:
            raise ExceptionGroup("the upstream could not do as told", self._defects)


@asynccontextmanager
async def running_upstream(
    *, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Upstream]:
    """Be an upstream, on a free port unless one is given; everything is closed afterwards."""
    sock = socket.create_server(("127.0.0.1", port))
    upstream = Upstream(sock, "https" if tls else "http")
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(upstream.serve), sock=sock, ssl=tls
    )
    try:
        yield upstream
    finally:
        server.close()
        await upstream.end()
        await server.wait_closed()


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_upstream() -> AsyncIterator[Upstream]:
    """One upstream for all tests of a module that run in the module's loop; see `plan`."""
    async with running_upstream() as upstream:
        yield upstream

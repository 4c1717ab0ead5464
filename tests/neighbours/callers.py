"""Clients that call and call again, and what each was told: one half of a fault test's truth.

The other half is what the upstream saw. Every call has a path of its own, and the response that is
due to it follows from that path, so that nothing can be mistaken for anything else.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from tests.neighbours.client import PATIENCE_SECONDS, Client, connected
from tests.neighbours.messages import END_OF_HEAD, Message
from tests.neighbours.upstream import Call, Upstream, never_responding

HELD: Final = "/api/v1/held/"
"""What is asked for below this path is never answered."""
_STATUSES: Final = (200, 404, 201, 500)


def due_status(path: str) -> int:
    """Return the status that the upstream answers a call of *path* with."""
    return _STATUSES[int(path.split("/")[4]) % len(_STATUSES)]


def path_of(call: Call) -> str:
    return call.head.split(b" ", 2)[1].decode()


def received(upstream: Upstream) -> list[str]:
    """Return the paths in the upstream's own log, in the order of their arrival."""
    return [path_of(call) for call in upstream.calls]


async def responding_by_path(call: Call) -> None:
    """Answer the status that is due to the path, and the path itself."""
    await call.read_body()
    path = path_of(call)
    if path.startswith(HELD):
        await never_responding(call)
    else:
        head = f"HTTP/1.1 {due_status(path)} So\r\nContent-Length: {len(path)}\r\n\r\n"
        await call.send((head + path).encode())


class Callers:
    """Makes calls with one token, and keeps what came of them.

    *padding*: how many characters longer than needed each path is, to make records large.
    """

    def __init__(self, secret: str, *, padding: int = 0) -> None:
        self._secret = secret
        self.padding = padding
        self.sent: list[str] = []
        self.responses: dict[str, int] = {}
        """The status of every call whose complete response has come."""

    async def make(self, port: int, count: int) -> None:
        """Make *count* calls one after the other, each of which must be answered as is due."""
        async with connected(port) as client:
            for _ in range(count):
                assert await self._call(client, "/api/v1/hosts/"), "a call was not answered"

    async def keep_on(self, port: int) -> None:
        """Call over one connection as fast as responses come, until it is hung up on."""
        async with connected(port) as client:
            while await self._call(client, "/api/v1/hosts/"):
                pass

    async def roam(self, port: Callable[[], int], enough: asyncio.Event) -> None:
        """Call until there was *enough*; when hung up on, go on at what *port* then says."""
        while not enough.is_set():
            async with connected(port()) as client:
                while not enough.is_set() and await self._call(client, "/api/v1/hosts/"):
                    pass

    async def hold(self, port: int) -> None:
        """Make one call that the upstream never answers; return when hung up on."""
        async with connected(port) as client:
            assert not await self._call(client, HELD)

    async def _call(self, client: Client, below: str) -> bool:
        """Make one call; say whether its whole response came before the connection ended."""
        path = f"{below}{len(self.sent)}/{'x' * self.padding}"
        self.sent.append(path)
        fields = f"Host: podwarden\r\nAuthorization: Bearer {self._secret}"
        try:
            await client.send(f"GET {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
            response = await _response(client.reader)
        except (ConnectionError, asyncio.IncompleteReadError):
            return False
        assert (response.status, response.body) == (due_status(path), path.encode())
        self.responses[path] = response.status
        return True


async def _response(reader: asyncio.StreamReader) -> Message:
    """Return the next response; raise when the connection ends before all of it has come."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = Message(await reader.readuntil(END_OF_HEAD))
        [length] = head.values(b"Content-Length")
        return Message(head.head, await reader.readexactly(int(length)))

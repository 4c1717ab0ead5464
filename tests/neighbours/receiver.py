"""A receiver of the webhook: keeps what it is sent, answers as the test plans, or not at all."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import test_utils, web

from tests.neighbours.client import PATIENCE_SECONDS


@dataclass(frozen=True, slots=True)
class Sent:
    """One request."""

    path: str
    fields: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.fields["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told


class Receiver:
    """Answers `statuses` in turn, the last for ever, each as soon as `answering` is set."""

    def __init__(self) -> None:
        self.url = ""
        self.statuses = deque([204])
        self.responding = asyncio.Event()
        self.responding.set()
        self.sent: list[Sent] = []
        self._changed = asyncio.Condition()

    async def received(self, count: int) -> list[Sent]:
        """Return all requests, as soon as there are *count*."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.sent) >= count)
        return self.sent

    async def take(self, request: web.Request) -> web.Response:
        self.sent.append(Sent(request.path, dict(request.headers), await request.read()))
        async with self._changed:
            self._changed.notify_all()
        await self.responding.wait()
        status = self.statuses.popleft() if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver that takes everything until told otherwise."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    server = test_utils.TestServer(app, host="127.0.0.1", scheme="https" if tls else "http")
    await server.start_server(ssl=tls)
    try:
        receiver.url = str(server.make_url("/hook"))
        yield receiver
    finally:
        receiver.responding.set()
        await server.close()

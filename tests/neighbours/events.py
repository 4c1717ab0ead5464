"""Server-sent events as a browser reads them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import ClientSession, ClientTimeout, StreamReader

from tests.neighbours.audit_api import ALL

STREAM: Final = ALL + "/stream"
PATIENCE_SECONDS: Final = 30


@dataclass(frozen=True)
class Event:
    kind: str
    data: Any


class Events:
    """The events of one stream, and the id that a browser would come back with."""

    def __init__(self, content: StreamReader) -> None:
        self._content = content
        self.last_id: str | None = None

    async def next(self) -> Event | None:
        """Return the next event; None when the stream has ended."""
        kind, data = "message", ""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := (await self._content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    data = value
                elif name == "id":
                    self.last_id = value
                elif line == "\n" and data:
                    return Event(kind, json.loads(data))
        return None

    async def entries(self, count: int) -> list[str]:
        """Return the ids of the next *count* entries."""
        ids = []
        for _ in range(count):
            event = await self.next()
            assert event is not None
            assert event.kind == "entry", event
            ids.append(event.data["id"])
        return ids

    async def opened(self) -> None:
        """Return once the stream tells where it begins: from then on, all that arrives is told."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.last_id is None:
                line = (await self._content.readline()).decode()
                assert line, "the stream has ended"
                if line.startswith("id: "):
                    self.last_id = line[4:-1]


@asynccontextmanager
async def listening(
    api: ClientSession, query: str = "", last_id: str | None = None, *, address: str = STREAM
) -> AsyncIterator[Events]:
    """Yield the events of the live stream at *address*, from *last_id* on if given."""
    fields = {} if last_id is None else {"Last-Event-ID": last_id}
    async with api.get(
        address + query, headers=fields, timeout=ClientTimeout(), read_bufsize=2**22
    ) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        events = Events(response.content)
        if last_id is None:
            await events.opened()
        yield events

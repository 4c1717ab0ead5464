"""The events of an MCP server's streams, kept so that a client can resume one."""

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.types import JSONRPCMessage


class Events(EventStore):
    """Keeps them all, in memory."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._kept.append((stream_id, message))
        return str(len(self._kept))

    async def replay_events_after(self, last_event_id: str, send: EventCallback) -> str | None:
        if not last_event_id.isdigit() or not 0 < int(last_event_id) <= len(self._kept):
            return None
        resumed, _ = self._kept[int(last_event_id) - 1]
        for number, (stream_id, message) in enumerate(self._kept, start=1):
            if stream_id == resumed and number > int(last_event_id) and message is not None:
                await send(EventMessage(message, str(number)))
        return resumed

"""Keeps the events of streams, so that a client can fetch what it missed. For any Python SDK."""

from itertools import count

from mcp.server.streamable_http import EventMessage


class Events:
    """An `EventStore` in memory."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._kept = []

    async def store_event(self, stream_id, message):
        event_id = str(next(self._numbers))
        self._kept.append((event_id, stream_id, message))
        return event_id

    async def replay_events_after(self, last_event_id, send_callback):
        found = [stream for event_id, stream, _ in self._kept if event_id == last_event_id]
        if not found:
            return None
        for event_id, stream, message in self._kept:
            if stream == found[0] and int(event_id) > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, event_id))
        return found[0]

"""Reads the content of a response: undoes its coding and takes its events apart."""

from collections.abc import Callable

from proxy.http.framing import Payload
from proxy.http.response import ResponseHead
from proxy.mcp.event_stream import EventStream
from proxy.mcp.inflated import INFLATABLE, Inflated
from proxy.mcp.json_stream import JsonStream, Values
from proxy.mcp.messages import RESPONSE_PATHS


class ResponseReading:
    """Reads the JSON-RPC messages in the content of one response."""

    def __init__(self, head: ResponseHead, found: Callable[[Values], None]) -> None:
        """Call *found* with each message in the content of the response with *head*."""
        messages = JsonStream(RESPONSE_PATHS, found)
        self._events = EventStream(messages) if head.is_event_stream else None
        read = self._events.feed if self._events else messages.feed
        coding = (head.field(b"content-encoding") or b"identity").strip().lower()
        self.feed: Payload | None = read
        """Takes the content; None if its content coding is not supported."""
        if coding != b"identity":
            self.feed = Inflated(read).feed if coding in INFLATABLE else None

    @property
    def may_be_resumed(self) -> bool:
        """Whether it is an event stream that a client can resume with `Last-Event-ID`."""
        return self._events is not None and self._events.has_ids

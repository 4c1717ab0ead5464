"""Reads the content of a response: undoes its coding and takes its events apart."""

from collections.abc import Callable
from typing import Final

from proxy.http.framing import Payload
from proxy.http.response import ResponseHead
from proxy.mcp.event_stream import EventStream
from proxy.mcp.inflated import INFLATABLE, Inflated
from proxy.mcp.json_stream import JsonStream, Values
from proxy.mcp.messages import RESPONSE_PATHS

_MAX_CODINGS: Final = 2
"""Each could multiply the work by a thousand."""


class ResponseReading:
    """Reads the JSON-RPC messages in the content of one response."""

    def __init__(self, head: ResponseHead, found: Callable[[Values], None]) -> None:
        """Call *found* with each message in the content of the response with *head*."""
        self._messages = messages = JsonStream(RESPONSE_PATHS, found)
        self._events = EventStream(messages) if head.is_event_stream else None
        self._inflated: list[Inflated] = []
        read = self._events.feed if self._events else messages.feed
        self.feed: Payload | None = read
        """Takes the content; None if its content coding is not supported."""
        codings = _codings(head)
        if len(codings) > _MAX_CODINGS or not INFLATABLE.issuperset(codings):
            self.feed = None
            return
        for coding in codings:  # in the order in which they were applied: the last is undone first
            self._inflated.append(Inflated(coding, read))
            read = self._inflated[-1].feed
        self.feed = read

    @property
    def unreadable(self) -> int:
        """How many messages, or parts of the content, could not be read."""
        events = self._events.unreadable if self._events else self._messages.trouble is not None
        return events + sum(inflated.is_broken for inflated in self._inflated)

    @property
    def may_be_resumed(self) -> bool:
        """Whether it is an event stream that a client can resume with `Last-Event-ID`."""
        return self._events is not None and self._events.has_ids


def _codings(head: ResponseHead) -> list[bytes]:
    """Return the content codings of a response (RFC 9110 section 8.4) without `identity`."""
    named = b",".join(head.fields.all(b"content-encoding")).lower().split(b",")
    return [coding for name in named if (coding := name.strip()) not in {b"", b"identity"}]

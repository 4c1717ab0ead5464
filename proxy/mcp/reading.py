"""Reads the content of a response: undoes its coding and takes its events apart."""

from collections.abc import Callable
from typing import Final

from proxy.http.framing import Payload
from proxy.http.response import ResponseHead
from proxy.mcp.budget import LISTENED, RESPONSE, Budget
from proxy.mcp.codings import CODINGS
from proxy.mcp.event_stream import EventStream
from proxy.mcp.inflated import Inflated
from proxy.mcp.json_stream import JsonStream, Values
from proxy.mcp.lasting.task_messages import TASK_NEWS_PATHS, TASK_NEWS_WORDS
from proxy.mcp.messages import RESPONSE_PATHS, RESPONSE_WORDS

_MAX_CODINGS: Final = 2
"""Each could multiply the work by a thousand."""


class ResponseReading:
    """Reads the JSON-RPC messages in the content of one response."""

    def __init__(
        self, head: ResponseHead, found: Callable[[Values], None], *, listens: bool = False
    ) -> None:
        """Call *found* with each response in the content of the response with *head*.

        *listens* also looks for notifications about tasks.
        """
        self.budget = Budget(LISTENED if listens else RESPONSE)
        paths = RESPONSE_PATHS | TASK_NEWS_PATHS if listens else RESPONSE_PATHS
        words = RESPONSE_WORDS + TASK_NEWS_WORDS if listens else RESPONSE_WORDS
        self._messages = messages = JsonStream(paths, found, self.budget)
        self._events: EventStream | None = None
        if head.is_event_stream:
            self._events = EventStream(messages, self.budget, words)
        self._inflated: list[Inflated] = []
        self._read_piece = self._events.feed if self._events else messages.feed
        read: Payload = self._paid
        self.feed: Payload | None = None
        """Takes the content; None if its content coding is not supported."""
        codings = _codings(head)
        if len(codings) > _MAX_CODINGS or not CODINGS.keys() >= set(codings):
            return
        for coding in codings:  # in the order in which they were applied: the last is undone first
            self._inflated.append(Inflated(coding, read))
            read = self._inflated[-1].feed
        self._read = read
        self.feed = self._feed

    @property
    def unreadable(self) -> int:
        """How many messages, or parts of the content, could not be read."""
        if self.feed is None:
            return 1
        if self._events:
            messages = self._events.unreadable + self.budget.is_used_up
        else:
            messages = int(self._messages.trouble is not None)
        return messages + sum(inflated.is_broken for inflated in self._inflated)

    @property
    def may_be_resumed(self) -> bool:
        """Whether it is an event stream that a client can resume with `Last-Event-ID`."""
        return self._events is not None and self._events.has_ids

    def _feed(self, data: bytes) -> None:
        if not self.budget.is_used_up:
            self._read(data)

    def _paid(self, data: bytes) -> None:
        # To inflate a byte costs as much as to relay one.
        self.budget.grant(len(data))
        self._read_piece(data)


def _codings(head: ResponseHead) -> list[bytes]:
    """Return the content codings of a response (RFC 9110 section 8.4) without `identity`."""
    named = b",".join(head.fields.all(b"content-encoding")).lower().split(b",")
    return [coding for name in named if (coding := name.strip()) not in {b"", b"identity"}]

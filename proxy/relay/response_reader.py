"""Reads the responses of one upstream connection and hands them to a sink. Does no I/O."""

from functools import partial
from typing import Protocol

from proxy.http.errors import ExchangeError, UpstreamBrokeOffError
from proxy.http.fields import FieldParser
from proxy.http.framing import Body, BodyUntilClose, Payload, joined, response_body
from proxy.http.head import HeadReader
from proxy.http.response import (
    SWITCHING_PROTOCOLS,
    ResponseHead,
    check_response_head,
    parsed_response_head,
)


class ResponseSink(Protocol):
    """What receives a response. Every call happens in the event loop and returns at once."""

    __slots__ = ()

    @property
    def may_switch(self) -> bool:
        """Say whether the request asked to change protocols, so that a 101 is a response to it."""

    def interim(self, head: ResponseHead) -> None:
        """Receive a 1xx head; the final one follows."""

    def opened(self, head: ResponseHead, body: Body, *, more_is_here: bool) -> Payload | None:
        """Receive the head; if *body* is complete, nothing else follows.

        *more_is_here* says that the first piece comes next, in the same callback. The callable
        returned, if any, is handed the content of the body without its framing.
        """

    def piece(self, data: bytes, body: Body) -> None:
        """Receive bytes of the body as they were on the wire; the last ones if it is complete."""

    def note_upstream(self, *, is_slow: bool) -> None:
        """Learn whether the upstream takes in less than it is sent."""

    def ended(self) -> None:
        """Learn that a body without an announced end has ended."""

    def failed(self, error: ExchangeError) -> None:
        """Learn that nothing (more) will come."""


class ResponseReader:
    """Turns bytes into the calls of a `ResponseSink`, one response at a time."""

    def __init__(self) -> None:
        self.sink: ResponseSink | None = None
        """What receives the response that is awaited or read; None while none is."""
        self.body: Body | None = None
        """The body that is being read; None before its head and behind its end."""
        self.is_silent = True
        """Nothing of the response has come yet."""
        self.keeps_alive = False
        """Another response may be read behind the last one."""
        self._method = b""
        self._received = b""
        self._payload: Payload | None = None
        self._heads = HeadReader(
            partial(parsed_response_head, parser=FieldParser()), check_response_head
        )

    @property
    def is_reading(self) -> bool:
        """Say whether a response is awaited or read."""
        return self.sink is not None

    def begin(self, method: bytes, sink: ResponseSink) -> None:
        """Hand the response to a request made with *method* to *sink*."""
        self.sink, self._method, self.is_silent = sink, method, True

    def finish(self) -> ResponseSink | None:
        """Hand nothing more to the sink, and return it."""
        sink, self.sink, self.body, self._payload = self.sink, None, None, None
        return sink

    def feed(self, data: bytes) -> bool:
        """Read on; say whether the response has ended.

        Raises UpstreamBrokeOffError and FramingError; then nothing more may be read.
        """
        self.is_silent = False
        if self.body is None:
            self._take_heads(self._received + data if self._received else data)
        else:
            self._take_body(self.body, data)
        return self.sink is None

    def _take_heads(self, received: bytes) -> None:
        assert self.sink is not None
        while (read := self._heads.read(received)) is not None:
            head, end = read
            received = received[end:]
            if not head.is_interim:
                self._received = b""
                self._take_final_head(self.sink, head, has_more=bool(received))
                if received and self.body is not None:
                    self._take_body(self.body, received)
                return
            self.sink.interim(head)
        self._received = received

    def _take_final_head(self, sink: ResponseSink, head: ResponseHead, *, has_more: bool) -> None:
        self.keeps_alive = head.keeps_alive
        body: Body
        if head.status != SWITCHING_PROTOCOLS:
            is_http_10 = head.is_http_10
            body = response_body(self._method, head.status, head.fields, is_http_10=is_http_10)
        elif sink.may_switch:
            body = BodyUntilClose()
        else:
            raise UpstreamBrokeOffError("the upstream changes protocols without being asked")
        if body.is_complete:
            # Extra bytes behind the response: do not reuse the connection.
            self.keeps_alive &= not has_more
            self.finish()
            sink.opened(head, body, more_is_here=False)
        else:
            self.body = body
            self._payload = sink.opened(head, body, more_is_here=has_more)

    def _take_body(self, body: Body, data: bytes) -> None:
        assert self.sink is not None
        sink = self.sink
        contents: list[bytes] = []
        taken = body.take(data, contents.append if self._payload else None)
        if self._payload and contents:
            # Together: what many small chunks cost must not grow with their number.
            self._payload(joined(contents))
        if not body.is_complete:
            sink.piece(data, body)
            return
        self.finish()
        if taken < len(data):
            # Extra bytes behind the response: do not reuse the connection.
            self.keeps_alive = False
            data = data[:taken]
        sink.piece(data, body)

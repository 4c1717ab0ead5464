"""One connection to the upstream, carrying one exchange at a time."""

import asyncio
import select
from typing import Protocol, cast

from proxy.http.errors import (
    UpstreamBrokeOffError,
    UpstreamError,
    UpstreamTimedOutError,
    UpstreamUnreachableError,
)
from proxy.http.framing import Body, BodyUntilClose, FramingError, Payload, response_body
from proxy.http.response import SWITCHING_PROTOCOLS, HeadReader, ResponseHead
from proxy.relay.keepalive import keep_alive


class ResponseSink(Protocol):
    """Who receives an answer. Every call happens in the event loop and returns at once."""

    @property
    def may_switch(self) -> bool:
        """Say whether the request asked to change protocols, so that a 101 is an answer to it."""

    def interim(self, head: ResponseHead) -> None:
        """Receive a 1xx head; the real one follows."""

    def opened(self, head: ResponseHead, body: Body, *, more_is_here: bool) -> Payload | None:
        """Receive the head; if *body* is complete, nothing else follows.

        *more_is_here* says that the first piece comes next, before anything else happens.
        The callback returned, if any, is handed the content of the body without its framing.
        """

    def piece(self, data: bytes, body: Body) -> None:
        """Receive bytes of the body as they were on the wire; the last ones if it is complete."""

    def upstream_is_slow(self) -> None:
        """Learn that the upstream takes in less than it is sent."""

    def upstream_goes_on(self) -> None:
        """Learn that it has taken in what it was sent."""

    def ended(self) -> None:
        """Learn that a body without an announced end has ended."""

    def failed(self, error: UpstreamError) -> None:
        """Learn that nothing (more) will come."""


class UpstreamConnection(asyncio.Protocol):
    """Sends requests as bytes and hands the answers to a sink.

    `request_was_sent` must be called when the last byte of a request has been written:
    only after that and the end of the answer may the connection take another exchange.
    """

    def __init__(self, answer_timeout_seconds: float) -> None:
        """Give the upstream *answer_timeout_seconds* to begin an answer once asked."""
        self.idle_since = 0.0
        self.is_open = False
        self._loop = asyncio.get_running_loop()
        self._response_timeout_seconds = answer_timeout_seconds
        self._response_is_due = 0.0  # in loop time; 0 while none is owed
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._news = select.poll()
        self._sink: ResponseSink | None = None
        self._method = b""
        self._head = HeadReader()
        self._body: Body | None = None
        self._payload: Payload | None = None
        self._has_served = False
        self._keeps_alive = False
        self._request_is_sent = False
        self._is_silent = True
        self._is_paused = False
        self._room: asyncio.Event | None = None
        """What tells that the upstream takes in more; None while it does."""

    # One exchange

    def begin(self, method: bytes, sink: ResponseSink) -> None:
        """Start an exchange: what is sent from now on is its request; *sink* gets the answer."""
        self._sink, self._method = sink, method
        self._request_is_sent = False
        self._is_silent = True

    def send(self, data: bytes) -> None:
        """Send a piece of the request, or of a tunnel. No effect once the connection has ended."""
        if self.is_open:
            self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the upstream has taken in what was sent, or has gone.

        Raises UpstreamTimedOutError if it takes nothing for as long as an answer may take.
        """
        if (room := self._room) is None:
            return
        try:
            async with asyncio.timeout(self._response_timeout_seconds):
                await room.wait()
        except TimeoutError as error:
            raise UpstreamTimedOutError("the upstream does not read the request") from error

    def request_was_sent(self) -> None:
        """Learn that the request is complete; from now on the upstream owes an answer."""
        self._request_is_sent = True
        if self._sink is not None and self._body is None:
            self._response_is_due = self._loop.time() + self._response_timeout_seconds
            if self._timer is None:
                self._timer = self._loop.call_at(self._response_is_due, self._look_at_the_time)

    @property
    def is_reusable(self) -> bool:
        """Say whether another exchange may begin: the last one was complete on both sides."""
        return self.is_open and self._sink is None and self._request_is_sent and self._keeps_alive

    def pause(self) -> None:
        """Take in nothing more: the client is slower than the upstream."""
        # Once the answer is here, its last piece may still pause the client. That must not pause
        # a connection which may have been kept for somebody else by then.
        if self.is_open and not self._is_paused and self._sink is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on taking in."""
        if self.is_open and self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """End the connection, and what the upstream is doing, at once. The sink hears nothing."""
        self._finish()
        if self.is_open and not self._transport.is_closing():
            self._transport.abort()

    def end_sending(self) -> None:
        """Pass on that the client sends nothing more through a tunnel."""
        if self.is_open and self._transport.can_write_eof():
            self._transport.write_eof()
        else:  # TLS knows no half of an end
            self.close()

    def close(self) -> None:
        """End the connection when what was sent has gone out. The sink hears nothing."""
        self._finish()
        if self.is_open:
            self._transport.close()

    def has_unread_news(self) -> bool:
        """Say whether something has arrived that the event loop has not read: the end, mostly."""
        return self._transport.is_closing() or bool(self._news.poll(0))

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._news.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        keep_alive(transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Hand an answer on; distrust whatever comes without having been asked for."""
        try:
            if self._sink is None:
                self._transport.abort()
            elif self._body is None:
                self._take_heads(self._sink, data)
            else:
                self._take_body(self._sink, self._body, data)
        except (UpstreamBrokeOffError, FramingError) as error:
            self._transport.abort()
            self._fail(UpstreamBrokeOffError(str(error)))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the sink, unless the answer was complete."""
        self.is_open = False
        self._make_room()
        if self._timer is not None:
            self._timer.cancel()
        if self._body is not None and self._body.ends_at_close and exc is None:
            if sink := self._finish():
                sink.ended()
        elif self._body is not None:
            self._fail(UpstreamBrokeOffError("the upstream broke off in the middle of an answer"))
        elif self._is_silent:
            self._fail(
                UpstreamUnreachableError(
                    "the upstream closed the connection without an answer",
                    on_kept_connection=self._has_served,
                )
            )
        else:
            self._fail(UpstreamBrokeOffError("the upstream broke off before its answer began"))

    def pause_writing(self) -> None:
        """Hold the request back: the upstream is slower than the client."""
        self._room = asyncio.Event()
        if self._sink is not None:
            self._sink.upstream_is_slow()

    def resume_writing(self) -> None:
        """Let the request go on."""
        self._make_room()
        if self._sink is not None:
            self._sink.upstream_goes_on()

    def _make_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None

    # Reading an answer

    def _take_heads(self, sink: ResponseSink, data: bytes) -> None:
        self._is_silent = False
        while (read := self._head.feed(data)) is not None:
            head, data = read
            if not head.is_interim:
                self._take_final_head(sink, head, has_more=bool(data))
                if data and self._body is not None:
                    self.data_received(data)
                return
            sink.interim(head)

    def _take_final_head(self, sink: ResponseSink, head: ResponseHead, *, has_more: bool) -> None:
        self._response_is_due = 0.0
        self._keeps_alive = head.keeps_alive
        is_switch = head.status == SWITCHING_PROTOCOLS
        if is_switch and not sink.may_switch:
            raise UpstreamBrokeOffError("the upstream changes protocols without being asked")
        body: Body = (
            BodyUntilClose()
            if is_switch
            else response_body(self._method, head.status, head.fields, is_http_10=head.is_http_10)
        )
        if body.is_complete:
            # More than was announced: whose answer that is, nobody knows.
            self._keeps_alive &= not has_more
            self._finish()
            sink.opened(head, body, more_is_here=False)
        else:
            self._body = body
            self._payload = sink.opened(head, body, more_is_here=has_more)

    def _take_body(self, sink: ResponseSink, body: Body, data: bytes) -> None:
        taken = body.take(data, self._payload)
        if not body.is_complete:
            sink.piece(data, body)
            return
        self._finish()
        if taken < len(data):
            # More than was announced: whose answer that is, nobody knows.
            self._keeps_alive = False
            data = data[:taken]
        sink.piece(data, body)

    def _finish(self) -> ResponseSink | None:
        sink, self._sink, self._body, self._payload = self._sink, None, None, None
        self._has_served = True
        self._response_is_due = 0.0
        self.resume()
        return sink

    def _fail(self, error: UpstreamError) -> None:
        if sink := self._finish():
            sink.failed(error)

    def _look_at_the_time(self) -> None:
        """Give up an answer that is overdue.

        The timer outlives exchanges and looks for the one that goes on: to start and stop one for
        each would cost more than the rest of this class.
        """
        self._timer = None
        if not self._response_is_due:
            return
        if self._loop.time() < self._response_is_due:
            self._timer = self._loop.call_at(self._response_is_due, self._look_at_the_time)
            return
        self._transport.abort()
        self._fail(UpstreamTimedOutError("the upstream did not answer in time"))

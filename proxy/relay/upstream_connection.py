"""One connection to the upstream, carrying one exchange at a time.

Theory of operation. `begin` names the sink of the response, `send` writes the request as it comes,
and `request_was_sent` says that it is complete. Bytes of the upstream go through a
`ResponseReader` to the sink. Between exchanges there is no sink, and whatever arrives then ends
the connection: the next client must not take it for its response. The connection may carry another
exchange only when the last one was complete in both directions. A deadline runs while the upstream
owes the beginning of a response, and while it does not read the request.
"""

import asyncio
from typing import cast

from proxy.http.errors import (
    UpstreamBrokeOffError,
    UpstreamError,
    UpstreamTimedOutError,
    UpstreamUnreachableError,
)
from proxy.http.framing import FramingError
from proxy.relay.deadline import Deadline
from proxy.relay.flow import Flow
from proxy.relay.response_reader import ResponseReader, ResponseSink
from proxy.relay.sockets import acknowledge, keep_alive
from proxy.relay.unread import Unread


class UpstreamConnection(asyncio.Protocol):
    """Sends requests as bytes and hands the responses to a sink.

    `request_was_sent` must be called when the last byte of a request has been written:
    only after that and the end of the response may the connection take another exchange.
    """

    def __init__(self, response_timeout_seconds: float) -> None:
        """Give the upstream *response_timeout_seconds* to begin a response, or to read on."""
        self.idle_since = 0.0
        self.is_open = False
        self.unread: Unread
        self._flow: Flow
        self._reader = ResponseReader()
        self._deadline = Deadline(response_timeout_seconds, self._give_up)
        self._exchanges = 0
        self._request_is_sent = False
        self._has_said_end = False

    # One exchange

    def begin(self, method: bytes, sink: ResponseSink) -> None:
        """Start an exchange: what is sent from now on is its request; *sink* gets the response."""
        self._exchanges += 1
        self._request_is_sent = False
        self._reader.begin(method, sink)
        if not self._flow.is_reading:  # asked here: most calls find it reading
            self.resume()

    def send(self, data: bytes, *more: bytes) -> None:
        """Send pieces of the request, or of a tunnel. No effect once the connection has ended."""
        if self.is_open:
            self._flow.write(data, *more)

    def request_was_sent(self) -> None:
        """Learn that the request is complete; from now on the upstream owes a response."""
        self._request_is_sent = True
        if self._reader.sink is not None and self._reader.body is None:
            self._deadline.start()
        else:
            self._deadline.clear()

    @property
    def is_reusable(self) -> bool:
        """Say whether another exchange may begin: the last one was complete on both sides."""
        reader = self._reader
        is_free = self.is_open and reader.sink is None and not self._flow.transport.is_closing()
        return is_free and self._request_is_sent and reader.keeps_alive

    def pause(self) -> None:
        """Take in nothing more: the client is slower than the upstream."""
        # The last piece of a response may still pause the client. That must not pause a connection
        # which may serve another client by then.
        if self._reader.is_reading and self.is_open:
            self._flow.read(on=False)

    def resume(self) -> None:
        """Go on taking in."""
        if self.is_open:
            self._flow.read(on=True)

    def abort(self) -> None:
        """End the connection, and what the upstream is doing, at once. The sink hears nothing."""
        self._finish()
        if self.is_open:
            self._flow.cut()

    def end_sending(self) -> None:
        """Pass on that the client sends nothing more through a tunnel.

        Over TLS, or once the upstream ends as well, that ends both directions. The sink learns of
        the end when the connection is lost, as of any other.
        """
        if self.is_open and not self._flow.end():
            self._has_said_end = True  # what is lost by this end is the client's wish
            self._flow.transport.close()

    def close(self) -> None:
        """End the connection when what was sent has gone out. The sink hears nothing."""
        self._finish()
        if self.is_open:
            self._flow.transport.close()

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._flow = Flow(cast("asyncio.Transport", transport))
        self.unread = Unread(self._flow.transport)
        keep_alive(transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Hand a response on; end the connection on bytes that belong to none."""
        reader = self._reader
        if reader.sink is None:
            self._flow.cut()
            return
        if not self._request_is_sent:  # this may be the first part of a refusal
            acknowledge(self._flow.transport)
        try:
            has_ended = reader.feed(data)
        except (UpstreamBrokeOffError, FramingError) as error:
            self._flow.cut()
            self._fail(UpstreamBrokeOffError(str(error)))
            return
        if has_ended:
            self._finish()
        elif reader.body is not None and self._request_is_sent:
            self._deadline.clear()

    def eof_received(self) -> None:
        """Learn that the upstream ends its stream; over TLS, by a close_notify.

        RFC 8446 section 6.1: without that alert the stream may have been truncated. The TLS layer
        then reports that the connection is lost, and no end.
        """
        self._has_said_end = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the sink, unless the response was complete."""
        self.is_open = False
        if exc is not None and self._reader.is_reading and (rest := self._flow.rest()):
            self.data_received(rest)  # a response that came before the end of the request
        self._deadline.end()
        body = self._reader.body
        if body is not None and body.ends_at_close and exc is None and self._has_said_end:
            if sink := self._finish():
                sink.ended()
        elif body is not None:
            self._fail(UpstreamBrokeOffError("the upstream broke off in the middle of a response"))
        elif self._reader.is_silent:
            self._fail(
                UpstreamUnreachableError(
                    "the upstream closed the connection without a response",
                    on_kept_connection=self._exchanges > 1,
                )
            )
        else:
            self._fail(UpstreamBrokeOffError("the upstream broke off before its response began"))

    def pause_writing(self) -> None:
        """Hold the request back: the upstream is slower than the client."""
        if self._reader.sink is not None:
            if not self._request_is_sent:
                self._deadline.start()
            self._reader.sink.note_upstream(is_slow=True)

    def resume_writing(self) -> None:
        """Let the request go on."""
        if self._reader.sink is not None:
            if not self._request_is_sent:
                self._deadline.clear()
            self._reader.sink.note_upstream(is_slow=False)

    # Its end

    def _finish(self) -> ResponseSink | None:
        sink = self._reader.finish()
        self._deadline.clear()
        if not self._flow.is_reading:
            self.resume()
        return sink

    def _fail(self, error: UpstreamError) -> None:
        if sink := self._finish():
            sink.failed(error)

    def _give_up(self) -> None:
        """Give up an upstream that does not respond, or does not read."""
        self._flow.cut()
        reason = (
            "did not respond in time" if self._request_is_sent else "does not read the request"
        )
        self._fail(UpstreamTimedOutError(f"the upstream {reason}"))

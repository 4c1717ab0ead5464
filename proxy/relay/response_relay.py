"""One response on its way to the client: the mirror image of `request_relay`.

Theory of operation. The upstream's connection calls `interim`, `opened`, `piece` and `ended`, or
`failed`; each writes to the client at once. The exchange is recorded before the client has the
last byte: a client that was answered is in the journal, even if the sidecar is killed right after.
A response that breaks off once its head was sent ends in a cut connection, so that the client
cannot take it for a complete one.
"""

from typing import Final, Protocol

from audit_log.record import Outcome
from proxy.audit.exchange import Exchange
from proxy.http.errors import ExchangeError
from proxy.http.fields import field_lines
from proxy.http.forwarding import (
    response_lines,
    switched_fields,
    unchunked_response_fields,
    upgrade_of,
)
from proxy.http.framing import Body, ChunkedBody, Payload
from proxy.http.request import RequestHead
from proxy.http.response import SWITCHING_PROTOCOLS, ResponseHead
from proxy.relay.flow import Flow
from proxy.relay.response_reader import ResponseSink
from proxy.relay.upstream_connection import UpstreamConnection

# Until Python 3.12 a member of an enum is looked up by a Python function.
_COMPLETED: Final = Outcome.COMPLETED


class OtherDirection(Protocol):
    """The request of the same exchange, as far as its response needs it."""

    __slots__ = ()

    def note_upstream(self, *, is_slow: bool) -> None:
        """Learn whether the upstream takes in less than it is sent."""

    def switch(self) -> None:
        """Pass on whatever the client sends from now on, as it is."""

    def finished(self, error: ExchangeError | None) -> None:
        """Learn, once, that the response has ended, or why it cannot begin."""


class ResponseRelay(ResponseSink):
    """Brings one response back, in the framing it came in."""

    __slots__ = (
        "_client",
        "_ends_at_close",
        "_head",
        "_held",
        "_is_done",
        "_is_tunnel",
        "_request",
        "_unchunks",
        "connection",
        "exchange",
        "keeps_alive",
        "status",
    )

    def __init__(
        self,
        head: RequestHead,
        exchange: Exchange,
        client: Flow,
        connection: UpstreamConnection,
        request: OtherDirection,
    ) -> None:
        """Write to *client* what *connection* responds to the request *head*."""
        self.status: int | None = None
        """What the client was sent; None while nothing was."""
        self.keeps_alive = head.keeps_alive
        """Another request may follow on the client's connection."""
        self.connection = connection
        self.exchange = exchange
        self._head = head
        self._client = client
        self._request = request
        self._is_done = False
        self._is_tunnel = False
        self._unchunks = False
        self._ends_at_close = False
        self._held = b""

    @property
    def may_switch(self) -> bool:
        """Say whether the request asked to change protocols, so that a 101 is a response to it."""
        return upgrade_of(self._head.fields) is not None

    # The client's side

    def begin(self) -> None:
        """Start the exchange on the upstream's connection."""
        self.connection.begin(self._head.method, self)
        if not self._client.may_write:  # the response before this one is still being read
            self.connection.pause()

    def note_client(self, *, is_slow: bool) -> None:
        """Take in no more of the response than the client does."""
        if is_slow:
            self.connection.pause()
        else:
            self.connection.resume()

    # The upstream's side: a ResponseSink

    def note_upstream(self, *, is_slow: bool) -> None:
        """Take in no more of the request than the upstream does."""
        self._request.note_upstream(is_slow=is_slow)

    def interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on; HTTP/1.0 has none (RFC 9110 section 15.2)."""
        if not self._head.is_http_10:
            self._client.write(head.wire)

    def opened(self, head: ResponseHead, body: Body, *, more_is_here: bool) -> Payload | None:
        """Send the head at once, for a stream may stay silent for minutes.

        With *more_is_here* it is sent together with the first piece of the body, which follows
        in the same callback.
        """
        self._unchunks = self._head.is_http_10 and isinstance(body, ChunkedBody)
        self._is_tunnel = head.status == SWITCHING_PROTOCOLS
        self._ends_at_close = body.ends_at_close or self._unchunks
        self.keeps_alive &= not self._ends_at_close
        self.status = head.status
        observer = self.exchange.response_opened(head)
        if self._is_tunnel or head.is_event_stream:
            self.exchange.end(Outcome.STREAMING, head.status)
        elif body.is_complete:
            self.exchange.end(_COMPLETED, head.status)
        plain = self.keeps_alive and not self._is_tunnel and not self._head.is_http_10
        start = head.wire if plain else self._other_start(head)
        if more_is_here and not self._unchunks:
            self._held = start
        else:
            self._client.write(start)
        if self._is_tunnel:
            self._request.switch()
        elif body.is_complete:
            self._finish()
        return self._content(observer) if self._unchunks else observer

    def piece(self, data: bytes, body: Body) -> None:
        """Pass a piece of the body on, in the framing it came in."""
        if body.is_complete:
            self.exchange.end(_COMPLETED, self.status or 0)
        if self._held:
            data, self._held = self._held + data, b""
        if not self._unchunks:
            self._client.write(data)
        if body.is_complete:
            self._finish()

    def ended(self) -> None:
        """Record a response that only the end of the connection ended."""
        self.exchange.end(_COMPLETED, self.status or 0)
        self._finish()

    def failed(self, error: ExchangeError) -> None:
        """End the exchange: by *error*, or by a cut connection once the head was sent."""
        if self._is_done:
            return
        # Nothing of the response may be written any more, should it come after all.
        self.connection.abort()
        if self.status is None:
            self._finish(error)
            return
        if self._held:  # what came with the head was no body
            self._client.write(self._held)
        self.exchange.end(error.outcome, self.status)
        self.keeps_alive = False
        if not self._is_tunnel:  # whose protocol has an end of its own; the last words must arrive
            self._client.cut(by_reset=self._ends_at_close)
        self._finish()

    def _content(self, observer: Payload | None) -> Payload:
        """Return what the content of an unchunked response is to be handed to."""
        if observer is None:
            return self._client.write

        def observed(content: bytes) -> None:
            observer(content)
            self._client.write(content)

        return observed

    def _other_start(self, head: ResponseHead) -> bytes:
        """Return the head as a client is sent it that does not just keep its connection."""
        return head.status_line + self._field_lines(head)

    def _field_lines(self, head: ResponseHead) -> bytes:
        if self._is_tunnel:
            return field_lines(switched_fields(head.fields)) + b"\r\n"
        if self._unchunks:
            lines = field_lines(unchunked_response_fields(head.fields))
        else:
            lines = response_lines(head.fields)
        if not self.keeps_alive:
            return lines + b"Connection: close\r\n\r\n"
        return lines + (b"Connection: keep-alive\r\n\r\n" if self._head.is_http_10 else b"\r\n")

    def _finish(self, error: ExchangeError | None = None) -> None:
        self._is_done = True
        self._request.finished(error)

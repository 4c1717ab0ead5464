"""The way back: an answer of the upstream, written to the client as it comes."""

from collections.abc import Callable
from typing import Protocol

from audit_log.record import Outcome
from proxy.audit.exchange import Exchange
from proxy.http.errors import ExchangeError
from proxy.http.fields import Fields, field_lines
from proxy.http.forwarding import (
    response_fields,
    switched_fields,
    unchunked_response_fields,
    upgrade_of,
)
from proxy.http.framing import Body, ChunkedBody, Payload
from proxy.http.request import RequestHead
from proxy.http.response import SWITCHING_PROTOCOLS, ResponseHead
from proxy.relay.upstream_connection import UpstreamConnection

Finished = Callable[[ExchangeError | None], None]
"""Called once when the answer has ended, or with what kept it from beginning."""


class Tunnel:
    """What a client sends after a change of protocols, on its way upstream."""

    def __init__(self, connection: UpstreamConnection, exchange: Exchange) -> None:
        self._connection = connection
        self._exchange = exchange

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Pass *data* on; say that there will be more, and that nothing is left of it."""
        self._exchange.request_content(data)
        self._connection.send(data)
        return False, b""

    def feed_eof(self) -> None:
        """End the upstream's side after what was sent: the client has gone."""
        self._connection.close()

    def end_sending(self) -> None:
        """Pass on that the client sends nothing more, but still listens."""
        self._connection.end_sending()


class Client(Protocol):
    """The client's connection, as far as an answer needs it."""

    relay: "Relay | None"

    @property
    def writing_paused(self) -> bool:
        """Say whether the client is behind with what it was sent."""

    def send(self, data: bytes) -> None:
        """Send *data*; without effect once the client has gone."""

    def pause_transport(self) -> None:
        """Take in nothing more from the client."""

    def resume_transport(self) -> None:
        """Go on taking in."""

    def cut(self, *, by_reset: bool) -> None:
        """End the connection at once; *by_reset* where a mere end would look like a good one."""

    def switch(self, tunnel: Tunnel) -> None:
        """Hand whatever the client sends from now on to *tunnel*."""


class Relay:
    """Brings one answer back. Its exchange is recorded before the client has the last byte.

    So whoever was answered is in the journal, even if we are killed right after.
    """

    def __init__(
        self,
        head: RequestHead,
        exchange: Exchange,
        client: Client,
        connection: UpstreamConnection,
        finished: Finished,
    ) -> None:
        """Answer the request *head* to *client* with what *connection* brings."""
        self.status: int | None = None
        """What the client was sent; None while nothing was."""
        self.keeps_alive = head.keeps_alive
        """Another request may follow on the client's connection."""
        self.may_switch = head.fields.derived(upgrade_of) is not None
        self.connection = connection
        self._head = head
        self.exchange = exchange
        self._client = client
        self._finished = finished
        self._is_done = False
        self._is_tunnel = False
        self._unchunks = False
        self._ends_at_close = False
        self._held = b""

    # The client's side

    def begin(self) -> None:
        """Start the exchange on the upstream's connection."""
        self._client.relay = self
        self.connection.begin(self._head.method, self)
        if self._client.writing_paused:  # by the answer before this one
            self.connection.pause()

    def client_is_slow(self) -> None:
        """Take in no more of the answer than the client does."""
        self.connection.pause()

    def client_goes_on(self) -> None:
        """Go on where `client_is_slow` had stopped."""
        self.connection.resume()

    # The upstream's side: an ResponseSink

    def interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on; HTTP/1.0 knows none (RFC 9110 section 15.2)."""
        if not self._head.is_http_10:
            self._write(b"%b%b\r\n" % (_status_line(head), head.fields.derived(_response_lines)))

    def opened(self, head: ResponseHead, body: Body, *, more_is_here: bool) -> Payload | None:
        """Send the head at once, for a stream may stay silent for minutes.

        Together with the piece of the body that *more_is_here* tells of: it comes right after.
        """
        self._unchunks = self._head.is_http_10 and isinstance(body, ChunkedBody)
        self._is_tunnel = head.status == SWITCHING_PROTOCOLS
        self._ends_at_close = body.ends_at_close or self._unchunks
        self.keeps_alive &= not self._ends_at_close
        self.status = head.status
        watch = self.exchange.response_opened(head)
        if self._is_tunnel or head.is_event_stream:
            self.exchange.end(Outcome.STREAMING, head.status)
        elif body.is_complete:
            self.exchange.end(Outcome.COMPLETED, head.status)
        start = _status_line(head) + self._field_lines(head)
        if more_is_here and not self._unchunks:
            self._held = start
        else:
            self._write(start)
        if self._is_tunnel:
            self._client.switch(Tunnel(self.connection, self.exchange))
        elif body.is_complete:
            self._finish()
        return self._content(watch)

    def piece(self, data: bytes, body: Body) -> None:
        """Pass a piece of the body on, in the framing it came in."""
        if body.is_complete:
            self.exchange.end(Outcome.COMPLETED, self.status or 0)
        if self._held:
            data, self._held = self._held + data, b""
        if not self._unchunks:
            self._write(data)
        if body.is_complete:
            self._finish()

    def upstream_is_slow(self) -> None:
        """Take in no more of a tunnel than the upstream does; a body waits by itself."""
        if self._is_tunnel:
            self._client.pause_transport()

    def upstream_goes_on(self) -> None:
        """Go on where `upstream_is_slow` had stopped."""
        if self._is_tunnel:
            self._client.resume_transport()

    def ended(self) -> None:
        """Record an answer that only the end of the connection ended."""
        self.exchange.end(Outcome.COMPLETED, self.status or 0)
        self._finish()

    def failed(self, error: ExchangeError) -> None:
        """Let the client see a cut connection rather than a short but complete looking answer."""
        if self._is_done:
            return
        # Nothing of the answer may be written any more, should it come after all.
        self.connection.abort()
        if self.status is None:
            self._finish(error)
            return
        if self._held:  # what came with the head was no body
            self._write(self._held)
        self.exchange.end(error.outcome, self.status)
        self.keeps_alive = False
        self._client.cut(by_reset=self._ends_at_close)
        self._finish()

    def _content(self, watch: Payload | None) -> Payload | None:
        """Return what the content of the answer is to be handed to."""
        if not self._unchunks:
            return watch
        if watch is None:
            return self._write

        def watched(content: bytes) -> None:
            watch(content)
            self._write(content)

        return watched

    def _field_lines(self, head: ResponseHead) -> bytes:
        if self._is_tunnel:
            return field_lines(switched_fields(head.fields)) + b"\r\n"
        if self._unchunks:
            lines = field_lines(unchunked_response_fields(head.fields))
        else:
            lines = head.fields.derived(_response_lines)
        if not self.keeps_alive:
            return lines + b"Connection: close\r\n\r\n"
        return lines + (b"Connection: keep-alive\r\n\r\n" if self._head.is_http_10 else b"\r\n")

    def _write(self, data: bytes) -> None:
        self._client.send(data)

    def _finish(self, error: ExchangeError | None = None) -> None:
        self._is_done = True
        self._finished(error)


def _status_line(head: ResponseHead) -> bytes:
    return b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason)


def _response_lines(fields: Fields) -> bytes:
    return field_lines(response_fields(fields))

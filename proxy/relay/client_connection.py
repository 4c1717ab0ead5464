"""A client's connection: requests in their order, one exchange at a time.

Theory of operation. Everything happens in callbacks of the event loop. `data_received` appends to
`received`, and `go_on` takes from its start what the state allows: a head (IDLE, HEAD), or content
of the request that has begun (FORWARDING, RESPONDED, TUNNEL). A complete head becomes a `Plan` and
a `RequestRelay`, which owns the exchange until it calls `respond` or `finish`. The client is
paused while the upstream is slower, and while more than MAX_AHEAD_BYTES wait, so memory stays
bounded. `states.py` says what may follow what; `enter` alone changes the state.

A connection that takes no further request says FAREWELL (`Flow.say_farewell`).
"""

import asyncio
import re
from typing import Final, Protocol, cast

from audit_log.record import Outcome
from proxy.audit.exchange import STATUS_CLIENT_CLOSED, STATUS_UNKNOWN
from proxy.http.errors import ExchangeError, RefusedError
from proxy.http.fields import FieldParser
from proxy.http.framing import FramingError
from proxy.http.head import HeadReader
from proxy.http.own_response import response_to
from proxy.http.request import check_head, parsed_head
from proxy.relay.client_limit import ClientLimit
from proxy.relay.flow import Flow
from proxy.relay.plan import Plan, Service
from proxy.relay.request_relay import Client, RequestRelay
from proxy.relay.sockets import keep_alive, peer_of
from proxy.relay.states import (
    ENDED,
    FAREWELL,
    HEAD,
    IDLE,
    IS_IDLE,
    MAY_FOLLOW,
    READS_CONTENT,
    READS_HEADS,
    RESPONDED,
    TUNNEL,
    WAITING,
    State,
)

MAX_AHEAD_BYTES: Final = 65_536
"""What a client may send before it can be passed on; then it is paused."""
_EMPTY_LINES: Final = re.compile(rb"\A(?:\r\n)+")


class Port(Protocol):
    """The connections of one port, as far as one of them needs the others."""

    service: Service
    clients: ClientLimit
    is_stopping: bool

    def made(self, connection: "ClientConnection") -> None:
        """Learn of a new connection."""

    def lost(self, connection: "ClientConnection") -> None:
        """Learn that a connection has ended."""


class ClientConnection(asyncio.Protocol, Client):
    """One client connection; responses keep the order of their requests."""

    def __init__(self, port: Port) -> None:
        """Serve the requests of one client of *port*."""
        self.flow: Flow
        self.received = b""
        """Bytes of the client that are not taken yet."""
        self.idle_since = 0.0
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._heads: HeadReader[Plan]
        self._state = IDLE
        self._request: RequestRelay | None = None

    @property
    def is_idle(self) -> bool:
        """Say whether no response is owed."""
        return self._state in IS_IDLE

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn who the peer is, once per connection."""
        self.flow = Flow(cast("asyncio.Transport", transport))
        service = self._port.service
        peer, fields = peer_of(transport, service.trusted), FieldParser()
        self._heads = HeadReader(
            lambda raw: service.plan(parsed_head(raw, fields), peer), check_head
        )
        keep_alive(transport)
        self.idle_since = self._loop.time()
        self._port.made(self)

    def data_received(self, data: bytes) -> None:
        """Take what can be taken now."""
        if self._state is not FAREWELL:
            self.received = self.received + data if self.received else data
            self.go_on()

    def eof_received(self) -> bool:
        """Keep the other direction of a tunnel open; without one the client has hung up."""
        if self._state is not TUNNEL or self._request is None:
            return False
        self._request.end_sending()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange at once: its client has hung up."""
        self.flow.ended()
        if exc is not None and self._state is TUNNEL:
            self.received += self.flow.rest()
        self._give_up(Outcome.CLIENT_CLOSED, STATUS_CLIENT_CLOSED)
        self.enter(ENDED)
        self._port.lost(self)

    def pause_writing(self) -> None:
        """Pause the response: the client reads less than it is sent."""
        self.flow.may_write = False
        if self._request is not None:
            self._request.note_client(is_slow=True)

    def resume_writing(self) -> None:
        """Go on with the response, or with the next request."""
        self.flow.may_write = True
        if self._request is not None:
            self._request.note_client(is_slow=False)
        self._loop.call_soon(self.go_on)

    # Called by the relays

    def enter(self, state: State) -> None:
        """Be in *state* from now on."""
        assert state in MAY_FOLLOW[self._state], f"{state} may not follow {self._state}"
        self._state = state

    def go_on(self) -> None:
        """Take all that can be taken now; pause the client while it is too far ahead."""
        while self.received and self._takes_something():
            pass
        is_too_far_ahead = bool(self.received) and self._is_too_far_ahead()
        if self.flow.is_reading is is_too_far_ahead:
            self.flow.read(on=not is_too_far_ahead)

    def respond(self, error: ExchangeError) -> None:
        """Send the response that *error* carries, without waiting for the request's body."""
        assert self._request is not None
        head = self._request.plan.head
        keeps_alive = head.goes_on_after_refusal
        self.flow.write(response_to(error, keeps_alive=keeps_alive, method=head.method))
        self.finish(keeps_alive=keeps_alive)

    def finish(self, *, keeps_alive: bool) -> None:
        """Go on to the next request, or end the connection if it does not *keeps_alive*."""
        assert self._request is not None
        self.idle_since = self._loop.time()
        self._port.clients.served(self)
        if not keeps_alive or self._port.is_stopping:
            self._say_farewell()
            return
        if self._request.body.is_complete:
            self._request = None
            self.enter(IDLE)
        else:
            self.enter(RESPONDED)
        if self.received or not self.flow.is_reading:
            # Not at once: a client that sends ahead must not make us recurse, or delay others.
            self._loop.call_soon(self.go_on)

    # Called by the server

    def make_room(self) -> None:
        """End the connection at once; no response is owed."""
        self.flow.transport.abort()

    def stop(self) -> None:
        """End the connection if no response is owed; else `finish` will."""
        if self._state is RESPONDED:  # to close on unread bytes could lose the response
            self._say_farewell()
        elif self.is_idle and self.flow.is_closing:  # the client does not read what is left
            self.flow.transport.abort()
        elif self.is_idle:
            self.flow.transport.close()

    def stop_now(self) -> None:
        """End the connection: the time to stop is over."""
        self._give_up(Outcome.INTERRUPTED, STATUS_UNKNOWN)
        self.flow.cut()

    # Requests in their order

    def _is_too_far_ahead(self) -> bool:
        if self._request is None:
            return not self.flow.may_write and len(self.received) > MAX_AHEAD_BYTES
        return self._request.upstream_is_slow or len(self.received) > MAX_AHEAD_BYTES

    def _takes_something(self) -> bool:
        """Take a head or content off what was received; say whether there was any."""
        if self._state in READS_HEADS:
            # A client that does not read its responses gets no more of them.
            flow = self.flow
            return flow.may_write and not flow.transport.is_closing() and self._takes_head()
        if self._state not in READS_CONTENT or self._request is None:
            return False
        try:
            has_taken = self._request.takes_content()
        except FramingError:  # behind a response that has ended
            self._say_farewell()
            return False
        if self._state is RESPONDED and self._request.body.is_complete:
            self.idle_since = self._loop.time()
            self._request = None
            self.enter(IDLE)
        return has_taken

    def _takes_head(self) -> bool:
        # RFC 9112 section 2.2: some clients send an empty line behind a request.
        if self.received.startswith(b"\r\n"):
            self.received = _EMPTY_LINES.sub(b"", self.received, 1)
        try:
            read = self._heads.read(self.received)
        except RefusedError as refusal:
            self.flow.write(response_to(refusal, keeps_alive=False))
            self._say_farewell()
            return False
        if read is None:
            if self._state is IDLE and self.received:
                self.enter(HEAD)
            return False
        plan, end = read
        self.received = self.received[end:]
        self.enter(WAITING)
        self._port.clients.begun(self)
        self._request = RequestRelay(plan, self, self._port.service)
        self._request.begin()
        return True

    def _say_farewell(self) -> None:
        """Send nothing more, and discard what still comes."""
        self.enter(FAREWELL)
        self.received, self._request = b"", None
        self.flow.say_farewell()

    def _give_up(self, outcome: Outcome, status: int) -> None:
        """End the exchange, and with it what the upstream does for it."""
        if self._request is not None:
            self._request.give_up(outcome, status, after_sent=self._state is TUNNEL)
            self._request = None

"""The express lane: ordinary requests, relayed without a task and without a web framework.

A request is ordinary when it is complete in what has been read so far, asks for no change of
protocols and expects no interim answer. Any other is handed to the general lane, before a byte of
it has gone upstream, and its connection with it. What is decided (admission, header policy,
outcome, record) is decided by the same code in both lanes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import msgspec

from audit_log.record import Outcome
from proxy.admission import Admission, Call
from proxy.audit.exchange import STATUS_CLIENT_CLOSED, STATUS_UNKNOWN, Exchange
from proxy.http.errors import ExchangeError, RefusedError, UpstreamUnreachableError
from proxy.http.fields import Fields, field_lines
from proxy.http.forwarding import upgrade_of
from proxy.http.own_response import response_to
from proxy.http.peers import Peer
from proxy.http.request import HeadParser, RequestHead
from proxy.relay.handler import HeaderPolicy
from proxy.relay.keepalive import keep_alive
from proxy.relay.response_relay import Relay, Tunnel
from proxy.relay.routes import Routes
from proxy.relay.sockets import LINGER_SECONDS, cut, peer_of
from proxy.relay.upstream_connection import UpstreamConnection
from proxy.relay.upstream_pool import Upstream

MAX_BODY_BYTES: Final = 65_536
"""Of an ordinary request; what is longer streams through the general lane."""
MAX_AHEAD_BYTES: Final = 65_536
"""What a client may send before it has been answered; then it is paused."""


class OrdinaryRequest(msgspec.Struct, frozen=True):
    """A request that is here as a whole."""

    head: RequestHead
    body: bytes
    size: int
    """How many bytes it took on the wire."""


def ordinary_request(received: bytes, parser: HeadParser) -> OrdinaryRequest | None:
    """Return the request at the start of *received*, or None if it is not an ordinary one."""
    try:
        parsed = parser.parse(received)
    except RefusedError:
        return None  # the general lane will say what is wrong with it
    if parsed is None:
        return None
    head, end = parsed
    length = head.fields.derived(_ordinary_length)
    if length is None or length > min(MAX_BODY_BYTES, len(received) - end):
        return None
    return OrdinaryRequest(head, received[end : end + length], end + length)


def _ordinary_length(fields: Fields) -> int | None:
    """Return the Content-Length of a request, or None if it cannot be an ordinary one."""
    extraordinary = (
        fields.first(b"transfer-encoding") is not None
        or fields.first(b"expect") is not None
        or fields.derived(upgrade_of) is not None
    )
    return None if extraordinary else int(fields.first(b"content-length") or 0)


@dataclass(frozen=True, slots=True)
class ExpressLane:
    """How requests of the express lane are admitted and forwarded: as in the general lane."""

    admission: Admission
    routes: Routes
    policy: HeaderPolicy


HandOver = Callable[["ExpressConnection", bytes], None]
"""Gives a connection, with what was read on it, to the general lane."""


class ExpressConnection(asyncio.Protocol):
    """One client connection. At most one exchange goes on at a time; answers keep their order."""

    def __init__(
        self, lane: ExpressLane, connections: set["ExpressConnection"], hand_over: HandOver
    ) -> None:
        """Be among *connections* until the end, or until *hand_over*."""
        self.relay: Relay | None = None
        self.writing_paused = False
        self.transport: asyncio.Transport
        self.idle_since = 0.0
        self._lane = lane
        self._connections = connections
        self._give_to_general_lane = hand_over
        self._loop = asyncio.get_running_loop()
        self._peer: Peer
        self._received = b""
        self._parser = HeadParser()
        self._forwarded: tuple[Fields, bytes] | None = None
        self._call: Call | None = None
        self._reading_paused = False
        self._is_stopping = False
        self._is_handed_over = False
        self._farewell: asyncio.TimerHandle | None = None
        self._request: OrdinaryRequest | None = None
        self._exchange: Exchange | None = None
        self._upstream: Upstream
        self._connecting: asyncio.Task[None] | None = None
        self._leaving: asyncio.Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Say whether an exchange is going on."""
        return self._request is not None

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out who it is, once a connection."""
        self.transport = cast("asyncio.Transport", transport)
        self._peer = peer_of(transport, self._lane.admission.trusted)
        keep_alive(transport)
        self.idle_since = self._loop.time()
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take up the next request, unless one is going on."""
        if self._farewell is not None:
            return
        self._received = self._received + data if self._received else data
        self._take_up()
        if len(self._received) > MAX_AHEAD_BYTES and not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        """End the exchange at once: its client has hung up."""
        if self._farewell is not None:
            self._farewell.cancel()
        self._give_up(Outcome.CLIENT_CLOSED, STATUS_CLIENT_CLOSED)
        self._leave()

    def pause_writing(self) -> None:
        """Stop the answer while the client takes nothing in."""
        self.writing_paused = True
        if self.relay is not None:
            self.relay.client_is_slow()

    def resume_writing(self) -> None:
        """Let the answer go on."""
        self.writing_paused = False
        if self.relay is not None:
            self.relay.client_goes_on()
        elif self._received:
            self._loop.call_soon(self._take_up)

    # What the relay calls

    def send(self, data: bytes) -> None:
        """Send *data* to the client; without effect once it has gone."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def cut(self, *, by_reset: bool) -> None:
        """End the connection at once; *by_reset* where a mere end would look like a good one."""
        cut(self.transport, by_reset=by_reset)

    def pause_transport(self) -> None:
        """Do nothing: only tunnels ask for it, and there are none in this lane."""

    def resume_transport(self) -> None:
        """Do nothing, as above."""

    def switch(self, tunnel: Tunnel) -> None:
        """Refuse: a request to change protocols is never in this lane."""
        raise NotImplementedError

    # What the lane calls

    def stop_when_idle(self) -> None:
        """Take up nothing more; end the connection as soon as it owes no answer."""
        self._is_stopping = True
        if not self.is_busy:
            self.transport.close()

    def leaving(self) -> asyncio.Future[None]:
        """Return what is done when the connection has ended or been handed over."""
        if self._leaving is None:
            self._leaving = self._loop.create_future()
        return self._leaving

    def stop_now(self) -> None:
        """End the connection: the time to stop is over."""
        self._give_up(Outcome.INTERRUPTED, STATUS_UNKNOWN)
        self.transport.abort()

    # One exchange after the other

    def _take_up(self) -> None:
        while self._received and self._may_take_up:
            request = ordinary_request(self._received, self._parser)
            if request is None or not self._begin(request):
                self._hand_over()
                return

    @property
    def _may_take_up(self) -> bool:
        """Say whether another request may begin: a client that does not read gets no more."""
        return not (
            self._request is not None
            or self.writing_paused
            or self._farewell is not None
            or self._is_handed_over
            or self.transport.is_closing()
        )

    def _begin(self, request: OrdinaryRequest) -> bool:
        """Begin the exchange of *request*; return False, having done nothing, if it must wait."""
        lane, head = self._lane, request.head
        try:
            exchange = lane.admission.admit_at_once(self._recognised(head))
        except RefusedError as refusal:
            self._received = self._received[request.size :]
            self._answer(refusal, head)
            self._end(head, keeps_alive=head.goes_on_after_refusal)
            return True
        if exchange is None:
            return False
        self._received = self._received[request.size :]
        self._request, self._exchange = request, exchange
        exchange.begin()
        self._upstream = lane.routes.upstream_of(head.target)
        connection = self._upstream.kept_connection()
        if connection is None:
            self._connecting = self._loop.create_task(self._connect(), name="express-connect")
        else:
            self._forward(request, connection)
        return True

    async def _connect(self) -> None:
        try:
            connection = await self._upstream.new_connection()
        except ExchangeError as error:
            self._failed(error)
            return
        finally:
            self._connecting = None
        assert self._request is not None
        self._forward(self._request, connection)

    def _forward(self, request: OrdinaryRequest, connection: UpstreamConnection) -> None:
        head, exchange = request.head, self._exchange
        assert exchange is not None
        Relay(head, exchange, self, connection, self._finished).begin()
        lines = self._lines_forwarded(head.fields)
        if exchange.added_fields:
            lines += field_lines(exchange.added_fields)
        if request.body:
            exchange.request_content(request.body)
        connection.send(head.on_the_wire(lines) + request.body)
        connection.request_was_sent()

    def _recognised(self, head: RequestHead) -> Call:
        """Return what *head* tells of its call, found out once while it repeats."""
        if self._call is None or self._call.head is not head:
            self._call = self._lane.admission.recognise(head, self._peer)
        return self._call

    def _lines_forwarded(self, fields: Fields) -> bytes:
        """Return what the policy leaves of *fields*, computed once while they repeat."""
        if self._forwarded is None or self._forwarded[0] is not fields:
            self._forwarded = fields, field_lines(self._lane.policy(fields, self._peer))
        return self._forwarded[1]

    def _finished(self, error: ExchangeError | None) -> None:
        relay, request = self.relay, self._request
        assert relay is not None
        assert request is not None
        self.relay = None
        self._upstream.give_back(relay.connection)
        if error is None:
            self._end(request.head, keeps_alive=relay.keeps_alive)
        elif isinstance(error, UpstreamUnreachableError) and error.may_be_retried(
            request.head.method, has_body=bool(request.body)
        ):
            self._connecting = self._loop.create_task(self._connect(), name="express-connect")
        else:
            self._failed(error)

    def _failed(self, error: ExchangeError) -> None:
        assert self._request is not None
        assert self._exchange is not None
        self._exchange.end(error.outcome, error.status)
        head = self._request.head
        self._answer(error, head)
        self._end(head, keeps_alive=head.goes_on_after_refusal)

    def _answer(self, error: ExchangeError, head: RequestHead) -> None:
        self.send(response_to(error, keeps_alive=head.goes_on_after_refusal, method=head.method))

    def _end(self, head: RequestHead, *, keeps_alive: bool) -> None:
        self._request = self._exchange = None
        if not self._parser.remembers(head):
            self._call = self._forwarded = None
        self.idle_since = self._loop.time()
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()
        if not keeps_alive or self._is_stopping:
            self._say_farewell()
            return
        if self._received:
            # Not at once: a client that sends ahead must not let us recurse, or hold others up.
            self._loop.call_soon(self._take_up)

    def _say_farewell(self) -> None:
        """Send nothing more, and end the connection when the client has read what it was sent."""
        self._received = b""
        if not self.transport.can_write_eof() or self.transport.is_closing():
            self.transport.close()
            return
        self.transport.write_eof()
        self._farewell = self._loop.call_later(LINGER_SECONDS, self.transport.close)

    def _give_up(self, outcome: Outcome, status: int) -> None:
        """End what is going on, and what the upstream does about it."""
        if self._request is None or self._exchange is None:
            return
        self._request = None
        sent = self.relay.status if self.relay else None
        self._exchange.end(outcome, sent or status)
        if self._connecting is not None:
            self._connecting.cancel()
        if self.relay is not None:
            self._upstream.give_back(self.relay.connection)
            self.relay = None

    def _hand_over(self) -> None:
        self._is_handed_over = True
        self._leave()
        received, self._received = self._received, b""
        self._give_to_general_lane(self, received)

    def _leave(self) -> None:
        self._connections.discard(self)
        if self._leaving is not None and not self._leaving.done():
            self._leaving.set_result(None)

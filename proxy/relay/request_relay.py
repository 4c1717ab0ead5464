"""One request on its way upstream: the mirror image of `response_relay`.

Theory of operation. `begin` has the call decided, takes a connection to the upstream and sends the
head there; a task is made only where something must be awaited: the look-up of an unknown token,
or a new connection. From then on `takes_content` passes on what the client has sent, through a
`Body` that says where the request ends. A tunnel is the same with a body that has no end. Content
is shown to the exchange before it is sent: after a kill in between, its tool calls are known.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Protocol

import structlog

from audit_log.process.background import where_raised
from audit_log.record import Outcome
from proxy.audit.exchange import Exchange
from proxy.http.errors import (
    BodyTimedOutError,
    ExchangeError,
    MalformedBodyError,
    RefusedError,
    UpstreamUnreachableError,
)
from proxy.http.framing import BodyUntilClose, FramingError, chunks, joined
from proxy.relay.deadline import Deadline
from proxy.relay.flow import Flow
from proxy.relay.plan import Plan, Service
from proxy.relay.response_relay import OtherDirection, ResponseRelay
from proxy.relay.states import FORWARDING, TUNNEL, WAITING, State
from proxy.relay.upstream_connection import UpstreamConnection

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Client(Protocol):
    """The client's connection, as far as a request needs it."""

    flow: Flow
    received: bytes

    def enter(self, state: State) -> None:
        """Be in *state* from now on."""

    def go_on(self) -> None:
        """Take all that can be taken now."""

    def respond(self, error: ExchangeError) -> None:
        """Send the response that *error* carries, and finish."""

    def finish(self, *, keeps_alive: bool) -> None:
        """Go on to the next request, or end the connection."""

    def stop_now(self) -> None:
        """End the connection at once, and the exchange as interrupted."""


class RequestRelay(OtherDirection):
    """Sees one exchange from its head to its end."""

    __slots__ = (
        "_client",
        "_exchange",
        "_is_chunked",
        "_patience",
        "_service",
        "_task",
        "_turn",
        "body",
        "plan",
        "response",
        "upstream_is_slow",
    )

    def __init__(self, plan: Plan, client: Client, service: Service) -> None:
        """Relay the request of *plan*, whose content *client* receives."""
        self.plan = plan
        self.body = plan.head.body()
        self.response: ResponseRelay | None = None
        """The other direction; None before there is a connection, and after its end."""
        self.upstream_is_slow = False
        self._client = client
        self._service = service
        self._exchange: Exchange | None = None
        self._is_chunked = plan.head.body_is_chunked
        self._task: asyncio.Task[None] | None = None
        self._turn: asyncio.Handle | None = None
        """Takes more content in the next turn of the loop: others come first."""
        self._patience: Deadline | None = None
        """With a client that stops in the middle of a body."""

    def begin(self) -> None:
        """Have the call decided, and forward it."""
        try:
            self._exchange = exchange = self._service.admission.decide(self.plan.call)
        except RefusedError as refusal:
            self._client.respond(refusal)
            return
        if exchange.identification is None:
            self._take_connection(exchange)
        else:
            self._wait_for(self._identify(exchange))

    # The client's side

    def takes_content(self) -> bool:
        """Take off what the client has received for this request; say whether anything was.

        Raises FramingError if the body is malformed behind the end of the response.
        """
        if self.upstream_is_slow or self._turn is not None or self.body.is_complete:
            return False
        response = self.response
        if response is None:
            taken = self.body.take(self._client.received)
            self._client.received = self._client.received[taken:]
        elif response.connection.unread.comes_first():
            taken = 0
            self._wait_a_turn()
        else:
            most = response.exchange.most_at_once
            taken = self._pass_on(response, at_most=most)
            if taken == most:
                self._wait_a_turn()
        return taken > 0

    def _wait_a_turn(self) -> None:
        def go_on() -> None:
            self._turn = None
            self._client.go_on()

        self._turn = asyncio.get_running_loop().call_soon(go_on)

    def note_client(self, *, is_slow: bool) -> None:
        """Pause the response while the client takes in less than it is sent."""
        if self.response is not None:
            self.response.note_client(is_slow=is_slow)

    def end_sending(self) -> None:
        """Pass on that the client sends nothing more through a tunnel, but still listens."""
        if self.response is not None:
            self._pass_on(self.response)
            self.response.exchange.request_ended()
            self.response.connection.end_sending()

    def give_up(self, outcome: Outcome, status: int, *, after_sent: bool) -> None:
        """End the exchange: *outcome*, with *status* unless the client was sent another.

        The upstream learns at once; *after_sent*, when what was sent to it has gone out.
        """
        if self._task is not None:
            self._task.cancel()
        if self._patience is not None:
            self._patience.end()
        response, self.response = self.response, None
        if response is not None and after_sent:
            self._pass_on(response)
        if self._exchange is not None:
            self._exchange.end(outcome, (response and response.status) or status)
        if response is not None:
            if after_sent:
                response.connection.close()
            self.plan.upstream.give_back(response.connection)

    # The other direction

    def note_upstream(self, *, is_slow: bool) -> None:
        """Learn whether the upstream takes in less than it is sent."""
        self.upstream_is_slow = is_slow
        if self._patience is not None:
            if is_slow:  # it is the upstream that is waited for
                self._patience.clear()
            else:
                self._patience.start()
        self._client.go_on()

    def switch(self) -> None:
        """Pass on whatever the client sends from now on, as it is."""
        self.body, self._is_chunked = BodyUntilClose(), False
        if self.response is not None:  # a 101 may come before the end of the request
            self.response.connection.request_was_sent()
        self._client.enter(TUNNEL)
        # Not at once: the upstream's 101 comes first.
        asyncio.get_running_loop().call_soon(self._client.go_on)

    def finished(self, error: ExchangeError | None) -> None:
        """Learn that the response has ended, or why it cannot begin."""
        response, self.response = self.response, None
        assert response is not None
        self.upstream_is_slow = False
        if self._patience is not None:
            self._patience.end()
        self.plan.upstream.give_back(response.connection)
        if error is None:
            self._client.finish(keeps_alive=response.keeps_alive)
        elif isinstance(error, UpstreamUnreachableError) and error.may_be_retried(
            self.plan.head.method, has_body=self.plan.head.has_body
        ):
            self._client.enter(WAITING)
            self._wait_for(self._connect(response.exchange))
        else:
            self._fail(response.exchange, error)

    # To the upstream

    def _wait_for(self, work: Coroutine[object, object, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(work, name="request-waits")
        self._task.add_done_callback(partial(_end_if_it_failed, self._client))

    async def _identify(self, exchange: Exchange) -> None:
        assert exchange.identification is not None
        try:
            await exchange.identification()
        except RefusedError as refusal:
            self._client.respond(refusal)
        else:
            self._take_connection(exchange)
            self._client.go_on()

    def _take_connection(self, exchange: Exchange) -> None:
        exchange.begin()
        connection = self.plan.upstream.idle_connection()
        if connection is None:
            self._wait_for(self._connect(exchange))
        else:
            self._forward(exchange, connection)

    async def _connect(self, exchange: Exchange) -> None:
        try:
            connection = await self.plan.upstream.new_connection()
        except ExchangeError as error:
            self._fail(exchange, error)
        else:
            self._forward(exchange, connection)
            self._client.go_on()

    def _forward(self, exchange: Exchange, connection: UpstreamConnection) -> None:
        self._task = None
        self._client.enter(FORWARDING)
        self.response = response = ResponseRelay(
            self.plan.head, exchange, self._client.flow, connection, self
        )
        response.begin()
        wire = self.plan.wire(exchange.added_fields)
        if self.body.is_complete:
            connection.send(wire)
            connection.request_was_sent()
            return
        self._pass_on(response, wire)
        if self._waits_for_body(response):
            self._patience = Deadline(self._service.body_patience_seconds, self._give_up_body)
            if not self.upstream_is_slow:
                self._patience.start()

    def _waits_for_body(self, response: ResponseRelay) -> bool:
        # Not in place: mypyc believes what was stored there, and the body may have failed since.
        return self.response is response and not self.body.is_complete

    def _pass_on(
        self, response: ResponseRelay, wire: bytes = b"", *, at_most: int | None = None
    ) -> int:
        """Send *wire*, and what the client has sent of the body; return how much that is."""
        contents: list[bytes] = []
        received = self._client.received
        try:
            taken = self.body.take(received[:at_most], contents.append)
        except FramingError:
            response.failed(MalformedBodyError("the body of the request is malformed"))
            return 0
        # Before it is sent: the upstream may pause within `send`, and `go_on` be called again.
        self._client.received = received[taken:]
        if self._patience is not None:
            self._patience.start()
        if contents and response.exchange.reads_request:
            # Together: what many small chunks cost must not grow with their number.
            response.exchange.request_content(joined(contents))
        pieces = [wire] if wire else []
        pieces += chunks(contents, is_end=self.body.is_complete) if self._is_chunked else contents
        if pieces:
            response.connection.send(*pieces)
        if self.body.is_complete:
            response.connection.request_was_sent()
        return taken

    def _give_up_body(self) -> None:
        """Give up a client that stops in the middle of a body before the response has begun."""
        response = self.response
        if response is not None and response.status is None and not self.body.is_complete:
            response.failed(BodyTimedOutError("the body of the request does not come"))

    def _fail(self, exchange: Exchange, error: ExchangeError) -> None:
        exchange.end(error.outcome, error.status)
        self._client.respond(error)


def _end_if_it_failed(client: Client, waiting: asyncio.Task[None]) -> None:
    """End *client*'s connection if *waiting* has failed for a defect: nothing else would."""
    if not waiting.cancelled() and (error := waiting.exception()) is not None:
        log.error("request.failed", error=repr(error), where=where_raised(error))
        client.stop_now()

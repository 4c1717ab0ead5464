"""The general lane: takes any request of HTTP/1.1 and sees its exchange to the end."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

from aiohttp import web

from audit_log.record import Outcome
from proxy.audit.exchange import STATUS_CLIENT_CLOSED, STATUS_UNKNOWN, Exchange
from proxy.http.errors import ExchangeError, RefusedError, UpstreamUnreachableError
from proxy.http.fields import FieldList, Fields
from proxy.http.own_response import response_to
from proxy.http.peers import Peer
from proxy.http.request import RequestHead
from proxy.relay.listener import Answered, Listener, RelayRequest
from proxy.relay.request_body import sending
from proxy.relay.response_relay import Relay
from proxy.relay.routes import Routes
from proxy.relay.upstream_connection import UpstreamConnection

HeaderPolicy = Callable[[Fields, Peer], FieldList]
"""What of a request's fields goes upstream."""


class Admits(Protocol):
    """Who says what becomes of a request."""

    async def admit(self, head: RequestHead, peer: Peer, /) -> Exchange:
        """Return the exchange of *head*; raise ExchangeError when it may not go on."""


class GeneralLane:
    """Handles the requests that aiohttp has read."""

    def __init__(
        self,
        admission: Admits,
        routes: Routes,
        policy: HeaderPolicy,
        *,
        body_patience_seconds: float,
    ) -> None:
        """Admit by *admission*, forward by *routes* what *policy* leaves of the fields.

        A client may be silent for *body_patience_seconds* in the middle of a request.
        """
        self._body_patience_seconds = body_patience_seconds
        self._admission = admission
        self._routes = routes
        self._policy = policy

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Forward *request* and bring the answer back; answer ourselves where that cannot be."""
        listener = cast("Listener", request.protocol)
        answered = await self._answered(cast("RelayRequest", request), listener)
        # A client that does not read its answers gets no more of them.
        await listener.drained()
        if not answered.keep_alive:
            await listener.say_farewell()
        return answered

    async def _answered(self, request: RelayRequest, listener: Listener) -> Answered:
        head = request.received
        if isinstance(head, RefusedError):
            return _own_answer(listener, head, keeps_alive=False)
        try:
            exchange = await self._admission.admit(head, listener.peer)
            relay = await self._forward(request, head, exchange, listener)
        except ExchangeError as error:
            keeps_alive = head.goes_on_after_refusal
            return _own_answer(listener, error, keeps_alive=keeps_alive, method=head.method)
        finally:
            listener.relay = None
        return Answered(keeps_alive=relay.keeps_alive)

    async def _forward(
        self, request: web.BaseRequest, head: RequestHead, exchange: Exchange, listener: Listener
    ) -> Relay:
        exchange.begin()
        try:
            return await self._answer_to(request, head, exchange, listener)
        except ExchangeError as error:
            exchange.end(error.outcome, error.status)
            raise
        except asyncio.CancelledError:
            sent = listener.relay.status if listener.relay else None
            if listener.has_hung_up:
                exchange.end(Outcome.CLIENT_CLOSED, sent or STATUS_CLIENT_CLOSED)
            else:  # we give up, not the client: the time to stop is over
                exchange.end(Outcome.INTERRUPTED, sent or STATUS_UNKNOWN)
            raise

    async def _answer_to(
        self, request: web.BaseRequest, head: RequestHead, exchange: Exchange, listener: Listener
    ) -> Relay:
        """Relay, a second time if the upstream had merely closed a connection that we kept."""
        upstream = self._routes.upstream_of(head.target)
        fields = self._policy(head.fields, listener.peer)

        async def attempt(connection: UpstreamConnection) -> Relay:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            relay = Relay(head, exchange, listener, connection, partial(_settle, done))
            relay.begin()
            try:
                async with sending(
                    request.content, head, fields, relay, self._body_patience_seconds
                ):
                    await done
            finally:
                # Not reusable unless both sides are complete: then the upstream learns at once
                # that nobody waits any more.
                upstream.give_back(connection)
            return relay

        try:
            return await attempt(await upstream.connection())
        except UpstreamUnreachableError as error:
            if not error.may_be_retried(head.method, has_body=head.has_body):
                raise
        return await attempt(await upstream.new_connection())


def _settle(done: asyncio.Future[None], error: ExchangeError | None) -> None:
    if done.done():
        return  # the client has gone meanwhile
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _own_answer(
    listener: Listener, error: ExchangeError, *, keeps_alive: bool, method: bytes = b""
) -> Answered:
    listener.send(response_to(error, keeps_alive=keeps_alive, method=method))
    return Answered(keeps_alive=keeps_alive)

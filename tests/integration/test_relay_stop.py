"""Stopping: what is under way ends well if it can, and the sidecar ends in time in any case."""

import asyncio
import signal
from collections.abc import AsyncIterator
from time import monotonic

import pytest

from audit_log.postgres.database import Database
from audit_log.postgres.token_table import TokenTable
from audit_log.record import Outcome
from tests.neighbours.client import connected
from tests.neighbours.corpus import chunked, request, response, sized
from tests.neighbours.journal_home import journal_home
from tests.neighbours.readable_store import ReadableStore
from tests.neighbours.services import Service, running_sidecar
from tests.neighbours.trail import recorded
from tests.neighbours.upstream import (
    Call,
    Upstream,
    in_pieces,
    responding_at_once,
    switching_to_echo,
)

EVENTS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Frobbing\r\nUpgrade: frob\r\nConnection: Upgrade\r\n\r\n"


@pytest.fixture
async def sidecar(upstream: Upstream) -> AsyncIterator[Service]:
    """A sidecar in a process of its own: it is told to stop by a signal."""
    async with running_sidecar(upstream.url) as service:
        yield service


async def _refuses_connections(sidecar: Service) -> None:
    """Wait until nobody listens any more: there is no event that would tell."""
    async with asyncio.timeout(10):
        while True:
            try:
                async with connected(sidecar.port):
                    await asyncio.sleep(0.01)
            except ConnectionError:
                return


async def test_calls_in_flight_are_answered_before_the_end(
    sidecar: Service, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.plan(in_pieces(EVENTS + b"2\r\nok\r\n", gate, chunked(b"late")))
    async with connected(sidecar.port) as client:
        await client.send(sized(b"POST /", b"body"))
        await client.read_until(b"ok\r\n")
        stop = asyncio.create_task(sidecar.stop())
        await _refuses_connections(sidecar)
        gate.set()
        assert await client.read_to_the_end() == chunked(b"late")
    assert await stop == 0


async def test_a_call_that_waits_for_its_answer_gets_it(
    sidecar: Service, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.plan(in_pieces(gate, response(b"200 OK", body=b"late")))
    async with connected(sidecar.port) as client:
        await client.send(request(b"GET /"))
        await upstream.entered()
        stop = asyncio.create_task(sidecar.stop())
        await _refuses_connections(sidecar)
        gate.set()
        assert (await client.response()).content == b"late"
    assert await stop == 0


@pytest.mark.parametrize("size", [2, 200_000])
@pytest.mark.parametrize("is_killed", [False, True])
async def test_a_response_that_ended_before_its_request_arrives_whole_and_is_recorded_once(
    size: int,
    upstream: Upstream,
    database: Database,
    database_url: str,
    store: ReadableStore,
    *,
    is_killed: bool,
) -> None:
    _, secret = await TokenTable(database).create("laptop", "operator", 90)
    content = b"x" * size
    upstream.plan(responding_at_once(response(b"200 OK", body=content)))
    head = request(
        b"POST /api/v1/hosts",
        b"Authorization: Bearer " + secret.encode(),
        b"Content-Length: 1000000",
    )
    with journal_home() as home:
        async with (
            home.sidecar(upstream.url, database_url) as sidecar,
            connected(sidecar.port) as client,
        ):
            await client.send(head + b"half of")
            early = await client.response()
            assert early.content == content
            assert early.values(b"Connection") == []  # the request may go on
            await recorded(store, 1)
            if is_killed:
                await sidecar.kill()
            else:
                stop = asyncio.create_task(sidecar.stop())
                await _refuses_connections(sidecar)
                await client.send(b" the body")
                assert await client.read_to_the_end() == b""
                assert await stop == 0
        async with home.sidecar(upstream.url, database_url):
            pass  # writes what the first one left
    [record] = await recorded(store, 1)
    assert (record.outcome, record.status_code) == (Outcome.COMPLETED, 200)


async def test_a_stop_lets_a_client_read_the_rest_of_a_response_that_ended_early(
    sidecar: Service, upstream: Upstream
) -> None:
    content = b"x" * 200_000
    upstream.plan(responding_at_once(response(b"200 OK", body=content)))
    async with connected(sidecar.port) as client:
        await client.send(request(b"POST /", b"Content-Length: 1000000") + b"half of")
        await client.read_until(b"\r\n\r\n")
        stop = asyncio.create_task(sidecar.stop())
        await _refuses_connections(sidecar)
        await client.send(b" the body")
        assert await client.read_to_the_end() == content
    assert await stop == 0


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
async def test_idle_connections_do_not_delay_the_end(
    stop_signal: signal.Signals, sidecar: Service, upstream: Upstream
) -> None:
    async with connected(sidecar.port) as client, connected(sidecar.port) as silent:
        assert (await client.ask(request(b"GET /"))).status == 200
        began = monotonic()
        assert await sidecar.stop(stop_signal) == 0
        assert monotonic() - began < 5
        assert await client.read_to_the_end() == b""
        assert await silent.read_to_the_end() == b""


async def test_streams_are_cut_when_the_time_to_stop_is_over(upstream: Upstream) -> None:
    async def stream_or_switch(call: Call) -> None:
        if b"Upgrade: frob" in call.head:
            await switching_to_echo(SWITCHED)(call)
        else:
            await call.send(EVENTS)
            await call.hung_up.wait()

    upstream.plan(stream_or_switch)
    async with (
        running_sidecar(upstream.url, PROXY_STOP_SECONDS="0.5") as sidecar,
        connected(sidecar.port) as stream,
        connected(sidecar.port) as tunnel,
    ):
        await stream.send(request(b"GET /events"))
        await stream.read_until(b"\r\n\r\n")
        await tunnel.send(request(b"GET /", b"Connection: Upgrade", b"Upgrade: frob"))
        await tunnel.response()
        began = monotonic()
        assert await sidecar.stop() == 0
        assert monotonic() - began < 5
        assert await stream.read_to_the_end() == b""
        assert await tunnel.read_to_the_end() == b""
        for call in upstream.calls:
            await call.gone()

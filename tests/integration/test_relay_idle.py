"""Connections that carry nothing are ended in time; calls are never taken for idleness."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.neighbours.client import connected
from tests.neighbours.corpus import request
from tests.neighbours.sidecar import Sidecar, serving_sidecar
from tests.neighbours.upstream import OK, Upstream, in_pieces, responding, responding_at_once

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict_sidecar(shared_upstream: Upstream) -> AsyncIterator[Sidecar]:
    async with serving_sidecar(
        shared_upstream.url, client_idle_seconds=0.3, upstream_idle_seconds=0.3
    ) as service:
        yield service


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ", b"\r\n"],
    ids=["nothing", "half a line", "half a head", "an empty line"],
)
async def test_a_client_that_never_finishes_its_first_head_is_let_go(
    begun: bytes, strict_sidecar: Sidecar
) -> None:
    async with connected(strict_sidecar.port) as client:
        await client.send(begun)
        await client.read_to_the_end()


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHo"], ids=["nothing", "half a head"])
async def test_a_client_that_never_finishes_its_second_head_is_let_go(
    begun: bytes, strict_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    async with connected(strict_sidecar.port) as client:
        assert (await client.ask(request(b"GET /"))).status == 200
        await client.send(begun)
        await client.read_to_the_end()


async def test_a_head_that_comes_drop_by_drop_is_not_waited_for_for_ever(
    strict_sidecar: Sidecar,
) -> None:
    async with connected(strict_sidecar.port) as client:
        await client.send(b"GET / HTTP/1.1\r\nX-Drops: ")
        ended = asyncio.ensure_future(client.read_to_the_end())
        async with asyncio.timeout(10):
            while not ended.done():
                # Each drop comes well within the limit; all of them together do not.
                await asyncio.wait({ended}, timeout=0.1)
                client.writer.write(b"x")


async def test_a_call_may_take_longer_than_a_client_may_be_idle(
    strict_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    gate = asyncio.Event()
    shared_upstream.plan(in_pieces(gate, OK))
    async with connected(strict_sidecar.port) as client:
        await client.send(request(b"GET /"))
        assert await client.hears_nothing_for(1)
        gate.set()
        assert (await client.response()).content == b"ok"


async def test_a_body_may_pause_for_longer_than_a_client_may_be_idle(
    strict_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    async with connected(strict_sidecar.port) as client:
        await client.send(request(b"POST /", b"Content-Length: 4") + b"bo")
        assert await client.hears_nothing_for(1)
        await client.send(b"dy")
        assert (await client.response()).content == b"ok"


async def test_a_client_is_idle_from_the_end_of_its_body_and_not_from_an_early_response(
    shared_upstream: Upstream,
) -> None:
    shared_upstream.plan(responding_at_once(OK))
    async with (
        serving_sidecar(shared_upstream.url, client_idle_seconds=2) as sidecar,
        connected(sidecar.port) as client,
    ):
        head = request(b"POST /", b"Content-Length: 4")
        assert (await client.ask(head + b"bo")).status == 200
        assert await client.hears_nothing_for(1.5)
        await client.send(b"dy")
        assert await client.hears_nothing_for(1.7)


async def test_an_upstream_connection_is_not_kept_for_ever(
    strict_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    async with connected(strict_sidecar.port) as client:
        await client.ask(request(b"GET /"))
    await (await shared_upstream.entered()).gone()

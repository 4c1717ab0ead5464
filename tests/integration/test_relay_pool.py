"""Connections to the upstream are used again, and never at the price of a request sent twice."""

import asyncio

import pytest

from tests.neighbours.client import connected, end_at_once
from tests.neighbours.corpus import chunked, request, response, sized
from tests.neighbours.services import Service, running_sidecar
from tests.neighbours.sidecar import Sidecar
from tests.neighbours.upstream import OK, Behaviour, Call, Upstream, responding, responding_at_once

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = response(b"200 OK", body=b"evil")


async def _vanish(call: Call) -> None:
    """Read the request and end the connection without a word."""
    await call.read_body()
    call.close()


async def _reset(call: Call) -> None:
    await call.read_body()
    call.abort()


async def _warm_up(sidecar: Sidecar | Service, upstream: Upstream) -> Call:
    """Leave one connection in the pool and return the call that was made over it."""
    upstream.plan(responding(OK))
    async with connected(sidecar.port) as client:
        assert (await client.ask(request(b"GET /warm"))).content == b"ok"
    return await upstream.entered()


async def test_one_connection_serves_many_clients_in_turn(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    warm = await _warm_up(shared_sidecar, shared_upstream)
    for raw in (request(b"GET /"), sized(b"POST /", b"body"), request(b"GET /")):
        async with connected(shared_sidecar.port) as client:
            await client.ask(raw)
    assert {call.writer for call in shared_upstream.calls} == {warm.writer}


@pytest.mark.parametrize(
    "last",
    [
        responding(response(b"200 OK", b"Connection: close")),
        responding(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ],
    ids=["close", "HTTP/1.0"],
)
async def test_a_connection_that_the_upstream_will_close_is_not_used_again(
    last: Behaviour, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(last, responding(OK))
    async with connected(shared_sidecar.port) as client:
        await client.ask(request(b"GET /1"))
        await client.ask(sized(b"POST /2", b"body"))
    first, second = shared_upstream.calls
    assert first.writer is not second.writer


async def test_a_connection_closed_while_idle_is_let_go_and_a_post_gets_a_fresh_one(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    warm = await _warm_up(shared_sidecar, shared_upstream)
    warm.writer.write_eof()
    await warm.gone()
    async with connected(shared_sidecar.port) as client:
        assert (await client.ask(sized(b"POST /", b"body"))).content == b"ok"
    assert [call.request.content for call in shared_upstream.calls] == [b"", b"body"]


async def test_a_post_that_finds_the_end_of_its_connection_unread_gets_a_fresh_one(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    async with running_sidecar(shared_upstream.url) as sidecar:
        warm = await _warm_up(sidecar, shared_upstream)
        async with connected(sidecar.port) as client:
            assert (await client.ask(request(b"GET /"))).content == b"ok"
            with sidecar.frozen():
                await client.send(sized(b"POST /", b"body"))
                end_at_once(warm.writer)
            assert (await client.response()).content == b"ok"
    assert [call.request.content for call in shared_upstream.calls] == [b"", b"", b"body"]


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"DELETE"])
@pytest.mark.parametrize("leave", [_vanish, _reset], ids=["closed", "reset"])
async def test_an_idempotent_request_on_a_dying_connection_is_sent_again(
    method: bytes, leave: Behaviour, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    warm = await _warm_up(shared_sidecar, shared_upstream)
    shared_upstream.plan(leave, responding(response(b"200 OK", body=b"")))
    async with connected(shared_sidecar.port) as client:
        assert (await client.ask(request(method + b" /again"), method)).status == 200
    first, second = shared_upstream.calls
    assert first.writer is warm.writer
    assert second.writer is not warm.writer
    assert first.head == second.head


@pytest.mark.parametrize(
    "raw",
    [
        sized(b"POST /once", b"body"),
        request(b"POST /once"),
        request(b"POST /once", b"Transfer-Encoding: chunked", body=chunked(b"body")),
        sized(b"PATCH /once", b"body"),
        request(b"FROB /once"),
    ],
    ids=["POST", "POST without body", "POST in chunks", "PATCH", "unknown method"],
)
@pytest.mark.parametrize("leave", [_vanish, _reset], ids=["closed", "reset"])
async def test_a_request_that_may_have_had_an_effect_is_never_sent_twice(
    raw: bytes, leave: Behaviour, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    warm = await _warm_up(shared_sidecar, shared_upstream)
    shared_upstream.plan(leave, responding(OK))
    async with connected(shared_sidecar.port) as client:
        seen = await client.ask(raw)
    assert (seen.status, isinstance(seen.detail, str)) == (502, True)
    [only] = shared_upstream.calls
    assert only.writer is warm.writer


async def test_a_request_whose_answer_began_is_never_sent_twice(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    await _warm_up(shared_sidecar, shared_upstream)
    half = b"HTTP/1.1 200 OK\r\nContent-"
    shared_upstream.plan(responding(half, then_close=True), responding(OK))
    async with connected(shared_sidecar.port) as client:
        assert (await client.ask(request(b"GET /once"))).status == 502
    assert len(shared_upstream.calls) == 1


async def test_an_upstream_that_always_vanishes_is_not_asked_for_ever(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    await _warm_up(shared_sidecar, shared_upstream)
    shared_upstream.plan(_vanish)
    async with connected(shared_sidecar.port) as client:
        assert (await client.ask(request(b"GET /"))).status == 502
    assert len(shared_upstream.calls) <= 2


async def test_several_dying_connections_are_no_obstacle_to_a_get(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    gate = asyncio.Event()

    async def together(call: Call) -> None:
        await gate.wait()
        await call.send(OK)

    shared_upstream.plan(together)
    async with (
        connected(shared_sidecar.port) as one,
        connected(shared_sidecar.port) as two,
        connected(shared_sidecar.port) as three,
    ):
        clients = (one, two, three)
        for client in clients:
            await client.send(request(b"GET /"))
            await shared_upstream.entered()
        gate.set()
        for client in clients:
            await client.response()
        # Three connections are in the pool now. Only one of them may cost an attempt.
        shared_upstream.plan(_vanish, responding(OK))
        assert (await one.ask(request(b"GET /"))).content == b"ok"


async def test_bytes_behind_an_answer_are_never_taken_for_the_next_one(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK + EVIL), responding(OK))
    for _ in range(5):
        async with connected(shared_sidecar.port) as client:
            assert (await client.ask(request(b"GET /"))).content == b"ok"


async def test_bytes_behind_an_answer_do_no_harm_to_a_pipelined_request(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK + EVIL), responding(OK))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /1") + sized(b"POST /2", b"body"))
        assert (await client.response()).content == b"ok"
        assert (await client.response()).content == b"ok"


async def test_bytes_on_an_idle_connection_are_never_taken_for_an_answer(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    warm = await _warm_up(shared_sidecar, shared_upstream)
    await warm.send(EVIL)
    await warm.gone()
    async with connected(shared_sidecar.port) as client:
        assert (await client.ask(request(b"GET /"))).content == b"ok"


async def test_the_rest_of_an_upload_is_never_taken_for_the_next_request(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    smuggled = request(b"GET /smuggled")
    shared_upstream.plan(responding_at_once(response(b"401 Unauthorized")), responding(OK))
    raw = request(b"POST /", b"Content-Length: %d" % (len(smuggled) + 4))
    async with connected(shared_sidecar.port) as client:
        await client.send(raw)
        assert (await client.response()).status == 401
        await client.send(b"body" + smuggled)
    async with connected(shared_sidecar.port) as client:
        assert (await client.ask(request(b"GET /next"))).content == b"ok"
    assert [call.request.start_line for call in shared_upstream.calls] == [
        b"POST / HTTP/1.1",
        b"GET /next HTTP/1.1",
    ]


async def test_a_length_that_a_head_answer_announces_is_not_waited_for(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    shared_upstream.plan(responding(head), responding(OK))
    async with connected(shared_sidecar.port) as client:
        assert (await client.ask(request(b"HEAD /"), b"HEAD")).status == 200
        assert (await client.ask(request(b"GET /"))).content == b"ok"
    first, second = shared_upstream.calls
    assert first.writer is second.writer

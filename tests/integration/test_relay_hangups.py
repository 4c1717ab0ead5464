"""One side is gone: the other side learns it at once, and is never told a lie about the body."""

import asyncio
from collections.abc import Callable

import pytest

from tests.neighbours.client import Client, connected
from tests.neighbours.corpus import chunked, request, response, sized
from tests.neighbours.sidecar import Sidecar
from tests.neighbours.upstream import (
    OK,
    Call,
    Upstream,
    endlessly,
    in_pieces,
    never_responding,
    responding,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVENTS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
WAYS_TO_LEAVE = pytest.mark.parametrize(
    "leave", [Client.hang_up, lambda client: client.writer.close()], ids=["reset", "closed"]
)
Leave = Callable[[Client], None]


@WAYS_TO_LEAVE
async def test_a_client_that_leaves_before_the_answer_ends_the_upstream_request(
    leave: Leave, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(never_responding)
    async with connected(shared_sidecar.port) as client:
        await client.send(sized(b"POST /", b"body"))
        call = await shared_upstream.entered()
        leave(client)
        await call.gone()
    assert call.request.complete


@WAYS_TO_LEAVE
async def test_a_client_that_leaves_a_silent_stream_ends_it(
    leave: Leave, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    never = asyncio.Event()
    shared_upstream.plan(in_pieces(EVENTS, never))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /events"))
        await client.read_until(b"\r\n\r\n")
        leave(client)
        await (await shared_upstream.entered()).gone()
    never.set()


@WAYS_TO_LEAVE
async def test_a_client_that_leaves_in_mid_answer_ends_the_upstream_request(
    leave: Leave, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(endlessly(EVENTS, b"8\r\ndata: x\n\r\n"))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /events"))
        await client.read_until(b"data: x\n")
        leave(client)
        await (await shared_upstream.entered()).gone()


@WAYS_TO_LEAVE
@pytest.mark.parametrize(
    "begun",
    [
        request(b"POST /", b"Content-Length: 1000") + b"not all",
        request(b"POST /", b"Transfer-Encoding: chunked") + b"7\r\nnot all\r\n",
        request(b"POST /", b"Transfer-Encoding: chunked") + b"7\r\nnot",
    ],
    ids=["sized", "between chunks", "in a chunk"],
)
async def test_a_client_that_leaves_in_mid_upload_leaves_an_incomplete_request(
    leave: Leave, begun: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    async with connected(shared_sidecar.port) as client:
        await client.send(begun)
        call = await shared_upstream.entered()
        leave(client)
        await call.gone()
        assert not (await call.read_body()).complete


async def test_the_answer_to_a_client_that_left_goes_to_nobody_else(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    gate = asyncio.Event()
    first = response(b"200 OK", body=b"for the first")
    shared_upstream.plan(in_pieces(gate, first), responding(OK))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /first"))
        call = await shared_upstream.entered()
        client.hang_up()
        await call.gone()
    gate.set()
    async with connected(shared_sidecar.port) as client:
        assert (await client.ask(request(b"GET /second"))).content == b"ok"


@pytest.mark.parametrize("end", [Call.close, Call.abort], ids=["closed", "reset"])
@pytest.mark.parametrize(
    "begun",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nnot all",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        EVENTS + b"7\r\nnot all\r\n",
        EVENTS + b"9\r\nnot all",
        EVENTS + b"7\r\nnot all\r\n0\r\n",
        EVENTS,
    ],
    ids=["sized", "head", "between chunks", "in a chunk", "before the trailers", "no chunk"],
)
async def test_an_answer_that_breaks_off_does_not_look_complete(
    begun: bytes, end: Callable[[Call], None], shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    seen = asyncio.Event()

    async def break_off(call: Call) -> None:
        await call.read_body()
        await call.send(begun)
        # A reset would overtake what the sidecar has not read yet.
        await seen.wait()
        end(call)

    shared_upstream.plan(break_off)
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /"))
        head, _, body = begun.partition(b"\r\n\r\n")
        assert (await client.read_until(b"\r\n\r\n")).startswith(head.partition(b"\r\n")[0])
        received = await client.read_exactly(len(body))
        seen.set()
        assert received + await client.read_to_the_end() == body


async def test_a_reset_of_an_response_without_length_is_passed_on_as_a_reset(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    # Nothing but the way in which the connection ends tells this body from a complete one.
    seen = asyncio.Event()

    async def reset(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\n\r\nnot all")
        await seen.wait()
        call.abort()

    shared_upstream.plan(reset)
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /"))
        await client.read_until(b"not all")
        seen.set()
        with pytest.raises(ConnectionResetError):
            assert await client.reader.read()


async def test_an_upload_that_the_upstream_cuts_off_is_answered(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    async def cut(call: Call) -> None:
        call.abort()

    shared_upstream.plan(cut)
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"POST /", b"Content-Length: 1000000") + b"the beginning")
        seen = await client.response()
    assert seen.status == 502
    assert isinstance(seen.detail, str)


async def test_an_answer_given_before_the_upload_is_cut_off_is_not_lost(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    refusal = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

    async def refuse(call: Call) -> None:
        await call.send(refusal)
        call.close()

    shared_upstream.plan(refuse)
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"POST /", b"Content-Length: 1000000") + b"x" * 1000)
        assert (await client.response()).status == 413


async def test_a_client_that_left_does_no_harm_to_the_next(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    for _ in range(20):
        shared_upstream.plan(never_responding)
        async with connected(shared_sidecar.port) as client:
            body = chunked(b"body")
            await client.send(request(b"POST /", b"Transfer-Encoding: chunked", body=body))
            call = await shared_upstream.entered()
            client.hang_up()
            await call.gone()
    shared_upstream.plan(responding(OK))
    async with connected(shared_sidecar.port) as client:
        assert (await client.ask(request(b"GET /"))).content == b"ok"

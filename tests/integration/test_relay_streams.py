"""Nothing is held back: what one side has sent, the other sees before anything more is sent."""

import asyncio

import pytest

from tests.neighbours.client import connected
from tests.neighbours.corpus import chunked, request
from tests.neighbours.sidecar import Sidecar, serving_sidecar
from tests.neighbours.upstream import OK, Call, Upstream, in_pieces, responding_at_once

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVENTS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"


@pytest.mark.parametrize(
    "field", [b"Transfer-Encoding: chunked", b"Content-Length: 9", b"X-Until: close"]
)
async def test_the_head_of_an_answer_comes_before_its_body(
    field: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    body = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n"
    shared_upstream.plan(in_pieces(head, body))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /"))
        assert field in await client.read_until(b"\r\n\r\n")
    body.set()


async def test_an_event_is_seen_before_the_next_one_is_sent(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    gates = [asyncio.Event() for _ in range(10)]
    events = [b"data: %d\n\n" % number for number in range(10)]
    gated = [
        piece
        for gate, event in zip(gates, events, strict=True)
        for piece in (gate, b"9\r\n" + event + b"\r\n")
    ]
    shared_upstream.plan(in_pieces(EVENTS, *gated, LAST_CHUNK))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /events", b"Accept: text/event-stream"))
        await client.read_until(b"\r\n\r\n")
        for gate, event in zip(gates, events, strict=True):
            gate.set()
            assert (await client.read_until(b"\n\n")).endswith(event)


async def test_single_bytes_of_a_sized_body_are_not_gathered(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    gate = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    shared_upstream.plan(in_pieces(head + b"a", gate, b"b"))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /"))
        await client.read_until(b"\r\n\r\n")
        assert await client.read_exactly(1) == b"a"
        gate.set()
        assert await client.read_exactly(1) == b"b"


async def test_the_head_of_a_request_is_forwarded_before_its_body(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(in_pieces(OK))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"POST /", b"Content-Length: 4"))
        call = await shared_upstream.entered()
        assert not call.read.is_set()
        await client.send(b"body")
        assert (await client.response()).status == 200
    assert call.request.content == b"body"


@pytest.mark.parametrize("coding", [b"Transfer-Encoding: chunked", b"Content-Length: 3"])
async def test_pieces_of_a_request_are_forwarded_one_by_one(
    coding: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def tell(call: Call) -> None:
        for letter in (b"a", b"b", b"c"):
            pieces.put_nowait((await call.reader.readuntil(letter))[-1:])
        await call.send(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        call.close()

    shared_upstream.plan(tell)
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"POST /", coding))
        for letter in (b"a", b"b", b"c"):
            # `b` and `c` would be hexadecimal digits in a chunk's size; 1 is the only size here.
            await client.send(b"1\r\n%b\r\n" % letter if b"chunked" in coding else letter)
            async with asyncio.timeout(5):
                assert await pieces.get() == letter
        await client.send(LAST_CHUNK if b"chunked" in coding else b"")
        assert (await client.response()).status == 200


async def test_request_and_answer_stream_at_the_same_time(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    async def echo_lines(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (line := await call.reader.readuntil(b"\n")) != b"end\n":
            await call.send(b"%x\r\n%b\r\n" % (len(line), line))
        await call.send(LAST_CHUNK)

    shared_upstream.plan(echo_lines)
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"POST /", b"Content-Length: 31"))
        await client.read_until(b"\r\n\r\n")
        for number in range(3):
            await client.send(b"line %d..\n" % number)
            assert b"line %d..\n" % number in await client.read_until(b"\n\r\n")
        await client.send(b"end\n")
        assert (await client.read_until(LAST_CHUNK)).endswith(LAST_CHUNK)


async def test_an_answer_that_comes_before_the_body_was_sent_is_relayed_at_once(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    too_large = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    shared_upstream.plan(responding_at_once(too_large))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"POST /", b"Content-Length: 1000000") + b"only the beginning")
        assert (await client.response()).status == 413


async def test_a_refused_expectation_is_relayed_without_asking_for_the_body(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    refusal = b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"
    shared_upstream.plan(responding_at_once(refusal))
    raw = request(b"POST /", b"Expect: 100-continue", b"Content-Length: 1000")
    async with connected(shared_sidecar.port) as client:
        await client.send(raw)
        assert (await client.response()).status == 417


async def test_a_body_is_asked_for_when_the_upstream_asks(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    gate = asyncio.Event()

    async def ask_late(call: Call) -> None:
        await gate.wait()
        await call.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await call.read_body()
        await call.send(OK)

    shared_upstream.plan(ask_late)
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"POST /", b"Expect: 100-continue", b"Content-Length: 4"))
        call = await shared_upstream.entered()
        assert call.request.values(b"Expect") == [b"100-continue"]
        assert await client.hears_nothing_for(0.3)
        gate.set()
        assert (await client.response()).status == 100
        await client.send(b"body")
        assert (await client.response()).status == 200
    assert call.request.content == b"body"


async def test_early_hints_come_before_the_answer(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    gate = asyncio.Event()
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    shared_upstream.plan(in_pieces(hints, gate, OK))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /"))
        assert (await client.response()).head == hints
        gate.set()
        assert (await client.response()).status == 200


async def test_any_number_of_interim_answers_may_come_at_once(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    interim = b"HTTP/1.1 102 Processing\r\n\r\n"
    shared_upstream.plan(in_pieces(interim * 2000 + OK))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /"))
        responses = await client.responses()
    assert [response.status for response in responses] == [102] * 2000 + [200]


async def test_a_silent_stream_outlives_the_time_limit_for_answers(
    shared_upstream: Upstream,
) -> None:
    gate = asyncio.Event()
    shared_upstream.plan(in_pieces(EVENTS, gate, chunked(b"late")))
    async with (
        serving_sidecar(
            shared_upstream.url,
            response_timeout_seconds=0.2,
            upstream_idle_seconds=0.2,
            client_idle_seconds=0.2,
        ) as sidecar,
        connected(sidecar.port) as client,
    ):
        await client.send(request(b"GET /events"))
        await client.read_until(b"\r\n\r\n")
        assert await client.hears_nothing_for(1)
        gate.set()
        assert (await client.read_until(b"late")).endswith(b"late")

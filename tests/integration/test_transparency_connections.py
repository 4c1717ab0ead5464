"""What a connection carries besides one exchange: the next ones, in order, and older clients."""

import asyncio

import pytest

from tests.neighbours.client import connected
from tests.neighbours.corpus import AUTHORITY, chunked, request, response, sized
from tests.neighbours.sidecar import Sidecar
from tests.neighbours.upstream import OK, Call, Upstream, in_pieces, responding

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHUNKED_ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"he", b"llo")


async def _echo_target(call: Call) -> None:
    seen = await call.read_body()
    whole = response(b"200 OK", body=seen.start_line + b"|" + seen.content)
    is_head = seen.start_line.startswith(b"HEAD ")
    await call.send(whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if is_head else whole)


async def test_a_connection_carries_one_request_after_another(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(_echo_target)
    async with connected(shared_sidecar.port) as client:
        for number in range(20):
            raw = sized(b"POST /%d" % number, b"x" * number)
            seen = await client.ask(raw)
            assert seen.content == b"POST /%d HTTP/1.1|%b" % (number, b"x" * number)


async def test_pipelined_requests_are_answered_in_order(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    first = asyncio.Event()
    shared_upstream.plan(in_pieces(first, response(b"200 OK", body=b"first")), _echo_target)
    async with connected(shared_sidecar.port) as client:
        await client.send(
            request(b"GET /1")
            + sized(b"POST /2", b"two")
            + request(b"POST /3", b"Transfer-Encoding: chunked", body=chunked(b"three"))
            + request(b"HEAD /4")
            + request(b"GET /5")
        )
        await shared_upstream.entered()
        first.set()
        bodies = [(await client.response(method)).content for method in _METHODS_OF_FIVE]
    assert bodies == [
        b"first",
        b"POST /2 HTTP/1.1|two",
        b"POST /3 HTTP/1.1|three",
        b"",
        b"GET /5 HTTP/1.1|",
    ]


_METHODS_OF_FIVE = (b"GET", b"POST", b"POST", b"HEAD", b"GET")


async def test_a_head_may_come_byte_by_byte(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(_echo_target)
    async with connected(shared_sidecar.port) as client:
        for byte in sized(b"POST /slow", b"body"):
            await client.send(bytes([byte]))
        assert (await client.response()).content == b"POST /slow HTTP/1.1|body"


async def test_empty_lines_before_a_request_are_ignored(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    # RFC 9112, 2.2: some clients send one behind the body of the request before.
    shared_upstream.plan(_echo_target)
    async with connected(shared_sidecar.port) as client:
        first = await client.ask(sized(b"POST /1", b"one") + b"\r\n")
        second = await client.ask(request(b"GET /2"))
    assert (first.content, second.content) == (b"POST /1 HTTP/1.1|one", b"GET /2 HTTP/1.1|")


@pytest.mark.parametrize(
    "raw",
    [
        request(b"GET /", b"Connection: close"),
        request(b"GET /", b"Connection: X-A, Close", b"X-A: 1"),
        b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    ],
    ids=["close", "close in a list", "HTTP/1.0"],
)
async def test_a_client_that_asks_for_an_end_gets_it_after_the_answer(
    raw: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    async with connected(shared_sidecar.port) as client:
        assert (await client.ask(raw)).content == b"ok"
        assert await client.read_to_the_end() == b""


async def test_an_http_1_0_client_may_keep_the_connection(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    raw = b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
    async with connected(shared_sidecar.port) as client:
        first = await client.ask(raw)
        assert first.values(b"Connection") == [b"keep-alive"]
        assert (await client.ask(raw)).content == b"ok"


async def test_an_http_1_0_client_gets_no_chunks(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(CHUNKED_ANSWER))
    async with connected(shared_sidecar.port) as client:
        seen = await client.ask(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    assert (seen.is_chunked, seen.body) == (False, b"hello")


async def test_an_http_1_0_client_gets_no_interim_answers(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    # RFC 9110, 15.2: HTTP/1.0 knows no 1xx.
    shared_upstream.plan(responding(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK))
    async with connected(shared_sidecar.port) as client:
        await client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        assert (await client.response()).status == 200


async def test_an_http_1_0_request_without_host_becomes_a_valid_one(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    async with connected(shared_sidecar.port) as client:
        assert (await client.ask(b"GET / HTTP/1.0\r\n\r\n")).content == b"ok"
    seen = (await shared_upstream.entered()).request
    # RFC 9112, 3.2: HTTP/1.1 requires the field, and lets it be empty.
    assert seen.start_line == b"GET / HTTP/1.1"
    assert len(seen.values(b"Host")) == 1


async def test_the_answer_says_when_the_connection_ends(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(response(b"200 OK", body=None) + b"all", then_close=True))
    async with connected(shared_sidecar.port) as client:
        seen = await client.ask(request(b"GET /"))
    assert seen.is_chunked or seen.values(b"Connection") == [b"close"]
    assert seen.content == b"all"


async def test_the_end_of_an_upstream_connection_does_not_end_the_clients(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    closing = response(b"200 OK", b"Connection: close")
    shared_upstream.plan(responding(closing, then_close=True))
    async with connected(shared_sidecar.port) as client:
        for _ in range(3):
            seen = await client.ask(request(b"GET /"))
            assert (seen.content, seen.values(b"Connection")) == (b"ok", [])


async def test_the_authority_reaches_the_upstream_as_the_client_wrote_it(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    async with connected(shared_sidecar.port) as client:
        await client.ask(request(b"GET /"))
    assert (await shared_upstream.entered()).request.values(b"Host") == [AUTHORITY]

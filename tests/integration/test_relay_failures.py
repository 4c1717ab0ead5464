"""An upstream that is away, slow or broken: 502 and 504, in the API's own shape."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import pytest_asyncio

from tests.neighbours.client import connected
from tests.neighbours.corpus import chunked, request, sized
from tests.neighbours.messages import Message
from tests.neighbours.services import refusing_port
from tests.neighbours.sidecar import Sidecar, serving_sidecar
from tests.neighbours.upstream import (
    OK,
    Call,
    Upstream,
    in_pieces,
    never_responding,
    responding,
    running_upstream,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

OK_HEAD = b"HTTP/1.1 200 OK\r\n"


def _is_our_error(seen: Message, status: int) -> bool:
    """Say whether *seen* is an error of ours: JSON that says in one sentence what is wrong."""
    assert seen.status == status, seen
    assert seen.values(b"Content-Type")[0].startswith(b"application/json")
    assert seen.values(b"Content-Length") == [b"%d" % len(seen.body)]
    return isinstance(seen.detail, str) and bool(seen.detail)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def impatient_sidecar(shared_upstream: Upstream) -> AsyncIterator[Sidecar]:
    async with serving_sidecar(shared_upstream.url, response_timeout_seconds=0.3) as service:
        yield service


async def test_an_unreachable_upstream_is_502() -> None:
    with refusing_port() as port:
        async with (
            serving_sidecar(f"http://127.0.0.1:{port}") as sidecar,
            connected(sidecar.port) as client,
        ):
            assert _is_our_error(await client.ask(request(b"GET /")), 502)
            to_head = await client.ask(request(b"HEAD /"), b"HEAD")
            assert (to_head.status, to_head.body) == (502, b"")
            assert _is_our_error(await client.ask(sized(b"POST /", b"body")), 502)


async def test_an_upstream_that_appears_later_is_used() -> None:
    async with running_upstream() as upstream:
        url = upstream.url
    async with serving_sidecar(url) as sidecar, connected(sidecar.port) as client:
        assert (await client.ask(request(b"GET /"))).status == 502
        async with running_upstream(port=upstream.port):
            assert (await client.ask(request(b"GET /"))).status == 200


async def test_an_upstream_that_takes_no_connection_is_504() -> None:
    with _full_port() as port:
        async with (
            serving_sidecar(f"http://127.0.0.1:{port}", connect_timeout_seconds=0.3) as sidecar,
            connected(sidecar.port) as client,
        ):
            assert _is_our_error(await client.ask(request(b"GET /")), 504)


@contextmanager
def _full_port() -> Iterator[int]:
    """Keep a port where connections are neither accepted nor refused."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        # Linux takes one connection more than the backlog says, then ignores the next.
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_an_upstream_that_does_not_answer_is_504_and_let_go(
    impatient_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(never_responding)
    async with connected(impatient_sidecar.port) as client:
        assert _is_our_error(await client.ask(sized(b"POST /", b"body")), 504)
        await (await shared_upstream.entered()).gone()
    shared_upstream.plan(responding(OK))
    async with connected(impatient_sidecar.port) as client:
        assert (await client.ask(request(b"GET /"))).status == 200


async def test_interim_answers_do_not_count_as_the_answer(
    impatient_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(in_pieces(b"HTTP/1.1 102 Processing\r\n\r\n", asyncio.Event()))
    async with connected(impatient_sidecar.port) as client:
        assert _is_our_error(await client.ask(request(b"GET /")), 504)


async def test_an_upload_has_no_time_limit_while_it_goes_on(
    impatient_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    async with connected(impatient_sidecar.port) as client:
        await client.send(request(b"POST /", b"Content-Length: 4") + b"bo")
        assert await client.hears_nothing_for(0.6)
        await client.send(b"dy")
        assert (await client.response()).content == b"ok"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        OK_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
        OK_HEAD + b"Content-Length: -2\r\n\r\nok",
        OK_HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"ok"),
        OK_HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + chunked(b"ok"),
        OK_HEAD + b"X-A: 1\r\n folded\r\nContent-Length: 2\r\n\r\nok",
        OK_HEAD + b"X-A : 1\r\nContent-Length: 2\r\n\r\nok",
        OK_HEAD + b"X-A: a\x00b\r\nContent-Length: 2\r\n\r\nok",
        OK_HEAD + b"X-Long: " + b"x" * 2**20 + b"\r\n\r\n",
    ],
    ids=[
        *("nothing", "half a head", "another protocol", "another version", "long status"),
        *("no status", "two lengths", "negative length", "length and chunks", "unknown coding"),
        *("folded field", "space before colon", "NUL", "endless field"),
    ],
)
async def test_an_answer_that_is_none_is_502(
    raw: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(raw, then_close=True))
    async with connected(shared_sidecar.port) as client:
        assert _is_our_error(await client.ask(sized(b"POST /", b"body")), 502)


@pytest.mark.parametrize(
    "broken", [b"zz\r\nok\r\n", b"2\r\nokk\r\n", b"2\nok\n0\n\n", b"-2\r\nok\r\n"]
)
async def test_a_broken_chunk_breaks_the_answer_off(
    broken: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    begun = OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n"
    shared_upstream.plan(in_pieces(begun, broken + b"0\r\n\r\n"))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /"))
        seen = await client.response()
        assert (seen.status, seen.complete) == (200, False)


async def test_many_failures_leave_the_sidecar_sound(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    async def vanish(call: Call) -> None:
        call.abort()

    shared_upstream.plan(vanish)
    async with connected(shared_sidecar.port) as client:
        for _ in range(30):
            assert (await client.ask(request(b"POST /"))).status == 502
        shared_upstream.plan(responding(OK))
        assert (await client.ask(sized(b"POST /", b"body"))).status == 200

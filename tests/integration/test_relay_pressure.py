"""A side that does not read holds the other one up; the sidecar's memory does not pay for it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.neighbours.client import PATIENCE_SECONDS, connected
from tests.neighbours.corpus import request
from tests.neighbours.services import Service, running_sidecar
from tests.neighbours.upstream import OK, Call, Upstream, never_responding

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEBIBYTE = 2**20
PIECE = b"x" * (MEBIBYTE // 4)
SWITCH = request(b"GET /", b"Connection: Upgrade", b"Upgrade: frob")
SWITCHED = b"HTTP/1.1 101 Frobbing\r\nUpgrade: frob\r\nConnection: Upgrade\r\n\r\n"


def _kernels_most(direction: str) -> int:
    """Return how large the kernel may let a socket's buffer become."""
    return int(Path(f"/proc/sys/net/ipv4/tcp_{direction}mem").read_text().split()[2])


IN_TRANSIT_BYTES = 2 * (_kernels_most("r") + _kernels_most("w")) + 8 * MEBIBYTE
"""What the kernel's buffers of two connections may hold, and a little for the sidecar."""
BODY_BYTES = max(200 * MEBIBYTE, 2 * IN_TRANSIT_BYTES)
MEMORY_BYTES = 24 * MEBIBYTE
"""What the sidecar may need for a body of any size."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_sidecar(shared_upstream: Upstream) -> AsyncIterator[Service]:
    """A sidecar in a process of its own, whose memory can be told from the test's."""
    # Exchanges that hold each other up are left at the end: it is not to wait for them long.
    async with running_sidecar(shared_upstream.url, PROXY_STOP_SECONDS="1") as service:
        yield service


async def _send_until_blocked(
    writer: asyncio.StreamWriter, at_most: int, piece: bytes = PIECE
) -> int:
    """Return how many bytes were sent before nothing was taken for a second."""
    sent = 0
    while sent < at_most:
        writer.write(piece)
        sent += len(piece)
        try:
            async with asyncio.timeout(1):
                await writer.drain()
        except TimeoutError:
            break
    return sent


async def _send_the_rest(writer: asyncio.StreamWriter, sent: int) -> None:
    while sent < BODY_BYTES:
        writer.write(PIECE)
        await writer.drain()
        sent += len(PIECE)


async def _count(reader: asyncio.StreamReader, expected: int) -> int:
    """Read *expected* bytes and throw them away."""
    got = 0
    async with asyncio.timeout(60):
        while got < expected and (data := await reader.read(MEBIBYTE)):
            got += len(data)
    return got


async def test_a_client_that_does_not_read_holds_the_upstream_up(
    shared_sidecar: Service, shared_upstream: Upstream
) -> None:
    blocked: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def give(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES)
        sent = await _send_until_blocked(call.writer, BODY_BYTES)
        blocked.set_result(sent)
        await _send_the_rest(call.writer, sent)

    shared_upstream.plan(give)
    before = shared_sidecar.peak_bytes
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /"))
        await client.read_until(b"\r\n\r\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await blocked < IN_TRANSIT_BYTES
        assert await _count(client.reader, BODY_BYTES) == BODY_BYTES
    assert shared_sidecar.peak_bytes - before < MEMORY_BYTES


async def test_an_upstream_that_does_not_read_holds_the_client_up(
    shared_sidecar: Service, shared_upstream: Upstream
) -> None:
    may_read = asyncio.Event()
    got: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def take_late(call: Call) -> None:
        await may_read.wait()
        got.set_result(await _count(call.reader, BODY_BYTES))
        await call.send(OK)

    shared_upstream.plan(take_late)
    before = shared_sidecar.peak_bytes
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"PUT /", b"Content-Length: %d" % BODY_BYTES))
        sent = await _send_until_blocked(client.writer, BODY_BYTES)
        assert sent < IN_TRANSIT_BYTES
        may_read.set()
        await _send_the_rest(client.writer, sent)
        assert (await client.response()).status == 200
    assert await got == BODY_BYTES
    assert shared_sidecar.peak_bytes - before < MEMORY_BYTES


async def test_a_client_that_reads_nothing_and_hangs_up_is_noticed(
    shared_sidecar: Service, shared_upstream: Upstream
) -> None:
    blocked = asyncio.Event()

    async def give(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES)
        await _send_until_blocked(call.writer, BODY_BYTES)
        blocked.set()
        await call.hung_up.wait()

    shared_upstream.plan(give)
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /"))
        call = await shared_upstream.entered()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await blocked.wait()
        client.hang_up()
        await call.gone()


async def test_a_tunnel_holds_the_client_up_while_the_upstream_does_not_read(
    shared_sidecar: Service, shared_upstream: Upstream
) -> None:
    async def switch_and_stop(call: Call) -> None:
        await call.send(SWITCHED)
        await call.hung_up.wait()

    shared_upstream.plan(switch_and_stop)
    before = shared_sidecar.peak_bytes
    async with connected(shared_sidecar.port) as client:
        await client.send(SWITCH)
        await client.response()
        assert await _send_until_blocked(client.writer, BODY_BYTES) < IN_TRANSIT_BYTES
        client.hang_up()
    assert shared_sidecar.peak_bytes - before < MEMORY_BYTES


async def test_a_tunnel_holds_the_upstream_up_while_the_client_does_not_read(
    shared_sidecar: Service, shared_upstream: Upstream
) -> None:
    blocked: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def switch_and_give(call: Call) -> None:
        await call.send(SWITCHED)
        blocked.set_result(await _send_until_blocked(call.writer, BODY_BYTES))

    shared_upstream.plan(switch_and_give)
    before = shared_sidecar.peak_bytes
    async with connected(shared_sidecar.port) as client:
        await client.send(SWITCH)
        await client.response()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await blocked < IN_TRANSIT_BYTES
    assert shared_sidecar.peak_bytes - before < MEMORY_BYTES


@pytest.mark.parametrize("begun", [SWITCH, request(b"GET /")], ids=["an upgrade", "a call"])
async def test_a_client_that_goes_on_without_waiting_for_the_answer_is_held_up(
    begun: bytes, shared_sidecar: Service, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(never_responding)
    before = shared_sidecar.peak_bytes
    async with connected(shared_sidecar.port) as client:
        await client.send(begun)
        await shared_upstream.entered()
        more = b"GET / HTTP/1.1\r\n" * 10_000
        assert await _send_until_blocked(client.writer, BODY_BYTES, more) < IN_TRANSIT_BYTES
    assert shared_sidecar.peak_bytes - before < MEMORY_BYTES


async def test_requests_sent_ahead_are_held_up_too(
    shared_sidecar: Service, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(never_responding)
    before = shared_sidecar.peak_bytes
    ahead = request(b"GET /ahead") * 5_000
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"GET /first"))
        await shared_upstream.entered()
        assert await _send_until_blocked(client.writer, BODY_BYTES, ahead) < IN_TRANSIT_BYTES
    assert shared_sidecar.peak_bytes - before < MEMORY_BYTES
    assert len(shared_upstream.calls) == 1


async def test_one_slow_client_does_not_hold_up_another(
    shared_sidecar: Service, shared_upstream: Upstream
) -> None:
    async def give(call: Call) -> None:
        await call.read_body()
        if b"/slow" not in call.head:
            await call.send(OK)
            return
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES)
        await _send_until_blocked(call.writer, BODY_BYTES)

    shared_upstream.plan(give)
    async with connected(shared_sidecar.port) as slow, connected(shared_sidecar.port) as quick:
        await slow.send(request(b"GET /slow"))
        await slow.read_until(b"\r\n\r\n")
        for _ in range(20):
            assert (await quick.ask(request(b"GET /quick"))).content == b"ok"

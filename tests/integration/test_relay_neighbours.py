"""What one client does is not felt by another, though both share the upstream's connections."""

import asyncio

from tests.neighbours.client import connected
from tests.neighbours.services import running_sidecar
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.upstream import OK, never_responding, responding

BIG = 4 * 1024 * 1024
QUICK = b"GET /quick HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_a_client_that_does_not_read_holds_nobody_else_up(sidecar, upstream):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG
    sent = asyncio.Event()

    async def send_much(call):
        await call.read_body()
        await call.send(head + bytes(BIG))
        sent.set()

    upstream.plan(send_much, responding(OK))
    async with connected(sidecar.port) as lazy, connected(sidecar.port) as quick:
        await lazy.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        await lazy.read_until(b"\r\n\r\n")
        for _ in range(5):
            assert (await quick.ask(QUICK)).content == b"ok"
        # It reads at last, and its response is whole.
        assert len(await lazy.read_exactly(BIG)) == BIG
        await sent.wait()
        assert (await quick.ask(QUICK)).content == b"ok"


async def test_bytes_that_nobody_asked_for_are_nobodys_answer(sidecar, upstream):
    async def respond_twice(call):
        await call.read_body()
        await call.send(OK)
        await call.send(OK.replace(b"ok", b"no"))

    upstream.plan(respond_twice)
    async with connected(sidecar.port) as client:
        for _ in range(30):
            assert (await client.ask(QUICK)).content == b"ok"


async def test_a_client_that_never_reads_our_refusals_does_not_fill_our_memory(upstream):
    refused = (
        b"GET /api/x HTTP/1.1\r\nHost: a\r\n" + b"Authorization: Bearer pwm_x\r\n" * 2 + b"\r\n"
    )
    async with running_sidecar(upstream.url) as sidecar, connected(sidecar.port) as client:
        before = sidecar.peak_bytes
        async with asyncio.timeout(30):
            blocked = await _send_until_blocked(client, refused * 1_000, 60_000_000)
        assert sidecar.peak_bytes - before < 32_000_000
    assert blocked


async def _send_until_blocked(client, piece, limit):
    """Send until nothing is taken in for a while; say whether that came before *limit* bytes."""
    sent = 0
    while sent < limit:
        client.writer.write(piece)
        sent += len(piece)
        try:
            async with asyncio.timeout(1):
                await client.writer.drain()
        except TimeoutError:
            return True
    return False


async def test_a_body_that_does_not_come_is_408_and_ends_the_upstream_request(upstream):
    upstream.plan(never_responding)
    async with (
        serving_sidecar(upstream.url, body_timeout_seconds=0.5) as sidecar,
        connected(sidecar.port) as client,
    ):
        await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        response = await client.response()
        call = await upstream.entered()
        await call.gone()

    assert response.status == 408
    assert isinstance(response.detail, str)

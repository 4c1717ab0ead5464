"""WebSockets and other upgrades: after the 101 both directions carry bytes that nobody reads."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.neighbours.client import PATIENCE_SECONDS, connected
from tests.neighbours.corpus import request, response
from tests.neighbours.sidecar import Sidecar, serving_sidecar
from tests.neighbours.upstream import OK, Call, Upstream, responding, switching_to_echo

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEBSOCKET = request(
    b"GET /ws?a=%2F",
    b"Upgrade: websocket",
    b"Connection: keep-alive, Upgrade",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Protocol: v2.logs, v1.logs",
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    b"Origin: http://podwarden.test",
)
WEBSOCKET_ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    b"Sec-WebSocket-Protocol: v1.logs\r\n"
    b"\r\n"
)
FROB = request(b"GET /frob", b"Connection: Upgrade", b"Upgrade: frob/1.1")
FROB_ACCEPTED = b"HTTP/1.1 101 Frobbing\r\nUpgrade: frob/1.1\r\nConnection: Upgrade\r\n\r\n"
TEXT = b"\x81\x85\x01\x02\x03\x04ieohn"
PING = b"\x89\x80\x01\x02\x03\x04"
CLOSE_4001 = b"\x88\x82\x00\x00\x00\x00\x0f\xa1"


async def test_a_websocket_is_relayed_frame_by_frame_with_its_closing(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(switching_to_echo(WEBSOCKET_ACCEPTED))
    async with connected(shared_sidecar.port) as client:
        await client.send(WEBSOCKET)
        assert (await client.response()).head == WEBSOCKET_ACCEPTED
        for frame in (TEXT, PING, CLOSE_4001):
            await client.send(frame)
            assert await client.read_exactly(len(frame)) == frame
    call = await shared_upstream.entered()
    await call.gone()
    seen = call.request
    assert seen.start_line == b"GET /ws?a=%2F HTTP/1.1"
    assert seen.values(b"Upgrade") == [b"websocket"]
    assert [value.lower() for value in seen.values(b"Connection")] == [b"upgrade"]
    negotiated = [line for line in seen.field_lines if line.startswith(b"Sec-WebSocket-")]
    assert len(negotiated) == 4
    assert all(line in WEBSOCKET for line in negotiated)


async def test_another_protocol_is_relayed_byte_by_byte(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(switching_to_echo(FROB_ACCEPTED))
    async with connected(shared_sidecar.port) as client:
        await client.send(FROB)
        assert (await client.response()).head == FROB_ACCEPTED
        for byte in bytes(range(256)) + b"GET / HTTP/1.1\r\n\r\n":
            await client.send(bytes([byte]))
            assert await client.read_exactly(1) == bytes([byte])


async def test_the_upstream_may_speak_first(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(switching_to_echo(FROB_ACCEPTED + b"welcome"))
    async with connected(shared_sidecar.port) as client:
        await client.send(FROB)
        assert (await client.response()).status == 101
        assert await client.read_exactly(7) == b"welcome"


async def test_bytes_that_a_hasty_client_sends_behind_its_request_are_kept(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(switching_to_echo(FROB_ACCEPTED))
    async with connected(shared_sidecar.port) as client:
        await client.send(FROB + b"hasty")
        assert (await client.response()).status == 101
        assert await client.read_exactly(5) == b"hasty"


async def test_much_may_pass_in_both_directions(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    much = bytes(range(256)) * 2**15
    shared_upstream.plan(switching_to_echo(FROB_ACCEPTED))
    async with connected(shared_sidecar.port) as client:
        await client.send(FROB)
        await client.response()
        echo = asyncio.ensure_future(client.read_exactly(len(much)))
        await client.send(much)
        assert await echo == much


async def test_the_end_of_one_direction_leaves_the_other_open(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    async def respond_at_the_end(call: Call) -> None:
        await call.send(FROB_ACCEPTED)
        heard = await call.reader.read()
        await call.send(b"heard " + heard)
        call.close()

    shared_upstream.plan(respond_at_the_end)
    async with connected(shared_sidecar.port) as client:
        await client.send(FROB)
        await client.response()
        await client.send(b"all")
        client.end_sending()
        assert await client.read_to_the_end() == b"heard all"


async def test_a_client_that_vanishes_ends_the_upgrade(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(switching_to_echo(FROB_ACCEPTED))
    async with connected(shared_sidecar.port) as client:
        await client.send(FROB)
        await client.response()
        client.hang_up()
        await (await shared_upstream.entered()).gone()


async def test_an_upstream_that_vanishes_ends_the_upgrade(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    async def vanish(call: Call) -> None:
        await call.send(FROB_ACCEPTED)
        await call.reader.readexactly(1)
        call.abort()

    shared_upstream.plan(vanish)
    async with connected(shared_sidecar.port) as client:
        await client.send(FROB)
        await client.response()
        await client.send(b"x")
        assert await client.read_to_the_end() == b""


@pytest.mark.parametrize(
    "refusal",
    [
        response(b"426 Upgrade Required", body=b"no"),
        response(b"403 Forbidden", body=b"no"),
        response(b"200 OK", body=b"no"),
    ],
    ids=["426", "403", "200"],
)
async def test_an_upgrade_that_is_refused_is_an_ordinary_exchange(
    refusal: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(refusal), responding(OK))
    async with connected(shared_sidecar.port) as client:
        refused = await client.ask(WEBSOCKET)
        assert refused.head + refused.body == refusal
        assert (await client.ask(request(b"GET /next"))).content == b"ok"


async def test_a_switch_that_nobody_asked_for_is_the_upstreams_fault(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    # RFC 9110, 7.8: a server must not switch to a protocol that the client did not name.
    shared_upstream.plan(responding(FROB_ACCEPTED))
    async with connected(shared_sidecar.port) as client:
        seen = await client.ask(request(b"GET /"))
    assert seen.status == 502


async def test_h2c_is_never_offered_to_the_upstream(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    # Inside an h2c connection calls could pass unseen.
    shared_upstream.plan(responding(OK))
    fields = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
    async with connected(shared_sidecar.port) as client:
        assert (await client.ask(request(b"GET /", *fields))).status == 200
    assert (await shared_upstream.entered()).request.values(b"Upgrade") == []


@pytest.fixture
async def chat() -> AsyncIterator[TestServer]:
    """An ordinary aiohttp server with a WebSocket."""

    async def handle(seen: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("v1.logs",), heartbeat=10)
        await socket.prepare(seen)
        async for message in socket:
            if message.data == "bye":
                await socket.close(code=4001, message=b"as you like")
            elif message.type is aiohttp.WSMsgType.TEXT:
                await socket.send_str(message.data.upper())
            else:
                await socket.send_bytes(message.data[::-1])
        return socket

    application = web.Application()
    application.router.add_get("/chat", handle)
    server = TestServer(application)
    await server.start_server()
    yield server
    await server.close()


@pytest.mark.asyncio(loop_scope="function")
async def test_ordinary_websocket_libraries_agree_through_the_sidecar(chat: TestServer) -> None:
    async with (
        serving_sidecar(f"http://127.0.0.1:{chat.port}") as sidecar,
        aiohttp.ClientSession() as session,
        asyncio.timeout(PATIENCE_SECONDS),
        session.ws_connect(
            f"{sidecar.url}/chat", protocols=("v2.logs", "v1.logs"), compress=15
        ) as socket,
    ):
        assert socket.protocol == "v1.logs"
        await socket.send_str("hello")
        assert await socket.receive_str() == "HELLO"
        await socket.send_bytes(b"\x00\x01" * 50_000)
        assert await socket.receive_bytes() == b"\x01\x00" * 50_000
        await socket.send_str("bye")
        end = await socket.receive()
        assert (end.type, end.data, end.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "as you like")


@pytest.mark.parametrize("leave", ["ends its half", "closes"])
async def test_all_that_a_client_sent_through_a_tunnel_arrives_though_the_upstream_is_slow(
    leave: str, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    body = b"x" * 8_000_000
    may_read = asyncio.Event()
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def read_late(call: Call) -> None:
        await call.send(FROB_ACCEPTED)
        await may_read.wait()
        arrived.set_result(await call.reader.read(-1))

    shared_upstream.plan(read_late)
    async with connected(shared_sidecar.port) as client:
        await client.send(FROB)
        await client.response()
        client.writer.write(body)
        if leave == "closes":
            client.writer.close()
        else:
            client.end_sending()
        await asyncio.sleep(0)
        may_read.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert len(await arrived) == len(body)

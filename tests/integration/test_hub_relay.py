"""The Hub tunnel through the sidecar: a real WebSocket server, client and PostgreSQL."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from audit_log.record import Origin, Outcome, ToolOutcome
from tests.neighbours.patience import PATIENCE_SECONDS
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.trail import recorded


class Hub:
    """A Hub that sends what it is told through the tunnel that PodWarden has opened."""

    def __init__(self):
        self.requests: list[web.Request] = []
        self.tunnel: asyncio.Future[web.WebSocketResponse] = asyncio.Future()
        self.heard: asyncio.Queue[aiohttp.WSMessage] = asyncio.Queue()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def open_tunnel(self, request):
        self.requests.append(request)
        socket = web.WebSocketResponse(
            protocols=["podwarden-tunnel"], autoclose=False, max_msg_size=0
        )
        await socket.prepare(request)
        self.tunnel.set_result(socket)
        async for message in socket:
            self.heard.put_nowait(message)
        await self.may_end.wait()
        await socket.close()
        self.heard.put_nowait(aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, socket.close_code, ""))
        return socket

    async def plain(self, request):
        self.requests.append(request)
        return web.Response(text="hub", headers={"X-Hub": "1"})


@pytest.fixture
async def hub():
    return Hub()


@pytest.fixture
async def hub_url(hub, aiohttp_server):
    app = web.Application()
    app.router.add_get("/tunnel", hub.open_tunnel)
    app.router.add_get("/plain", hub.plain)
    server = await aiohttp_server(app)
    return f"ws://127.0.0.1:{server.port}"


@pytest.fixture
async def sidecar(upstream, database_url, hub_url):
    async with serving_sidecar(upstream.url, database_url, hub_url=hub_url, hub_port=0) as service:
        yield service


@pytest.fixture
async def podwarden(sidecar, hub):
    """The tunnel as PodWarden dials it: to us, in place of the Hub."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"http://127.0.0.1:{sidecar.hub_port}/tunnel?node=1",
            protocols=["podwarden-tunnel"],
            headers={"Authorization": "Bearer pwc_key"},
            compress=15,
        ) as socket,
    ):
        await hub.tunnel
        yield socket


def tool_call(rpc_id, tool="list_clusters"):
    params = {"name": tool, "arguments": {"filter": "x" * 300}}
    return {"jsonrpc": "2.0", "id": rpc_id, "method": "tools/call", "params": params}


async def ask(hub, podwarden, message):
    """Let the Hub send *message*; return it as PodWarden heard it."""
    await (await hub.tunnel).send_str(json.dumps(message))
    async with asyncio.timeout(PATIENCE_SECONDS):
        return json.loads((await podwarden.receive()).data)


async def respond(hub, podwarden, message):
    """Let PodWarden send *message*; return it as the Hub heard it."""
    await podwarden.send_str(json.dumps(message))
    async with asyncio.timeout(PATIENCE_SECONDS):
        return json.loads((await hub.heard.get()).data)


async def test_a_tool_call_of_the_hub_is_one_entry_as_documented(sidecar, hub, podwarden, store):
    call = tool_call(1)
    result = {"jsonrpc": "2.0", "id": 1, "result": {"content": [], "isError": False}}

    assert await ask(hub, podwarden, call) == call
    assert await respond(hub, podwarden, result) == result

    [record] = await recorded(store, 1)
    assert (record.token_name, record.method) == ("Hub Tunnel (hub)", "TOOL")
    assert (record.path, record.status_code) == ("/mcp/tool/list_clusters", 200)
    assert (record.token_id, record.outcome) == (None, Outcome.COMPLETED)
    assert record.tool == "list_clusters"


@pytest.mark.parametrize(
    ("ending", "status", "outcome"),
    [
        ({"result": {"content": [], "isError": True}}, 500, Outcome.COMPLETED),
        ({"error": {"code": -32602, "message": "Unknown tool: x"}}, 404, Outcome.COMPLETED),
        ({"error": {"code": -32603, "message": "no"}}, 400, Outcome.COMPLETED),
    ],
)
async def test_the_status_tells_how_the_tool_call_ended(
    ending, status, outcome, sidecar, hub, podwarden, store
):
    await ask(hub, podwarden, {"type": "rpc", "payload": tool_call("a")})
    await respond(hub, podwarden, {"payload": {"jsonrpc": "2.0", "id": "a", **ending}})

    [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (status, outcome)


async def test_a_tunnel_that_ends_leaves_its_open_tool_calls_as_the_caller_gone(
    sidecar, hub, podwarden, store
):
    await ask(hub, podwarden, tool_call(1, "deploy/../workload"))
    await podwarden.close(code=4001, message=b"bye")
    async with asyncio.timeout(PATIENCE_SECONDS):
        closed = await hub.heard.get()

    [record] = await recorded(store, 1)
    assert closed.data == 4001
    assert (record.status_code, record.outcome) == (499, Outcome.CLIENT_CLOSED)
    assert record.path == "/mcp/tool/deploy%2F..%2Fworkload"


async def test_everything_else_passes_and_leaves_nothing(sidecar, hub, podwarden, store):
    for message in ({"type": "hello"}, [1, 2], {"jsonrpc": "2.0", "method": "ping", "id": 9}):
        assert await ask(hub, podwarden, message) == message
        assert await respond(hub, podwarden, message) == message
    await (await hub.tunnel).send_bytes(b"\x00\xff" * 50_000)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await podwarden.receive()).data == b"\x00\xff" * 50_000

    await ask(hub, podwarden, tool_call(1))
    await respond(hub, podwarden, {"jsonrpc": "2.0", "id": 1, "result": {}})
    await recorded(store, 1)


async def test_the_hub_sees_its_own_name_and_the_client_as_it_is(sidecar, hub, podwarden, hub_url):
    [request] = hub.requests

    assert request.headers["Host"] == hub_url.removeprefix("ws://")
    assert request.headers["Authorization"] == "Bearer pwc_key"
    assert "X-Forwarded-For" not in request.headers
    assert request.query_string == "node=1"
    assert podwarden.protocol == "podwarden-tunnel"
    assert podwarden.compress


async def test_plain_http_to_the_hub_is_relayed_too(sidecar, hub):
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{sidecar.hub_port}/plain") as got,
    ):
        assert (await got.text(), got.headers["X-Hub"]) == ("hub", "1")


async def test_an_invocation_is_kept_beside_the_entry(sidecar, hub, podwarden, store, database):
    await ask(hub, podwarden, tool_call(1))
    await respond(hub, podwarden, {"jsonrpc": "2.0", "id": 1, "result": {"isError": True}})
    [record] = await recorded(store, 1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (rows := await database.fetch("SELECT * FROM mcp_tool_invocation")):
            await asyncio.sleep(0.05)

    [row] = rows
    assert (row["id"], row["tool"]) == (record.invocation_id, "list_clusters")
    assert (row["outcome"], row["origin"]) == (ToolOutcome.TOOL_ERROR, Origin.HUB)


async def test_after_a_large_response_the_tunnel_is_still_read(sidecar, hub, podwarden, store):
    await ask(hub, podwarden, tool_call(1))
    await podwarden.send_str(
        json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"text": "a" * 3_000_000}})
    )
    await ask(hub, podwarden, tool_call(2))
    await podwarden.send_bytes(b'{"jsonrpc":"2.0","id":2,"result":{}}')

    records = await recorded(store, 2)
    assert {record.status_code for record in records} == {200}


async def test_a_message_that_costs_too_much_is_a_gap_and_the_next_one_is_read(
    sidecar, hub, podwarden, store
):
    costly = {"x": {str(number): number for number in range(5_000)}, **tool_call(1)}
    await ask(hub, podwarden, costly)
    await ask(hub, podwarden, tool_call(2))
    await respond(hub, podwarden, {"jsonrpc": "2.0", "id": 2, "result": {}})

    [record] = await recorded(store, 1)
    assert record.status_code == 200
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (gaps := await store.gaps()):
            await asyncio.sleep(0.01)
    assert [(gap.reason, gap.count) for gap in gaps] == [("unreadable", 1)]


async def test_tool_calls_end_when_podwarden_closes_whatever_the_hub_does(
    sidecar, hub, podwarden, store
):
    await ask(hub, podwarden, tool_call(1))
    hub.may_end.clear()
    await podwarden.send_frame(b"", aiohttp.WSMsgType.CLOSE)

    [record] = await recorded(store, 1)
    assert record.status_code == 499
    hub.may_end.set()


async def test_other_calls_go_on_while_thousands_of_responses_are_read(
    sidecar, hub, podwarden, upstream
):
    count = 3_000
    socket = await hub.tunnel
    for number in range(count):
        await socket.send_str(json.dumps(tool_call(number)))
        await podwarden.receive()
    async with aiohttp.ClientSession() as other:
        url = f"http://127.0.0.1:{sidecar.port}/health"
        async with other.get(url) as response:
            await response.read()
        for number in reversed(range(count)):
            result = {"jsonrpc": "2.0", "id": number, "result": {"text": str(number) * 20}}
            await podwarden.send_str(json.dumps(result))
        async with asyncio.timeout(PATIENCE_SECONDS), other.get(url) as response:
            await response.read()

    assert hub.heard.qsize() < count

"""What nobody should send to an MCP server passes all the same, and harms nothing."""

import asyncio
import contextlib
import gzip
import json
import zlib

import pytest

from audit_log.record import ToolOutcome
from tests.mcp.invocations import invocations
from tests.mcp.tool_requests import MODERN, OK, body_calling, head_posting, posting, response
from tests.neighbours.client import connected
from tests.neighbours.ops import metric
from tests.neighbours.services import running_sidecar
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.upstream import in_pieces, never_responding, responding

MIB = 2**20


@pytest.fixture
async def sidecar(upstream, database_url):
    async with serving_sidecar(upstream.url, database_url) as sidecar:
        yield sidecar


@pytest.fixture
async def sidecar_process(upstream, database_url):
    """A sidecar in a process of its own, whose memory can be told from the test's."""
    async with running_sidecar(upstream.url, database_url) as service:
        yield service


NO_TOOL_CALLS = [
    b"",
    b"no JSON",
    b"[]",
    b'"tools/call"',
    b'{"method":"tools/call"',
    b'{"method" "tools/call"}',
    b"{" * 10_000,
    b"\x00" * 1_000,
    b'{"method":"tools/call\xff\xfe',
    b"\xff\xfe{\x00}\x00",
    gzip.compress(body_calling("x"), mtime=0),
    json.dumps([1, [], {}, None, {"method": 1, "id": {}}]).encode(),
]


async def test_a_body_that_is_no_tool_call_passes_unchanged(sidecar, upstream, database, secret):
    upstream.plan(responding(response(OK)))
    async with connected(sidecar.port) as client:
        for body in NO_TOOL_CALLS:
            assert (await client.ask(posting(secret, body), b"POST")).content == OK
        assert [call.request.content for call in upstream.calls] == NO_TOOL_CALLS
        await client.ask(posting(secret, body_calling("after")), b"POST")

    [invocation] = await invocations(database, 1)
    assert (invocation.tool, invocation.outcome) == ("after", ToolOutcome.OK)


ODD_TOOL_CALLS = {
    b'{"method":"x","id":1,"method":"tools/call","params":{"name":"last"}}': "last",
    body_calling("\x00\n" + "n" * 10_000): "%00%0A" + "n" * 122,
    b'{"method":"tools/call","id":1,"params":{"name":"\xff\xfe"}}': "��",
    b'{"method":"tools/call","id":1,"params":{"name":"\\ud800\\u0000"}}': "%ED%A0%80%00",
    b'[{"method":"ping","id":2},' + body_calling("of a batch") + b"]": "of a batch",
}


async def test_an_odd_tool_call_is_recorded_by_what_a_server_reads(
    sidecar, upstream, database, secret
):
    upstream.plan(responding(response(OK)))
    async with connected(sidecar.port) as client:
        for body in ODD_TOOL_CALLS:
            await client.ask(posting(secret, body), b"POST")
        assert [call.request.content for call in upstream.calls] == list(ODD_TOOL_CALLS)

    rows = await invocations(database, len(ODD_TOOL_CALLS))
    assert [row.tool for row in rows] == list(ODD_TOOL_CALLS.values())
    assert {row.outcome for row in rows} == {ToolOutcome.OK}


async def test_the_field_that_names_the_tool_counts_where_the_body_cannot_be_read(
    sidecar, upstream, database, secret
):
    upstream.plan(responding(response(OK)))
    zipped = gzip.compress(body_calling("x"), mtime=0)
    async with connected(sidecar.port) as client:
        for name, body in (
            (b"feigned", body_calling("real")),
            (b"=?base64?w7xiZXI=?=", zipped),
            (b"=?base64?w7xiZXI=?=", body_calling("über")),
        ):
            request = posting(secret, body, *MODERN, b"Mcp-Name: " + name)
            await client.ask(request, b"POST")
        await client.ask(posting(secret, zipped), b"POST")

    rows = await invocations(database, 3)
    assert [row.tool for row in rows] == ["real", "über", "über"]
    assert {row.outcome for row in rows} == {ToolOutcome.OK}
    assert await metric(sidecar, "oddities_total", kind="mcp_name_contradicts_body") == 1
    assert await metric(sidecar, "oddities_total", kind="mcp_request_unreadable") == 2


async def test_an_argument_of_100_mb_is_neither_held_nor_delayed(
    sidecar_process, upstream, database, secret
):
    begin = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"x":"'
    end = b'"},"name":"big"}}'
    arrived, piece = asyncio.Event(), b"y" * MIB

    async def behave(call):
        received = len(await call.reader.readexactly(len(begin)))
        arrived.set()
        while received < length:
            received += len(await call.reader.read(MIB))
        await call.send(response(OK))

    length = len(begin) + 100 * len(piece) + len(end)
    upstream.plan(behave)
    async with connected(sidecar_process.port) as client:
        await client.send(head_posting(secret, length) + begin)
        async with asyncio.timeout(10):
            await arrived.wait()  # long before the rest is sent
        before = sidecar_process.peak_bytes
        for _ in range(100):
            await client.send(piece)
        assert (await client.ask(end, b"POST")).content == OK
        assert sidecar_process.peak_bytes - before < 8 * MIB

    [invocation] = await invocations(database, 1)
    assert (invocation.tool, invocation.outcome) == ("big", ToolOutcome.OK)


async def test_a_body_that_is_cut_half_way_was_no_tool_call(sidecar, upstream, database, secret):
    upstream.plan(never_responding, responding(response(OK)))
    async with connected(sidecar.port) as client:
        await client.send(posting(secret, body_calling("half"))[:-5])
        call = await upstream.entered()
        client.hang_up()
        await call.gone()
    async with connected(sidecar.port) as client:
        await client.ask(posting(secret, body_calling("after")), b"POST")

    [invocation] = await invocations(database, 1)
    assert invocation.tool == "after"


async def test_1_000_tool_calls_that_are_never_answered_are_all_recorded_as_cancelled(
    sidecar_process, upstream, database, secret
):
    upstream.plan(never_responding)
    before = sidecar_process.peak_bytes
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for number in range(1_000):
            client = await stack.enter_async_context(connected(sidecar_process.port))
            clients.append(client)
            await client.send(posting(secret, body_calling(f"t{number}", number), *MODERN))
        for _ in clients:
            await upstream.entered()
        assert sidecar_process.peak_bytes - before < 100 * MIB
        for client in clients:
            client.hang_up()

        rows = await invocations(database, 1_000)
    assert {(row.outcome, row.status_code) for row in rows} == {(ToolOutcome.CANCELLED, 499)}
    assert {row.tool for row in rows} == {f"t{number}" for number in range(1_000)}


async def test_a_stream_that_comes_byte_by_byte_is_read(sidecar, upstream, database, secret):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    events = b": hi\r\n\r\ndata: {}\r\n\r\nevent: message\r\nid: 1\r\ndata: " + OK + b"\r\n\r\n"

    async def behave(call):
        await call.read_body()
        await call.send(head)
        for at in range(len(events)):
            await call.send(events[at : at + 1])
        call.close()

    upstream.plan(behave)
    async with connected(sidecar.port) as client:
        await client.send(posting(secret, body_calling("x")))
        assert (await client.read_to_the_end()).endswith(events)

    [invocation] = await invocations(database, 1)
    assert invocation.outcome == ToolOutcome.OK


def failing(code, message=""):
    return response(json.dumps({"id": 1, "error": {"code": code, "message": message}}).encode())


FAILED = b'{"id":1,"result":{"isError":true}}'
RESPONSES = [
    (response(OK), ToolOutcome.OK, 200, None),
    (response(FAILED), ToolOutcome.TOOL_ERROR, 500, None),
    (failing(-32602, "Unknown tool: x"), ToolOutcome.PROTOCOL_ERROR, 404, -32602),
    (failing(-32603), ToolOutcome.PROTOCOL_ERROR, 400, -32603),
    (failing(10**10), ToolOutcome.PROTOCOL_ERROR, 400, None),
    (response(b'{"error":{}}', status=b"400 Bad"), ToolOutcome.PROTOCOL_ERROR, 400, None),
    (response(b"nope", status=b"503 Away"), ToolOutcome.PROTOCOL_ERROR, 503, None),
    (response(b"", status=b"202 Accepted"), ToolOutcome.UNKNOWN, 202, None),
    (response(b"nope"), ToolOutcome.UNKNOWN, 200, None),
    (
        response(gzip.compress(FAILED, mtime=0), b"Content-Encoding: gzip"),
        *(ToolOutcome.TOOL_ERROR, 500, None),
    ),
    (
        response(gzip.compress(FAILED[:9]) + gzip.compress(FAILED[9:]), b"Content-Encoding: gzip"),
        *(ToolOutcome.TOOL_ERROR, 500, None),
    ),
    (
        response(zlib.compress(FAILED)[2:-4], b"Content-Encoding: identity, deflate"),
        *(ToolOutcome.TOOL_ERROR, 500, None),
    ),
    (
        response(b"\xef\xbb\xbfdata: " + FAILED + b"\n\n", b"Content-Type: text/event-stream"),
        *(ToolOutcome.TOOL_ERROR, 500, None),
    ),
]


async def test_each_kind_of_answer_has_its_outcome(sidecar, upstream, database, secret):
    upstream.plan(*(responding(raw) for raw, *_ in RESPONSES))
    async with connected(sidecar.port) as client:
        for _ in RESPONSES:
            await client.ask(posting(secret, body_calling("x")), b"POST")

    rows = await invocations(database, len(RESPONSES))
    assert [(row.outcome, row.status_code, row.error_code) for row in rows] == [
        (outcome, status, code) for _, outcome, status, code in RESPONSES
    ]


async def test_an_unreachable_mcp_server_is_a_protocol_error(upstream, database, sidecar, secret):
    upstream.plan(in_pieces(b"HTTP/1.1 nonsense\r\n\r\n"))
    async with connected(sidecar.port) as client:
        assert (await client.ask(posting(secret, body_calling("x")), b"POST")).status == 502

    [invocation] = await invocations(database, 1)
    assert (invocation.outcome, invocation.status_code) == (ToolOutcome.PROTOCOL_ERROR, 502)


async def test_a_tool_call_that_a_mounted_application_sends_on_is_recorded_once(
    sidecar, upstream, database, secret
):
    async def send_on(call):
        request = await call.read_body()
        if b" /mcp " in request.start_line:
            await call.send(response(b"", b"Location: /mcp/", status=b"307 Temporary Redirect"))
        else:
            await call.send(response(OK))

    upstream.plan(send_on)
    request = posting(secret, body_calling("a"))
    async with connected(sidecar.port) as client:
        assert (await client.ask(request, b"POST")).status == 307
        repeated = request.replace(b" /mcp ", b" /mcp/ ", 1)
        assert (await client.ask(repeated, b"POST")).status == 200

    [row] = await invocations(database, 1)
    assert (row.tool, row.outcome) == ("a", ToolOutcome.OK)


async def test_the_mcp_path_in_disguise_hides_no_tool_call(sidecar, upstream, database, secret):
    upstream.plan(responding(response(OK)))
    targets = [b"/%6dcp", b"//mcp", b"/mcp/", b"/mcp?x=1", b"http://h/mcp"]
    async with connected(sidecar.port) as client:
        for target in targets:
            request = posting(secret, body_calling("seen"))
            await client.ask(request.replace(b" /mcp ", b" " + target + b" ", 1), b"POST")

    rows = await invocations(database, len(targets))
    assert {(row.tool, row.token_name) for row in rows} == {("seen", "laptop")}


async def test_several_credentials_hide_no_tool_call(sidecar, upstream, database, secret):
    upstream.plan(responding(response(OK)))
    async with connected(sidecar.port) as client:
        request = posting(secret, body_calling("seen"), b"Authorization: Basic eA==")
        assert (await client.ask(request, b"POST")).status == 200

    [invocation] = await invocations(database, 1)
    assert (invocation.tool, invocation.token_name) == ("seen", "Ambiguous credentials")

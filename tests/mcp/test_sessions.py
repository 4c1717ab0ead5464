"""Sessions of the official SDK through the sidecar: many at a time, long, and resumed."""

import asyncio
import json

import httpx2
import pytest

from audit_log.record import ToolOutcome
from tests.mcp.invocations import invocations
from tests.mcp.long_sessions import sessions_live
from tests.mcp.long_tool_call import a_tool_takes
from tests.mcp.tool_requests import HEADERS, INITIALIZE, body_calling
from tests.neighbours.mcp_client import ERAS


@pytest.fixture
async def http(mcp_sidecar, secret):
    """A client that speaks HTTP, to do what the SDK's own would not."""
    headers = {**HEADERS, "Authorization": f"Bearer {secret}"}
    async with httpx2.AsyncClient(base_url=mcp_sidecar.url, headers=headers, timeout=30) as client:
        yield client


async def opened(http):
    """Open a session; from now on *http* is in it."""
    response = await http.post("/mcp", json=INITIALIZE)
    assert response.status_code == 200
    http.headers["Mcp-Session-Id"] = response.headers["Mcp-Session-Id"]
    http.headers["MCP-Protocol-Version"] = "2025-11-25"
    await http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})


async def metrics_of(sidecar):
    async with httpx2.AsyncClient() as client:
        return (await client.get(f"{sidecar.ops_url}/metrics")).text


async def test_60_sessions_at_a_time_are_all_answered(mcp_server, database_url, database, secret):
    await sessions_live(60, mcp_server, database_url, database, secret)


@pytest.mark.parametrize("era", ERAS)
async def test_a_tool_may_take_its_time(era, mcp_server, mcp_sidecar, database, secret):
    await a_tool_takes(1, era, mcp_server, mcp_sidecar, database, secret)


async def test_a_session_is_kept_and_can_be_ended(http, mcp_sidecar, database):
    await opened(http)
    assert "mcp_server_session_duration_seconds_count" not in await metrics_of(mcp_sidecar)
    response = await http.post("/mcp", content=body_calling("both.a"))
    assert response.status_code == 200
    assert (await http.delete("/mcp")).status_code == 200
    assert (await http.post("/mcp", content=body_calling("both.b"))).status_code == 404

    counted = 'mcp_server_session_duration_seconds_count{mcp_protocol_version="2025-11-25"} 1.0\n'
    assert counted in await metrics_of(mcp_sidecar)
    good, gone = await invocations(database, 2)
    assert (good.tool, good.outcome) == ("both.a", ToolOutcome.OK)
    assert (gone.tool, gone.outcome) == ("both.b", ToolOutcome.PROTOCOL_ERROR)
    assert gone.status_code == 404


async def test_the_stream_of_a_session_opens_at_once_though_nothing_is_said(http):
    await opened(http)
    async with asyncio.timeout(5), http.stream("GET", "/mcp") as stream:
        assert stream.status_code == 200
        assert stream.headers["Content-Type"].startswith("text/event-stream")


async def test_a_stream_that_the_client_lost_is_resumed_after_its_last_event(
    http, mcp_server, database
):
    await opened(http)
    meta = {"progressToken": "p"}
    request = http.build_request("POST", "/mcp", content=body_calling("progress", 7, _meta=meta))
    response = await http.send(request, stream=True)
    lines = response.aiter_lines()
    last_id = [await _next_id(lines) for _ in range(3)][-1]
    await response.aclose()

    mcp_server.tools.release.set()
    async with http.stream("GET", "/mcp", headers={"Last-Event-ID": last_id}) as stream:
        message = {}
        async for line in stream.aiter_lines():
            if line.startswith("data:") and line != "data: ":
                message = json.loads(line[5:])
            if "result" in message:
                break
    assert message["id"] == 7

    [invocation] = await invocations(database, 1)
    assert (invocation.tool, invocation.outcome) == ("progress", ToolOutcome.OK)


async def _next_id(lines):
    async for line in lines:
        if line.startswith("id:"):
            return line[3:].strip()
    raise AssertionError("the stream ended")

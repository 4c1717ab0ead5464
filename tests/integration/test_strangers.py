"""Floods by invented tokens take nothing from known callers: no slot, no room, no tie."""

import asyncio
import contextlib

import pytest

from tests.mcp.tool_requests import body_calling, posting, response
from tests.neighbours.arrivals import entries_in
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import Callers, path_of, responding_by_path
from tests.neighbours.client import connected
from tests.neighbours.hop import hop_to
from tests.neighbours.ops import metric, readiness
from tests.neighbours.patience import eventually

INVENTED = "pwm_" + "i" * 43
STRANGERS = 175
BATCH = 100
VICTIMS = 20
MEBIBYTE = 1024 * 1024


@pytest.fixture
async def secret(database):
    return await prepare_audit_log(database)


def batch_of(number):
    """Return *number* tool calls in one request."""
    return b"[%b]" % b",".join(body_calling("t", rpc_id) for rpc_id in range(number))


async def holding_tool_calls(call):
    """Answer API calls by their path, and no tool call."""
    if call.head.startswith(b"POST"):
        await call.read_body()
        await call.hung_up.wait()
    else:
        await responding_by_path(call)


async def arrivals_at(upstream, condition, count):
    """Wait until the upstream has read *count* requests that meet *condition*."""

    async def have_arrived():
        found = [call for call in upstream.calls if condition(call)]
        return len(found) >= count and all(call.read.is_set() for call in found)

    await eventually(have_arrived)


async def flood(stack, upstream, port):
    """Have 17,500 tool calls of an invented token in flight, which is more than all slots."""
    for _ in range(STRANGERS):
        client = await stack.enter_async_context(connected(port))
        await client.send(posting(INVENTED, batch_of(BATCH)))
    await arrivals_at(upstream, lambda call: call.head.startswith(b"POST"), STRANGERS)


async def test_a_flood_of_tool_calls_leaves_known_callers_their_slots_and_their_ties(
    upstream, home, database, database_url, secret
):
    upstream.plan(holding_tool_calls)
    callers = Callers(secret)
    async with contextlib.AsyncExitStack() as stack:
        sidecar = await stack.enter_async_context(home.sidecar(upstream.url, database_url))
        await callers.make(sidecar.port, 1)
        await flood(stack, upstream, sidecar.port)
        victims = [asyncio.create_task(callers.hold(sidecar.port)) for _ in range(VICTIMS)]
        await arrivals_at(upstream, lambda call: "held" in path_of(call), VICTIMS)
        tool_call = await stack.enter_async_context(connected(sidecar.port))
        await tool_call.send(posting(secret, body_calling("mine")))
        await arrivals_at(upstream, lambda call: call.head.startswith(b"POST"), STRANGERS + 1)
        await callers.make(sidecar.port, 1)
        unprotected = await metric(sidecar, "records_total", fate="unprotected")
        assert (await readiness(sidecar))["status"] == "ready"
        await sidecar.kill()
        await asyncio.gather(*victims)

    async with home.sidecar(upstream.url, database_url):
        pass  # It stops only when everything is written.

    entries = await entries_in(database)
    interrupted = [entry for entry in entries if entry.is_interrupted]
    assert len(interrupted) == VICTIMS
    assert {entry.token_name for entry in entries} == {"laptop"}
    [tied] = await database.fetch("SELECT tool FROM mcp_audit_log WHERE tool IS NOT NULL")
    assert tied["tool"] == "mine"
    [kept] = await database.fetch("SELECT count(*) FROM mcp_tool_invocation")
    [gap] = await database.fetch("SELECT reason, count FROM mcp_audit_gap")
    assert (gap["reason"], gap["count"]) == ("unknown_callers", unprotected)
    assert kept["count"] + gap["count"] == STRANGERS * BATCH + 1


async def test_a_flood_of_tool_calls_leaves_known_callers_their_room_in_the_journal(
    upstream, home, database, database_url, secret
):
    async def refusing_tool_calls(call):
        if call.head.startswith(b"POST"):
            await call.read_body()
            await call.send(response(b"", status=b"401 No"))
        else:
            await responding_by_path(call)

    upstream.plan(refusing_tool_calls)
    callers = Callers(secret)
    small = {
        "PROXY_JOURNAL_MAX_BYTES": str(MEBIBYTE),
        "PROXY_JOURNAL_RING_BYTES": str(MEBIBYTE),
        # Tokens are found, and nothing can be written.
        "PROXY_TOKEN_DATABASE_URL": database_url,
    }
    flooded = 100
    async with home.sidecar(upstream.url, **small) as sidecar:
        await callers.make(sidecar.port, 1)
        async with connected(sidecar.port) as client:
            for _ in range(flooded):
                refusal = await client.ask(posting(INVENTED, batch_of(BATCH)), b"POST")
                assert refusal.status == 401
        await callers.make(sidecar.port, 1_000)
        beyond = await metric(sidecar, "records_total", fate="beyond_share")
        assert await metric(sidecar, "records_total", fate="lost") == 0

    async with home.sidecar(upstream.url, database_url):
        pass  # It stops only when everything is written.

    assert len(await entries_in(database)) == 1_001
    [kept] = await database.fetch("SELECT count(*) FROM mcp_tool_invocation")
    gaps = await database.fetch("SELECT reason, count FROM mcp_audit_gap")
    assert {gap["reason"] for gap in gaps} == {"unknown_callers"}
    assert sum(gap["count"] for gap in gaps) == beyond
    assert kept["count"] + beyond == flooded * BATCH


async def test_a_flood_in_an_outage_leaves_known_callers_their_room_in_the_journal(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers, strangers = Callers(secret), Callers(INVENTED, padding=2_000)
    small = {
        "PROXY_JOURNAL_MAX_BYTES": str(MEBIBYTE),
        "PROXY_JOURNAL_RING_BYTES": str(MEBIBYTE),
    }
    async with (
        hop_to(database_url) as hop,
        home.sidecar(upstream.url, hop.url, **small) as sidecar,
    ):
        await callers.make(sidecar.port, 1)
        hop.black_hole()
        # Without the database nothing tells them from honest callers, and they are forwarded.
        await strangers.make(sidecar.port, 1_000)
        await callers.make(sidecar.port, 100)
        beyond = await metric(sidecar, "records_total", fate="beyond_share")
        assert 0 < beyond < 1_000
        assert await metric(sidecar, "records_total", fate="lost") == 0
        hop.restore()

    assert len(await entries_in(database)) == 1_101 - beyond
    gaps = await database.fetch("SELECT reason, count FROM mcp_audit_gap")
    assert {gap["reason"] for gap in gaps} == {"unknown_callers"}
    assert sum(gap["count"] for gap in gaps) == beyond

"""Clients that choose their ids to harm: they hide nothing, merge nothing and take nothing over.

The test plays the tools: it knows what the sidecar sent to the MCP server, and makes API calls.
"""

import asyncio
import contextlib

import pytest

from audit_log.postgres.token_table import TokenTable
from tests.mcp.invocations import entries, invocations
from tests.mcp.tool_requests import OK, body_calling, posting, response
from tests.neighbours.client import connected
from tests.neighbours.sidecar import serving_sidecar

TRACE = b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01"
CHOSEN = (b"X-Request-Id: chosen", b"traceparent: " + TRACE)


@pytest.fixture
async def other_secret(database):
    return (await TokenTable(database).create("desktop", "operator", 90))[1]


class Stage:
    """Tool calls that are held by the MCP server, and API calls that go through at once."""

    def __init__(self, upstream, port, stack):
        self._upstream = upstream
        self._port = port
        self._stack = stack
        self._release = asyncio.Event()
        self._callers = []
        upstream.plan(self._behave)

    async def _behave(self, call):
        message = await call.read_body()
        if message.start_line.startswith(b"POST"):
            await self._release.wait()
        await call.send(response(OK))

    async def call_tool(self, secret, tool, *fields, **params):
        """Have a tool call in flight; return the fields that the MCP server was sent."""
        client = await self._stack.enter_async_context(connected(self._port))
        await client.send(posting(secret, body_calling(tool, **params), *fields))
        call = await self._upstream.entered()
        await call.read.wait()
        self._callers.append(client)
        return call.request

    async def call_api(self, secret, *fields):
        lines = [b"GET /api/v1/hosts HTTP/1.1", b"Host: podwarden"]
        lines += [b"Authorization: Bearer " + secret.encode(), *fields]
        async with connected(self._port) as client:
            assert (await client.ask(b"\r\n".join(lines) + b"\r\n\r\n")).status == 200
        await self._upstream.entered()

    async def end(self):
        """Have all tool calls answered."""
        self._release.set()
        for client in self._callers:
            assert (await client.response(b"POST")).status == 200


@pytest.fixture
async def stage(upstream, database_url):
    async with (
        serving_sidecar(upstream.url, database_url) as sidecar,
        contextlib.AsyncExitStack() as stack,
    ):
        yield Stage(upstream, sidecar.port, stack)


async def test_the_same_ids_on_two_tool_calls_tie_an_api_call_to_neither(stage, database, secret):
    await stage.call_tool(secret, "a", *CHOSEN)
    await stage.call_tool(secret, "b", *CHOSEN)
    await stage.call_api(secret, *CHOSEN)
    await stage.end()

    [entry] = await entries(database, 1)
    assert (entry["tool"], entry["request_id"]) == (None, "chosen")
    rows = await invocations(database, 2)
    assert {(row.tool, row.outcome, row.api_calls) for row in rows} == {
        ("a", "ok", 0),
        ("b", "ok", 0),
    }


async def test_the_same_trace_in_the_messages_of_two_tool_calls_ties_to_neither(
    stage, database, secret
):
    meta = {"traceparent": TRACE.decode()}
    await stage.call_tool(secret, "a", b"traceparent: -", _meta=meta)
    await stage.call_api(secret, CHOSEN[1])
    await stage.call_tool(secret, "b", b"traceparent: -", _meta=meta)
    await stage.call_api(secret, CHOSEN[1])
    await stage.end()

    alone, one_of_two = await entries(database, 2)
    assert alone["tool"] is None, "the client may have made it"
    assert one_of_two["tool"] is None


async def test_an_api_call_in_the_trace_of_an_ended_tool_call_is_not_recorded_as_another_tools(
    stage, upstream, database, secret
):
    await stage.call_tool(secret, "ended", CHOSEN[1])
    await stage.end()
    stage = Stage(upstream, stage._port, stage._stack)
    await stage.call_tool(secret, "present", b"traceparent: 00-" + b"b" * 32 + TRACE[35:])
    await stage.call_api(secret, CHOSEN[1])
    await stage.call_api(secret)
    await stage.end()

    late, present = await entries(database, 2)
    assert (late["tool"], late["attribution"]) == (None, None)
    assert (present["tool"], present["attribution"]) == ("present", "inferred")


async def test_another_tokens_ids_say_nothing_about_ones_own_tool_calls(
    stage, database, secret, other_secret
):
    await stage.call_tool(secret, "mine")
    await stage.call_tool(other_secret, "theirs", *CHOSEN)
    await stage.call_api(secret, *CHOSEN)
    await stage.call_api(other_secret, *CHOSEN)
    await stage.end()

    mine, theirs = await entries(database, 2)
    assert (mine["tool"], mine["attribution"]) == ("mine", "inferred")
    assert (theirs["tool"], theirs["token_name"]) == (None, "desktop")


async def test_our_member_joins_the_clients_baggage_and_the_api_is_sent_what_the_tool_sent(
    stage, upstream, database, secret
):
    sent = await stage.call_tool(secret, "a", b"Baggage: user=anna;p=1, region=eu")
    [baggage] = sent.values(b"baggage")
    before, _, ours = baggage.rpartition(b",")
    assert before == b"user=anna;p=1, region=eu"
    assert ours.startswith(b"podwarden.call=")
    assert sent.values(b"traceparent") == []
    await stage.call_tool(secret, "b", b"Baggage: podwarden.call=" + b"0" * 32)
    await stage.call_api(secret, b"Baggage: tool=x", b"baggage: " + baggage)
    assert upstream.calls[-1].request.values(b"baggage") == [b"tool=x", baggage]
    await stage.end()

    [entry] = await entries(database, 1)
    assert (entry["tool"], entry["attribution"]) == ("a", "exact")


@pytest.mark.parametrize("field", [b"X-Request-Id", b"baggage"])
async def test_an_id_that_the_sidecar_made_takes_over_nothing_of_another_token(
    field, stage, database, secret, other_secret
):
    sent = await stage.call_tool(secret, "mine")
    [made] = sent.values(field)
    stolen = field + b": " + made
    await stage.call_api(other_secret, stolen)
    await stage.call_tool(other_secret, "theirs", stolen)
    await stage.call_api(other_secret, stolen)
    await stage.call_api(secret, stolen)
    await stage.end()

    without, theirs, mine = await entries(database, 3)
    assert (without["tool"], theirs["tool"], mine["tool"]) == (None, None, "mine")
    assert mine["attribution"] == "exact"


async def test_an_id_that_the_sidecar_made_merges_no_tool_calls_of_one_token(
    stage, database, secret
):
    sent = await stage.call_tool(secret, "a")
    [made] = sent.values(b"X-Request-Id")
    again = b"X-Request-Id: " + made
    await stage.call_tool(secret, "b", again)
    await stage.call_api(secret, again)
    await stage.end()

    [entry] = await entries(database, 1)
    assert entry["tool"] is None
    assert {row.tool for row in await invocations(database, 2)} == {"a", "b"}


async def test_an_id_of_an_earlier_tool_call_is_not_taken_for_the_present_one(
    stage, upstream, database, secret
):
    earlier = await stage.call_tool(secret, "earlier")
    await stage.end()
    stage = Stage(upstream, stage._port, stage._stack)
    await stage.call_tool(secret, "present")
    await stage.call_api(secret, b"X-Request-Id: " + earlier.values(b"X-Request-Id")[0])
    await stage.call_api(secret)
    await stage.end()

    late, present = await entries(database, 2)
    assert (late["tool"], late["attribution"]) == ("earlier", "exact")
    assert (present["tool"], present["attribution"]) == ("present", "inferred")


async def test_whoever_repeats_ids_leaves_as_many_entries_as_calls(stage, database, secret):
    for _ in range(20):
        await stage.call_tool(secret, "again", *CHOSEN)
        await stage.call_api(secret, *CHOSEN)
    await stage.end()

    assert len({row["id"] for row in await entries(database, 20)}) == 20
    assert len({row.id for row in await invocations(database, 20)}) == 20

"""The official SDK's client and server through the sidecar, in both eras of MCP."""

import asyncio

import pytest
from mcp.shared.exceptions import MCPError

from audit_log.record import ToolOutcome
from tests.mcp.invocations import invocations
from tests.neighbours.mcp_client import ERAS, mcp_client


@pytest.mark.parametrize("era", ERAS)
async def test_each_ending_of_a_tool_call_is_recorded(
    era, mcp_server, mcp_sidecar, database, secret
):
    async with mcp_client(mcp_sidecar.url, secret, era) as client:
        assert not (await client.call_tool("both.a", {"calls": 2})).is_error
        assert (await client.call_tool("fail")).is_error
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.call_tool("nonsense")

        good, failed, unknown = await invocations(database, 3)
    assert (good.tool, good.outcome, good.status_code) == ("both.a", ToolOutcome.OK, 200)
    assert (good.api_calls, good.token_name, good.origin) == (2, "laptop", "mcp")
    assert 0 < (good.duration_ms or 0) < 20_000
    assert (failed.tool, failed.outcome, failed.status_code) == (
        "fail", ToolOutcome.TOOL_ERROR, 500,
    )  # fmt: skip
    assert (unknown.tool, unknown.outcome, unknown.error_code) == (
        "nonsense", ToolOutcome.PROTOCOL_ERROR, -32602,
    )  # fmt: skip
    assert unknown.status_code in {404, 400}


@pytest.mark.parametrize("era", ERAS)
async def test_progress_arrives_while_the_tool_is_at_work(
    era, mcp_server, mcp_sidecar, database, secret
):
    steps: asyncio.Queue[float] = asyncio.Queue()

    async def note(progress, _total, _message):
        steps.put_nowait(progress)

    async with mcp_client(mcp_sidecar.url, secret, era) as client:
        call = asyncio.create_task(client.call_tool("progress", progress_callback=note))
        async with asyncio.timeout(10):
            assert [await steps.get() for _ in range(3)] == [1, 2, 3]
        assert not call.done()
        mcp_server.tools.release.set()
        await call

        [invocation] = await invocations(database, 1)
    assert invocation.outcome == ToolOutcome.OK


@pytest.mark.parametrize("era", ERAS)
async def test_cancelling_reaches_the_tool_and_is_recorded(
    era, mcp_server, mcp_sidecar, database, secret
):
    async with mcp_client(mcp_sidecar.url, secret, era) as client:
        call = asyncio.create_task(client.call_tool("hold"))
        async with asyncio.timeout(10):
            await mcp_server.tools.entered.get()
            call.cancel()
            assert await mcp_server.tools.cancelled.get() == "hold"

        [invocation] = await invocations(database, 1)
    assert (invocation.outcome, invocation.status_code) == (ToolOutcome.CANCELLED, 499)


async def test_a_modern_client_that_hangs_up_reaches_the_tool_at_once(
    mcp_server, mcp_sidecar, database, secret
):
    loop = asyncio.get_running_loop()
    async with mcp_client(mcp_sidecar.url, secret, "2026-07-28") as client:
        call = asyncio.create_task(client.call_tool("hold"))
        async with asyncio.timeout(10):
            await mcp_server.tools.entered.get()
            hung_up = loop.time()
            call.cancel()
            await mcp_server.tools.cancelled.get()
        assert loop.time() - hung_up < 1

        [invocation] = await invocations(database, 1)
    assert invocation.outcome == ToolOutcome.CANCELLED


async def test_an_answer_that_is_fetched_after_the_stream_was_cut_ends_its_tool_call(
    mcp_server, mcp_sidecar, database, secret
):
    async with mcp_client(mcp_sidecar.url, secret, "legacy") as client:
        call = asyncio.create_task(client.call_tool("close_stream"))
        async with asyncio.timeout(10):
            await mcp_server.tools.entered.get()
            mcp_server.tools.release.set()
            assert not (await call).is_error

        [invocation] = await invocations(database, 1)
    assert (invocation.outcome, invocation.status_code) == (ToolOutcome.OK, 200)

"""A tool call that runs for 90 seconds. Collected by name alone: it would hold up every check."""

import asyncio

import pytest

from audit_log.record import ToolOutcome
from tests.mcp.invocations import invocations
from tests.neighbours.mcp_client import ERAS, mcp_client


async def a_tool_takes(seconds, era, mcp_server, mcp_sidecar, database, secret):
    """Call a tool that takes so long: it must be answered and recorded."""
    async with mcp_client(mcp_sidecar.url, secret, era) as client:
        call = asyncio.create_task(client.call_tool("hold"))
        await mcp_server.tools.entered.get()
        asyncio.get_running_loop().call_later(seconds, mcp_server.tools.release.set)
        assert not (await call).is_error

        [invocation] = await invocations(database, 1)
    assert invocation.outcome == ToolOutcome.OK
    assert (invocation.duration_ms or 0) >= seconds * 1_000


@pytest.mark.timeout(180)
@pytest.mark.parametrize("era", ERAS)
async def test_a_tool_may_take_90_seconds(era, mcp_server, mcp_sidecar, database, secret):
    await a_tool_takes(90, era, mcp_server, mcp_sidecar, database, secret)

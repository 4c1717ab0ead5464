"""200 MCP sessions at a time. Collected by name alone: the 200 clients take most of a minute."""

import asyncio
from typing import Final

import pytest

from audit_log.record import ToolOutcome
from tests.mcp.invocations import invocations
from tests.neighbours.mcp_client import ERAS, mcp_client
from tests.neighbours.services import running_sidecar

_SESSION_BYTES: Final = 64 * 2**20 // 200
"""What one session may add to the memory of the sidecar."""


async def sessions_live(sessions, mcp_server, database_url, database, secret):
    """Keep so many sessions open at a time: each tool call must be answered and recorded."""
    everyone = asyncio.Barrier(sessions)

    async def live(number):
        async with mcp_client(sidecar.url, secret, ERAS[number % 2]) as client:
            await everyone.wait()
            for turn in range(2):
                assert not (await client.call_tool(f"both.{number}-{turn}")).is_error
            await everyone.wait()

    async with running_sidecar(mcp_server.url, database_url) as sidecar:
        mcp_server.tools.api_url = sidecar.url
        before = sidecar.peak_bytes
        await asyncio.gather(*(live(number) for number in range(sessions)))

        rows = await invocations(database, 2 * sessions)
        assert sidecar.peak_bytes - before < sessions * _SESSION_BYTES
    assert {(row.outcome, row.api_calls) for row in rows} == {(ToolOutcome.OK, 1)}
    assert len({row.tool for row in rows}) == 2 * sessions


@pytest.mark.timeout(300)
async def test_200_sessions_at_a_time_are_all_answered(mcp_server, database_url, database, secret):
    await sessions_live(200, mcp_server, database_url, database, secret)

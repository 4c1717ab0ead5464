"""Who calls a tool: what the official SDK's client says of itself, in both eras of MCP."""

from importlib.metadata import version

import pytest
from mcp.types import Implementation

from audit_log.postgres.invocations import InvocationQuery, search_invocations
from tests.mcp.invocations import invocations
from tests.neighbours.mcp_client import mcp_client


@pytest.mark.parametrize(
    ("era", "spoken", "has_session"),
    [("legacy", "2025-11-25", True), ("2026-07-28", "2026-07-28", False)],
)
async def test_a_tool_call_says_which_agent_made_it(
    era, spoken, has_session, mcp_sidecar, database, secret
):
    agent = Implementation(name="claude-code", version="2.1.7")
    async with mcp_client(
        mcp_sidecar.url, secret, era, agent, User_Agent="claude-code/2.1.7 (cli)"
    ) as client:
        await client.call_tool("both.a")
        await client.call_tool("both.b")
    async with mcp_client(mcp_sidecar.url, secret, era, agent) as client:
        await client.call_tool("both.c")
        await invocations(database, 3)

    other, *both = await search_invocations(database, InvocationQuery(limit=3))
    assert {call.user_agent for call in both} == {"claude-code/2.1.7 (cli)"}
    assert other.user_agent == f"python-httpx2/{version('httpx2')}"
    for call in (*both, other):
        assert (call.client_name, call.client_version) == ("claude-code", "2.1.7")
        assert call.protocol_version == spoken
        assert call.client_ip == "127.0.0.1"
        assert (call.session is not None) == has_session
    assert len({call.session for call in both}) == 1
    assert (both[0].session == other.session) != has_session

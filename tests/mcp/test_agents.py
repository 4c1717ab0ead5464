"""Who calls a tool: what the official SDK's client says of itself, in both eras of MCP."""

from importlib.metadata import version
from typing import Any

import pytest
from mcp.types import Implementation

from audit_log.postgres.invocations import InvocationQuery, search_invocations
from tests.mcp.invocations import invocations
from tests.neighbours.mcp_client import ERAS, mcp_client
from tests.neighbours.sidecar import serving_sidecar


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


MAY_SPEAK = {"principal_header": "X-Forwarded-User", "trusted_proxies": ("127.0.0.0/8",)}


@pytest.mark.parametrize("era", ERAS)
async def test_a_tool_call_says_on_whose_behalf_it_was_made(
    era, mcp_server, database_url, database, secret
):
    meta: Any = {"com.example/run": "r-7", "step": 3, "secret": "s"}
    claims = ("com.example/run", "step", "missing")
    async with serving_sidecar(
        mcp_server.url, database_url, mcp_claims=claims, **MAY_SPEAK
    ) as sidecar:
        mcp_server.tools.api_url = sidecar.url
        async with mcp_client(sidecar.url, secret, era, X_Forwarded_User="anna") as client:
            await client.call_tool("both.a", meta=meta)
            await invocations(database, 1)

    [call] = await search_invocations(database, InvocationQuery(limit=2))
    assert (call.principal, call.claims) == ("anna", {"com.example/run": "r-7", "step": 3})
    # It goes on as it came.
    assert mcp_server.tools.received[0].headers.getlist("x-forwarded-user") == ["anna"]


async def test_only_a_trusted_proxy_is_believed_about_the_principal(
    mcp_server, database_url, database, secret
):
    its = {**MAY_SPEAK, "trusted_proxies": ("192.0.2.0/24",)}
    async with serving_sidecar(mcp_server.url, database_url, **its) as sidecar:
        mcp_server.tools.api_url = sidecar.url
        async with mcp_client(sidecar.url, secret, "legacy", X_Forwarded_User="anna") as client:
            await client.call_tool("both.a")
            await invocations(database, 1)

    [call] = await search_invocations(database, InvocationQuery(limit=2))
    assert call.principal is None
    assert mcp_server.tools.received[0].headers["x-forwarded-user"] == "anna"

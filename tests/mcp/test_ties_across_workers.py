"""Tool calls and their API calls that reach different workers are tied as in one."""

import httpx2
import pytest

from tests.mcp.interleaved import interleaved
from tests.mcp.invocations import invocations
from tests.mcp.tool_requests import HEADERS, INITIALIZE, body_calling
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port
from tests.neighbours.services import running_sidecar

TOOL_CALLS = 120


@pytest.fixture
async def two_workers(mcp_server, database_url):
    async with running_sidecar(
        mcp_server.url, database_url, PROXY_WORKERS="2", PROXY_PORT=str(free_port())
    ) as supervisor:
        await eventually(lambda: _have_started(supervisor, 2))
        mcp_server.tools.api_url = supervisor.url
        yield supervisor


async def _have_started(supervisor, workers):
    return sum(event["event"] == "service.started" for event in supervisor.log) >= workers


async def test_no_tie_is_wrong_when_tools_pass_no_ids_on(two_workers, database):
    ties = await interleaved(two_workers.url, database, TOOL_CALLS, ["nothing"])

    assert ties.wrong == 0
    assert ties.given["nothing", "exact"] == 0
    assert ties.given["nothing", "inferred"] > 0


async def test_each_tie_is_exact_when_tools_pass_ids_on(two_workers, database):
    ties = await interleaved(two_workers.url, database, TOOL_CALLS, ["both", "baggage", "request"])

    assert ties.wrong == 0
    assert {said for _, said in ties.given} == {"exact"}


async def test_the_client_of_a_session_is_known_whichever_worker_is_called(
    two_workers, database, secret
):
    headers = {**HEADERS, "Authorization": f"Bearer {secret}", "Connection": "close"}
    async with httpx2.AsyncClient(
        base_url=two_workers.url, headers=headers, timeout=30, verify=False
    ) as http:
        opened = await http.post("/mcp", json=INITIALIZE)
        http.headers["Mcp-Session-Id"] = opened.headers["Mcp-Session-Id"]
        http.headers["MCP-Protocol-Version"] = "2025-11-25"
        await http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        for number in range(20):
            await http.post("/mcp", content=body_calling("both.a", number))
        await invocations(database, 20)

    told = await database.fetch("SELECT DISTINCT instance, client_name FROM mcp_tool_invocation")
    assert {row["client_name"] for row in told} == {"test"}
    assert len(told) == 2

"""Tool calls and their API calls that reach different workers are tied as in one."""

import pytest

from tests.mcp.interleaved import interleaved
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port
from tests.neighbours.services import running_sidecar

TOOL_CALLS = 200


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

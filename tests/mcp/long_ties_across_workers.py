"""A thousand interleaved tool calls before 1, 2 and 4 workers: no tie is wrong."""

import logging

import pytest

from tests.mcp.interleaved import interleaved
from tests.neighbours.mcp_server import PASSED_ON
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port
from tests.neighbours.services import running_sidecar

TOOL_CALLS = 1_000
said = logging.getLogger(__name__)


@pytest.mark.parametrize("behaviours", [["nothing"], [*PASSED_ON, "sometimes"]], ids=str)
@pytest.mark.parametrize("workers", [1, 2, 4])
async def test_no_tie_of_a_thousand_tool_calls_is_wrong(
    workers, behaviours, mcp_server, database, database_url
):
    async with running_sidecar(
        mcp_server.url, database_url, PROXY_WORKERS=str(workers), PROXY_PORT=str(free_port())
    ) as supervisor:

        async def have_started():
            return sum(event["event"] == "service.started" for event in supervisor.log) >= workers

        await eventually(have_started)
        mcp_server.tools.api_url = supervisor.url
        ties = await interleaved(supervisor.url, database, TOOL_CALLS, behaviours)
    said.info("%d workers, %s: %d wrong, %s", workers, behaviours, ties.wrong, dict(ties.given))
    assert ties.wrong == 0
    assert sum(count for (_, how), count in ties.given.items() if how == "inferred") > 0
    for passed_on in {"both", "baggage", "request"} & set(behaviours):
        assert ties.given[passed_on, "inferred"] == ties.given[passed_on, "none"] == 0

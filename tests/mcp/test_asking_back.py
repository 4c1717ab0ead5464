"""The official SDK's server asks its client back through the sidecar."""

import pytest

from audit_log.record import ToolOutcome
from tests.mcp.invocations import entries, invocations
from tests.neighbours.mcp_client import MODERN, mcp_client
from tests.neighbours.patience import eventually
from tests.neighbours.sidecar import serving_sidecar


@pytest.mark.parametrize(("era", "rounds"), [("legacy", 1), (MODERN, 2)])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("accept", ToolOutcome.OK),
        ("decline", ToolOutcome.DECLINED),
        ("cancel", ToolOutcome.DECLINED),
    ],
)
async def test_a_tool_call_that_asked_is_one_row_with_the_answers_outcome(
    mcp_server, mcp_sidecar, database, secret, answer, outcome, era, rounds
):
    async with mcp_client(mcp_sidecar.url, secret, era, answer=answer) as client:
        assert not (await client.call_tool("ask.a")).is_error

        calls = await entries(database, rounds)
        await eventually(lambda: _ended(database))
        [row] = await invocations(database, 1)
    assert (row.tool, row.outcome, row.rounds, row.api_calls) == ("ask.a", outcome, rounds, rounds)
    assert {call["invocation_id"] for call in calls} == {row.id}
    assert {call["attribution"] for call in calls} == {"exact"}
    assert row.duration_ms is not None


async def _ended(database):
    return await database.fetch_row(
        "SELECT 1 FROM mcp_tool_invocation WHERE outcome NOT IN ('asked', 'working')"
    )


async def test_a_tool_call_that_waits_is_seen_and_a_clean_stop_tells_it_as_unknown(
    mcp_server, database_url, database, secret
):

    async with serving_sidecar(mcp_server.url, database_url) as sidecar:
        mcp_server.tools.api_url = sidecar.url
        async with mcp_client(sidecar.url, secret, MODERN) as client:
            asked = await client.session.call_tool("ask.a", allow_input_required=True)
            assert asked.result_type == "input_required"
            [row] = await invocations(database, 1)
            assert (row.outcome, row.status_code) == (ToolOutcome.ASKED, 202)

    await eventually(lambda: _ended(database))
    [row] = await invocations(database, 1)
    assert (row.outcome, row.rounds) == (ToolOutcome.UNKNOWN, 1)

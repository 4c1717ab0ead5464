"""Which tool call caused which API call: held against the truth, which is in each path."""

import asyncio

from tests.mcp.invocations import entries
from tests.mcp.long_attribution import attribution_is_right
from tests.neighbours.mcp_client import mcp_client

TOOL_CALLS = 150
"""Each behaviour is met about 30 times; `make test-long` makes 1,000 calls."""


async def test_attribution_is_right_whenever_it_is_given(mcp_server, mcp_sidecar, database):
    await attribution_is_right(TOOL_CALLS, mcp_sidecar, database)


async def test_tool_calls_that_the_client_traces_alike_are_told_apart_by_ids_of_ours(
    mcp_server, mcp_sidecar, database, secret
):
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    async with mcp_client(mcp_sidecar.url, secret, "legacy", traceparent=trace) as client:
        await asyncio.gather(client.call_tool("both.0", {"calls": 2}), client.call_tool("both.1"))

    audited = await entries(database, 3)
    assert {entry["attribution"] for entry in audited} == {"exact"}
    assert all(entry["path"].split("/")[3] == entry["tool"][-1] for entry in audited)

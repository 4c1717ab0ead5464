"""Which tool call caused which API call: held against the truth, which is in each path."""

import asyncio
import random
from collections import Counter
from uuid import UUID

import pytest

from audit_log.postgres.token_table import TokenTable
from tests.mcp.invocations import entries, invocations
from tests.neighbours.mcp_client import ERAS, mcp_client
from tests.neighbours.mcp_server import PASSED_ON

TOOL_CALLS = 1_000
TOKENS = 5
LANES = [1, 1, 2, 4, 8]
"""How many tool calls of each token are in flight at a time."""
BEHAVIOURS = [*PASSED_ON, "sometimes"]


@pytest.mark.timeout(300)
async def test_attribution_is_right_whenever_it_is_given(
    mcp_server, mcp_sidecar, database, pytestconfig
):
    chance = random.Random(4)
    plan = [f"{chance.choice(BEHAVIOURS)}.{label}" for label in range(TOOL_CALLS)]
    plans = [plan[number::TOKENS] for number in range(TOKENS)]
    made = [
        await TokenTable(database).create(f"token {number}", "operator", 90)
        for number in range(TOKENS)
    ]
    calls = {name: chance.randint(0, 3) for name in plan}

    await asyncio.gather(
        *(
            _call_all(mcp_sidecar.url, secret, lanes, [(name, calls[name]) for name in names])
            for (_, secret), lanes, names in zip(made, LANES, plans, strict=True)
        )
    )

    audited = await entries(database, sum(calls.values()))
    rows = await invocations(database, TOOL_CALLS)
    by_id = {row.id: row for row in rows}
    assert Counter(row.tool for row in rows) == Counter(plan)
    owner = {
        name: token.name for (token, _), names in zip(made, plans, strict=True) for name in names
    }
    assert all(row.token_name == owner[row.tool] and row.outcome == "ok" for row in rows)

    tied: Counter[UUID] = Counter()
    given: Counter[tuple[str, str]] = Counter()
    for entry in audited:
        truth = plan[int(entry["path"].split("/")[3])]
        given[truth.partition(".")[0], entry["attribution"] or "none"] += 1
        if entry["attribution"] is None:
            assert (entry["tool"], entry["invocation_id"]) == (None, None)
            continue
        assert entry["tool"] == truth
        assert by_id[entry["invocation_id"]].tool == truth
        tied[entry["invocation_id"]] += 1
    assert all(row.api_calls == tied[row.id] for row in rows)
    for behaviour in ("both", "trace", "request"):
        assert given[behaviour, "inferred"] == given[behaviour, "none"] == 0
    assert given["nothing", "exact"] == 0
    assert given["nothing", "inferred"] > 0
    # The figures for the README: what the tool passed on, what was said, how often.
    figures = {f"{passed_on}, {said}": count for (passed_on, said), count in sorted(given.items())}
    pytestconfig.cache.set("mcp/attribution", figures)


async def test_a_client_that_traces_both_its_tool_calls_alike_is_told_apart_by_our_request_id(
    mcp_server, mcp_sidecar, database, secret
):
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    async with mcp_client(mcp_sidecar.url, secret, "legacy", traceparent=trace) as client:
        await asyncio.gather(client.call_tool("both.0", {"calls": 2}), client.call_tool("both.1"))

    audited = await entries(database, 3)
    assert {entry["attribution"] for entry in audited} == {"exact"}
    assert all(entry["path"].split("/")[3] == entry["tool"][-1] for entry in audited)


async def _call_all(url, secret, lanes, plan):
    """Make the tool calls of one token: *lanes* at a time, over as many clients of both eras."""
    waiting = list(plan)

    async def lane(era):
        async with mcp_client(url, secret, era) as client:
            while waiting:
                name, calls = waiting.pop()
                assert not (await client.call_tool(name, {"calls": calls})).is_error

    await asyncio.gather(*(lane(ERAS[number % 2]) for number in range(lanes)))

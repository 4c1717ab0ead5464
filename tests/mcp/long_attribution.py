"""The attribution of 1,000 tool calls. Collected by name alone: they take half a minute."""

import asyncio
import random
from collections import Counter
from uuid import UUID

import httpx2
import pytest

from audit_log.postgres.database import Database
from audit_log.postgres.token_table import TokenTable
from tests.mcp.invocations import entries, invocations
from tests.neighbours.mcp_client import ERAS, mcp_client
from tests.neighbours.mcp_server import PASSED_ON
from tests.neighbours.sidecar import Sidecar

TOKENS = 5
LANES = [1, 1, 2, 4, 8]
"""How many tool calls of each token are in flight at a time."""
OWN = "/api/v1/own/0"
BEHAVIOURS = [*PASSED_ON, "sometimes"]
TRACED = {1, 3}
"""The tokens whose clients send one trace with all that they do, and call the API themselves."""


async def attribution_is_right(
    tool_calls: int, mcp_sidecar: Sidecar, database: Database
) -> dict[str, int]:
    """Make so many tool calls; hold each attribution against the truth, which is in the path.

    Return how often each attribution was given, by what the tool passed on.
    """
    chance = random.Random(4)
    plan = [f"{chance.choice(BEHAVIOURS)}.{label}" for label in range(tool_calls)]
    plans = [plan[number::TOKENS] for number in range(TOKENS)]
    made = [
        await TokenTable(database).create(f"token {number}", "operator", 90)
        for number in range(TOKENS)
    ]
    calls = {name: chance.randint(0, 3) for name in plan}

    await asyncio.gather(
        *(
            _call_all(
                mcp_sidecar.url,
                secret,
                lanes,
                [(name, calls[name]) for name in names],
                traceparent_of(number) if number in TRACED else None,
            )
            for number, ((_, secret), lanes, names) in enumerate(
                zip(made, LANES, plans, strict=True)
            )
        )
    )

    own = sum(len(plans[number]) for number in TRACED)
    all_audited = await entries(database, sum(calls.values()) + own)
    audited = [entry for entry in all_audited if entry["path"] != OWN]
    assert {entry["tool"] for entry in all_audited if entry["path"] == OWN} == {None}
    rows = await invocations(database, tool_calls)
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
    for behaviour in ("both", "baggage", "request"):
        assert given[behaviour, "inferred"] == given[behaviour, "none"] == 0
    assert given["nothing", "exact"] == given["trace", "exact"] == 0
    assert given["nothing", "inferred"] > 0
    return {f"{passed_on}, {said}": count for (passed_on, said), count in sorted(given.items())}


@pytest.mark.timeout(300)
async def test_attribution_of_1_000_tool_calls_is_right_whenever_it_is_given(
    mcp_server, mcp_sidecar, database, pytestconfig
):
    # The figures for the README: what the tool passed on, what was said, how often.
    figures = await attribution_is_right(1_000, mcp_sidecar, database)
    pytestconfig.cache.set("mcp/attribution", figures)


def traceparent_of(number: int) -> str:
    """Return the span of the run that uses token *number*."""
    return f"00-{number + 1:032x}-{1:016x}-01"


async def _call_all(url, secret, lanes, plan, traceparent):
    """Make the tool calls of one token: *lanes* at a time, over as many clients of both eras."""
    waiting = list(plan)
    fields = {} if traceparent is None else {"traceparent": traceparent}

    async def lane(era, http):
        async with mcp_client(url, secret, era, **fields) as client:
            while waiting:
                name, calls = waiting.pop()
                assert not (await client.call_tool(name, {"calls": calls})).is_error
                if fields:
                    assert (await http.get(url + OWN, headers=fields)).status_code == 200

    authorization = {"Authorization": f"Bearer {secret}"}
    async with httpx2.AsyncClient(headers=authorization, timeout=60) as http:
        await asyncio.gather(*(lane(ERAS[number % 2], http) for number in range(lanes)))

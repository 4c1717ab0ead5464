"""Interleaved tool calls of several tokens, held against the truth, which is in each path."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from audit_log.postgres.database import Database
from audit_log.postgres.token_table import TokenTable
from tests.mcp.invocations import entries, invocations
from tests.neighbours.mcp_client import ERAS, mcp_client

LANES = [1, 1, 2, 4, 8]
"""How many tool calls of each token are in flight at a time."""


@dataclass(frozen=True, slots=True)
class Ties:
    """What was said of API calls, by what their tool passed on."""

    given: Counter[tuple[str, str]]
    wrong: int


async def interleaved(
    url: str, database: Database, tool_calls: int, behaviours: list[str]
) -> Ties:
    """Make *tool_calls* with one token for each of LANES; say how their API calls were tied."""
    chance = random.Random(4)
    plan = [f"{chance.choice(behaviours)}.{label}" for label in range(tool_calls)]
    calls = {name: chance.randint(0, 3) for name in plan}
    secrets = [
        (await TokenTable(database).create(f"token {number}", "operator", 90))[1]
        for number in range(len(LANES))
    ]
    await asyncio.gather(
        *(
            _call_all(
                url, secret, lanes, [(name, calls[name]) for name in plan[number :: len(LANES)]]
            )
            for number, (secret, lanes) in enumerate(zip(secrets, LANES, strict=True))
        )
    )
    audited = await entries(database, sum(calls.values()))
    by_id = {row.id: row for row in await invocations(database, tool_calls)}
    tied = Counter(entry["invocation_id"] for entry in audited)
    assert all(row.api_calls == tied[row.id] for row in by_id.values())
    return _judged(audited, plan, by_id)


def _judged(audited: list[Any], plan: list[str], by_id: dict[Any, Any]) -> Ties:
    given: Counter[tuple[str, str]] = Counter()
    wrong = 0
    for entry in audited:
        truth = plan[int(entry["path"].split("/")[3])]
        given[truth.partition(".")[0], entry["attribution"] or "none"] += 1
        if entry["attribution"] is not None:
            wrong += entry["tool"] != truth or by_id[entry["invocation_id"]].tool != truth
    return Ties(given, wrong)


async def _call_all(url: str, secret: str, lanes: int, plan: list[tuple[str, int]]) -> None:
    """Make the tool calls of one token, over as many clients of both eras as *lanes*."""
    waiting = list(plan)

    async def lane(era: str) -> None:
        async with mcp_client(url, secret, era) as client:
            while waiting:
                name, calls = waiting.pop()
                assert not (await client.call_tool(name, {"calls": calls})).is_error

    await asyncio.gather(*(lane(ERAS[number % 2]) for number in range(lanes)))

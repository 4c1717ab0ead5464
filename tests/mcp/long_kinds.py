"""1,000 interleaved tool calls of all kinds, held against the truth. Collected by name alone."""

import asyncio
import random
from collections import Counter, defaultdict
from contextlib import suppress
from typing import Any

import pytest

from audit_log.postgres.token_table import TokenTable
from audit_log.record import ToolOutcome
from tests.mcp.invocations import entries, invocations
from tests.neighbours.mcp_client import ERAS, MODERN, mcp_client

TOOL_CALLS = 1_000
LANES = (1, 2, 4)
"""How many clients of each token make tool calls at a time."""
KINDS = ("both", "nothing", "fail", "nonsense", "hold", "ask")
ENDINGS = {
    "both": ToolOutcome.OK,
    "nothing": ToolOutcome.OK,
    "fail": ToolOutcome.TOOL_ERROR,
    "nonsense": ToolOutcome.PROTOCOL_ERROR,
    "hold": ToolOutcome.CANCELLED,
}
ANSWERS = {"accept": ToolOutcome.OK, "decline": ToolOutcome.DECLINED}


class _Caller:
    """Makes the tool calls of its plan, cancels those that are held, and notes the truth."""

    def __init__(self, server):
        self.tools = server.tools
        self.entered = defaultdict(asyncio.Event)
        self.outcome = {}
        self.api_calls: Counter[str] = Counter()

    async def watch(self):
        while True:
            self.entered[await self.tools.entered.get()].set()

    async def lane(self, url, secret, era, answer, waiting):
        async with mcp_client(url, secret, era, answer=answer) as client:
            while waiting:
                await self._call(client, era, answer, waiting.pop())

    async def _call(self, client, era, answer, name):
        kind = name.partition(".")[0]
        self.outcome[name] = ANSWERS[answer] if kind == "ask" else ENDINGS[kind]
        rounds = 2 if kind == "ask" and era == MODERN else 1
        self.api_calls[name] = rounds if kind in {"ask", "both", "nothing"} else 0
        call = asyncio.create_task(client.call_tool(name))
        if kind == "hold":
            await self.entered[name].wait()
            call.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await call


@pytest.mark.timeout(600)
async def test_each_kind_of_1_000_tool_calls_is_recorded_and_tied_as_it_was(
    mcp_server, mcp_sidecar, database
):
    chance = random.Random(14)
    plan = [f"{chance.choice(KINDS)}.{label}" for label in range(TOOL_CALLS)]
    caller = _Caller(mcp_server)
    watching = asyncio.create_task(caller.watch())
    async with asyncio.TaskGroup() as group:
        for number, lanes in enumerate(LANES):
            _, secret = await TokenTable(database).create(f"token {number}", "operator", 90)
            waiting = plan[number :: len(LANES)]
            for lane in range(lanes):
                era, answer = ERAS[lane % 2], list(ANSWERS)[(number + lane // 2) % 2]
                group.create_task(caller.lane(mcp_sidecar.url, secret, era, answer, waiting))
    watching.cancel()

    audited = await entries(database, caller.api_calls.total())
    rows = await invocations(database, TOOL_CALLS)
    assert {row.tool: row.outcome for row in rows} == caller.outcome
    given: Counter[tuple[str, Any]] = Counter()
    for entry in audited:
        truth = plan[int(entry["path"].split("/")[3])]
        given[truth.partition(".")[0], entry["attribution"]] += 1
        assert entry["tool"] in {None, truth}
        assert (entry["attribution"] is None) == (entry["tool"] is None)
    assert {said for kind, said in given if kind in {"both", "ask"}} == {"exact"}
    assert given["nothing", "exact"] == 0

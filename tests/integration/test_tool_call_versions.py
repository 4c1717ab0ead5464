"""A tool call is recorded while it waits, and again when it ends: in the table it is one row."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import permutations

import msgspec
import pytest

from audit_log.postgres.database import open_database
from audit_log.postgres.invocations import find_invocation
from audit_log.postgres.store import Store
from audit_log.record import Invocation, Origin, ToolOutcome, new_record_id

ASKED = Invocation(
    id=new_record_id(),
    created_at=datetime.now(UTC),
    tool="delete",
    outcome=ToolOutcome.ASKED,
    status_code=202,
    origin=Origin.MCP,
    instance="here",
    token_name="laptop",
)
VERSIONS = [
    ASKED,
    msgspec.structs.replace(ASKED, outcome=ToolOutcome.WORKING, rounds=2),
    msgspec.structs.replace(ASKED, outcome=ToolOutcome.ASKED, rounds=2),
    msgspec.structs.replace(
        ASKED, outcome=ToolOutcome.OK, rounds=3, status_code=200, duration_ms=5.0, api_calls=2
    ),
]


def other(number, version):
    """Return *version* of another tool call."""
    return msgspec.structs.replace(version, id=_IDS[number])


_IDS = [new_record_id() for _ in range(24)]


async def test_versions_may_come_twice_and_in_any_order(database):
    store = Store(database)
    for number, order in enumerate(permutations(VERSIONS)):
        # The first two in one statement, the others each in its own.
        await store.append_invocations([other(number, version) for version in order[:2]])
        for version in (*order[2:], *order):
            await store.append_invocations([other(number, version)])

    for id_ in _IDS:
        row = await find_invocation(database, id_)
        assert row is not None
        assert (row.outcome, row.rounds, row.status_code) == (ToolOutcome.OK, 3, 200)
        assert (row.duration_ms, row.api_calls) == (5.0, 2)


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_the_newest_stands_until_the_end_comes(database, count):
    store = Store(database)
    await store.append_invocations([other(0, version) for version in VERSIONS[:count]])
    await store.append_invocations([other(0, version) for version in reversed(VERSIONS[:count])])

    row = await find_invocation(database, _IDS[0])
    assert row is not None
    assert (row.outcome, row.rounds) == (VERSIONS[count - 1].outcome, VERSIONS[count - 1].rounds)


async def test_an_end_is_never_changed(database):
    store, ended = Store(database), msgspec.structs.replace(ASKED, outcome=ToolOutcome.DECLINED)
    await store.append_invocations([ended])
    await store.append_invocations(VERSIONS)

    row = await find_invocation(database, ended.id)
    assert row is not None
    assert (row.outcome, row.rounds) == (ToolOutcome.DECLINED, 1)


async def test_an_end_that_comes_while_its_beginning_is_written_is_kept(database, database_url):
    async with open_database(database_url, connections=1, application="other") as second:
        async with database.transaction() as transaction:
            await transaction.execute(
                "INSERT INTO mcp_tool_invocation (id, token_name, tool, created_at, outcome,"
                " status_code, api_calls, origin, instance)"
                " VALUES ($1, 'a', 'delete', now(), 'asked', 202, 0, 'mcp', 'here')",
                ASKED.id,
            )
            ending = asyncio.create_task(Store(second).append_invocations([VERSIONS[-1]]))
            async with asyncio.timeout(10):
                while not await transaction.fetch(
                    "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
                ):
                    await asyncio.sleep(0)
        await ending

    row = await find_invocation(database, ASKED.id)
    assert row is not None
    assert row.outcome == ToolOutcome.OK


async def test_a_row_has_arrived_when_its_last_version_has(database):
    store = Store(database)
    await store.append_invocations([ASKED])
    first = await find_invocation(database, ASKED.id)
    await store.append_invocations([VERSIONS[-1]])
    last = await find_invocation(database, ASKED.id)

    assert first and last and first.arrived_at and last.arrived_at
    assert timedelta(0) < last.arrived_at - first.arrived_at

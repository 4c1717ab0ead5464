"""When records arrived, beside when they were made: late sidecars, and clocks that are ahead."""

import csv
import json
from datetime import UTC, datetime, timedelta

import pytest

from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.record import Invocation, Origin, ToolOutcome, new_record_id
from audit_log.schema.migrate import ensure_partitions, migrate, migrations
from tests.neighbours.audit_api import ALL, asking_as_admin, of_token, record
from tests.neighbours.events import listening
from tests.neighbours.old_schema import append_as_before, migrate_up_to
from tests.neighbours.records import ARRIVAL, a_record

NOW = datetime.now(UTC)
HOUR_AGO = (NOW - timedelta(hours=1)).isoformat()
LONG_AGO = NOW - timedelta(hours=3)
IN_2040 = datetime(2040, 1, 1, tzinfo=UTC)
TOKEN = new_record_id()
TOOLS = f"{ALL}/invocations"
BEFORE_ARRIVALS = next(
    number for number, one in enumerate(migrations()) if one.name == "0012_arrived_at.sql"
)
FILL = """
INSERT INTO mcp_audit_log
    (id, token_name, method, path, status_code, created_at, outcome, instance, arrived_at)
SELECT gen_random_uuid(), 'ci', 'GET', '/' || n, 200, $2::timestamptz + n * interval '1 second',
    'completed', 'test', $3
FROM generate_series(1, $1::integer) AS n
"""


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


async def asked(api, path, **query):
    """Return the ids in the response, and how many are left out for their time."""
    async with api.get(path, params=query) as response:
        assert response.status == 200, await response.text()
        entries = await response.json()
        return [entry["id"] for entry in entries], response.headers.get("X-Audit-Future")


def ids(*records):
    return [str(one.id) for one in records]


def a_tool_call(created_at):
    return Invocation(
        id=new_record_id(),
        created_at=created_at,
        tool="list_clusters",
        outcome=ToolOutcome.OK,
        status_code=200,
        origin=Origin.MCP,
        instance="test",
        token_name="claude",
    )


async def test_what_a_late_sidecar_brings_is_found_by_its_arrival(api, store):
    late = record(created_at=LONG_AGO, token_id=TOKEN)
    await store.append([late])

    for path in (ALL, of_token(TOKEN)):
        assert (await asked(api, path, since=HOUR_AGO))[0] == []
        assert (await asked(api, path, arrived_since=HOUR_AGO))[0] == ids(late)
        assert (await asked(api, path, arrived_until=HOUR_AGO))[0] == []
    async with api.get(f"{ALL}/stats", params={"arrived_since": HOUR_AGO}) as response:
        assert sum(bucket["2xx"] for bucket in await response.json()) == 1
    async with api.get(f"{ALL}/export", params={"arrived_since": HOUR_AGO}) as response:
        assert json.loads(await response.text())["id"] == str(late.id)


async def test_a_tool_call_of_a_late_sidecar_is_found_by_its_arrival(api, store):
    late = a_tool_call(LONG_AGO)
    await store.append_invocations([late])

    assert (await asked(api, TOOLS, since=HOUR_AGO))[0] == []
    assert (await asked(api, TOOLS, arrived_since=HOUR_AGO))[0] == ids(late)
    assert (await asked(api, TOOLS, arrived_until=HOUR_AGO))[0] == []


async def test_each_way_to_read_an_entry_tells_when_it_arrived(api, store, database):
    async with listening(api) as events:
        kept = record(created_at=LONG_AGO)
        await store.append([kept])
        event = await events.next()
    [row] = await database.fetch("SELECT arrived_at FROM mcp_audit_log")
    arrived_at = row["arrived_at"].isoformat()
    assert timedelta(0) < datetime.now(UTC) - row["arrived_at"] < timedelta(minutes=5)

    assert event is not None
    assert event.data["arrived_at"] == arrived_at
    async with api.get(f"{ALL}/entries/{kept.id}") as response:
        assert (await response.json())["arrived_at"] == arrived_at
    async with api.get(f"{ALL}/export?format=csv") as response:
        head, cells = csv.reader((await response.text()).splitlines())
    # New columns come behind it: none has moved.
    assert (head[-2:], cells[-2]) == (["arrived_at", "object"], arrived_at)
    async with api.get(f"{ALL}/export?format=ocsf") as response:
        logged = json.loads(await response.text())["metadata"]["logged_time"]
    assert logged == row["arrived_at"].timestamp() * 1_000 // 1


async def test_a_live_stream_takes_the_filters_of_arrival_too(api, store):
    async with listening(api, f"?arrived_since={HOUR_AGO.replace('+', '%2B')}") as events:
        kept = record(created_at=LONG_AGO)
        await store.append([kept])
        assert await events.entries(1) == ids(kept)


@pytest.mark.parametrize("path", [ALL, TOOLS])
async def test_what_is_dated_in_the_future_does_not_head_the_log(api, store, path):
    times = [LONG_AGO, LONG_AGO - timedelta(hours=1), IN_2040]
    calls = [record(created_at=time) for time in times]
    tool_calls = [a_tool_call(time) for time in times]
    await store.append(calls)
    await store.append_invocations(tool_calls)
    *good, ahead = ids(*(calls if path == ALL else tool_calls))

    assert await asked(api, path) == (good, "1")
    assert await asked(api, path, since=LONG_AGO.isoformat()) == (good[:1], "1")
    assert await asked(api, path, token_name="nobody") == ([], None)
    for query in (
        {"clock_ahead": "true"},
        {"since": "2039-01-01T00:00:00Z"},
    ):
        assert await asked(api, path, **query) == ([ahead], None)
    for query in ({"until": "2050-01-01T00:00:00Z"}, {"arrived_since": HOUR_AGO}):
        assert await asked(api, path, **query) == ([ahead, *good], None)
    assert await asked(api, path, clock_ahead="false") == (good, None)


async def test_pages_go_on_below_what_is_dated_in_the_future(api, store):
    calls = [record(created_at=LONG_AGO - timedelta(minutes=n)) for n in range(3)]
    await store.append([*calls, record(created_at=IN_2040)])

    met, fields, target = [], [], f"{ALL}?limit=1"
    while target:
        async with api.get(target) as response:
            met += [entry["id"] for entry in await response.json()]
            fields.append(response.headers.get("X-Audit-Future"))
            following = response.links.get("next")
            target = str(following["url"]) if following else ""
    assert met == ids(*calls)
    assert fields == ["1", None, None]


async def test_exports_hold_what_is_dated_in_the_future(api, store):
    await store.append([record(created_at=LONG_AGO), record(created_at=IN_2040)])

    async with api.get(f"{ALL}/export") as response:
        assert len((await response.text()).splitlines()) == 2


async def test_a_clock_that_is_a_little_ahead_hides_nothing(api, store):
    kept = record(created_at=datetime.now(UTC) + timedelta(minutes=4))
    await store.append([kept])

    assert await asked(api, ALL) == (ids(kept), None)
    assert await asked(api, ALL, clock_ahead="true") == (ids(kept), None)


async def test_a_token_was_last_used_when_its_call_arrived_and_not_in_the_future(api, store):
    other = new_record_id()
    await store.append(
        [
            record(created_at=IN_2040, token_id=TOKEN, token_name="ahead"),
            record(created_at=IN_2040, token_name="hub"),
            record(created_at=IN_2040, token_id=other, token_name="other"),
            record(created_at=LONG_AGO, token_id=other, token_name="other"),
        ]
    )

    async with api.get(f"{ALL}/tokens") as response:
        used = {token["token_name"]: token["last_used"] for token in await response.json()}
    assert used.keys() == {"ahead", "hub", "other"}
    assert used["other"] == LONG_AGO.isoformat()
    assert NOW.isoformat() < max(used.values()) < datetime.now(UTC).isoformat()


async def test_older_rows_have_no_arrival_and_match_no_span_of_arrivals(empty_database_url):
    async with open_database(empty_database_url, application="test") as database:
        await migrate_up_to(database, BEFORE_ARRIVALS)
        old, new = record(), record()
        await append_as_before(database, old)
        await migrate(database)
        await Store(database).append([new])

        rows = await database.fetch("SELECT id, arrived_at FROM mcp_audit_log")
        arrivals = {row["id"]: row["arrived_at"] for row in rows}
        assert arrivals[old.id] is None
        assert arrivals[new.id] is not None
        async with asking_as_admin(database, empty_database_url) as api:
            assert (await asked(api, ALL, arrived_since="2000-01-01"))[0] == ids(new)
            assert (await asked(api, ALL, arrived_until="2100-01-01"))[0] == ids(new)
            assert (await asked(api, ALL))[0] == ids(new, old)


@pytest.mark.parametrize("rows", [10, 5_000])
async def test_rows_that_move_to_their_month_keep_their_arrival(empty_database_url, rows):
    async with open_database(empty_database_url, application="test") as database:
        await migrate(database)
        await database.execute(FILL, rows, ARRIVAL, LONG_AGO)
        while await ensure_partitions(database, ARRIVAL) is not None:
            pass
        await Store(database).append([a_record()])

        found = await database.fetch(
            "SELECT arrived_at, count(*) FROM mcp_audit_log_2026_11 GROUP BY 1 ORDER BY 1"
        )
    assert [row["count"] for row in found] == [rows, 1]
    assert found[0]["arrived_at"] == LONG_AGO
    assert found[1]["arrived_at"] > NOW

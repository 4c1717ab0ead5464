"""The live tail: what is told to whom, and that nothing is lost or told twice."""

import asyncio
import socket
from contextlib import AsyncExitStack
from datetime import timedelta

import msgspec
import pytest
from aiohttp import ClientSession

from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.record import ToolOutcome
from audit_log.schema.migrate import migrate
from tests.neighbours.audit_api import ALL, asking_as_admin, record, serving_audit_api
from tests.neighbours.audit_database import own_postgres
from tests.neighbours.events import STREAM, Event, listening
from tests.neighbours.forged import forged
from tests.neighbours.records import a_gap, a_tool_call
from tests.neighbours.services import running_audit_api

INSERT = """
INSERT INTO mcp_audit_log (
    id, token_name, method, path, status_code, created_at, outcome, instance)
VALUES ($1, 'claude', 'GET', '/api/v1/hosts', 200, $2, 'completed', 'podwarden')
"""


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


def ids(records) -> list[str]:
    return [str(kept.id) for kept in records]


async def test_an_entry_is_told_when_it_arrives_with_all_its_details(api, store):
    await store.append([record()])
    async with listening(api) as events:
        kept = record(path="/\u2028\r\n\ndata: forged", tool="list_clusters")
        await store.append([kept])

        event = await events.next()
    assert event is not None
    assert event.kind == "entry"
    async with api.get(f"{ALL}/entries/{kept.id}") as response:
        assert event.data == await response.json()


async def test_a_filter_lets_through_what_it_says(api, store):
    async with listening(api, "?status=4xx&path=/api/v1/hosts") as events:
        wanted = [record(status_code=404, path="/api/v1/hosts/1") for _ in range(2)]
        others = [record(path="/api/v1/hosts/1"), record(status_code=404)]
        await store.append([others[0], wanted[0]])
        await store.append([others[1], wanted[1]])
        assert await events.entries(2) == ids(wanted)


async def test_records_of_long_ago_are_told_when_they_arrive(api, store):
    now = record()
    async with listening(api) as events:
        late = record(created_at=now.created_at - timedelta(days=3))
        await store.append([now])
        assert await events.entries(1) == ids([now])
        await store.append([late])
        assert await events.entries(1) == ids([late])


async def test_what_was_written_by_others_is_told_without_a_notification(api, database):
    async with listening(api) as events:
        kept = record()
        await database.execute(INSERT, kept.id, kept.created_at)
        assert await events.entries(1) == ids([kept])


async def test_a_transaction_that_ends_late_is_told_late_and_not_lost(api, store, database):
    first, second, third = (record() for _ in range(3))
    async with listening(api) as events:
        async with database.transaction() as slow:
            await slow.execute(INSERT, first.id, first.created_at)
            await store.append([second])
            assert await events.entries(1) == ids([second])
        assert await events.entries(1) == ids([first])
        await store.append([third])
        assert await events.entries(1) == ids([third])


async def test_who_comes_back_hears_what_it_missed_once(api, store, database):
    told, missed, late, live = (record() for _ in range(4))
    async with database.transaction() as slow:
        await slow.execute(INSERT, late.id, late.created_at - timedelta(days=1))
        async with listening(api) as events:
            await store.append([told])
            assert await events.entries(1) == ids([told])
            last_id = events.last_id
        await store.append([missed])
        async with listening(api, last_id=last_id) as events:
            assert await events.entries(1) == ids([missed])
            last_id = events.last_id
    async with listening(api, last_id=last_id) as events:
        assert await events.entries(1) == ids([late])
        await store.append([live])
        assert await events.entries(1) == ids([live])


async def test_who_heard_nothing_comes_back_to_where_it_was(api, store):
    async with listening(api) as events:
        last_id = events.last_id
    missed = record()
    await store.append([missed])
    async with listening(api, last_id=last_id) as events:
        assert await events.entries(1) == ids([missed])


async def test_who_breaks_off_in_the_middle_of_much_goes_on_from_there(api, store):
    async with listening(api) as events:
        beginning = events.last_id
    records = [record() for _ in range(1_700)]
    await store.append(records)
    heard: list[str] = []
    last_id = beginning
    for count in (1, 499, 500, 1, 600, 99):
        async with listening(api, last_id=last_id) as events:
            heard += await events.entries(count)
            last_id = events.last_id
            await store.append([extra := record(created_at=records[0].created_at)])
            records.append(extra)
    async with listening(api, f"?after={last_id}", last_id=last_id) as events:
        heard += await events.entries(6)
    assert sorted(heard) == sorted(ids(records))


async def test_everything_is_told_once_while_several_write_and_one_comes_and_goes(api, store):
    records = [record() for _ in range(600)]

    async def write(share) -> None:
        for kept in share:
            await store.append([kept])

    async with listening(api) as events:
        last_id = events.last_id
    writing = [asyncio.create_task(write(records[number::4])) for number in range(4)]
    heard: list[str] = []
    while len(heard) < len(records):
        async with listening(api, last_id=last_id) as events:
            heard += await events.entries(min(37, len(records) - len(heard)))
            last_id = events.last_id
    await asyncio.gather(*writing)
    assert sorted(heard) == sorted(ids(records))


async def test_two_hundred_listen_on_one_connection(api, store, database):
    async with AsyncExitStack() as stack:
        everyone = await asyncio.gather(
            *(
                stack.enter_async_context(listening(api, f"?status={200 + number % 2}"))
                for number in range(200)
            )
        )
        records = [record(status_code=200 + number) for number in range(2)]
        await store.append(records)
        for number, events in enumerate(everyone):
            assert await events.entries(1) == [str(records[number % 2].id)]

        [row] = await database.fetch(
            "SELECT count(*) FILTER (WHERE query LIKE 'LISTEN%') AS listening, count(*) AS all"
            " FROM pg_stat_activity"
            " WHERE application_name = 'audit_api' AND datname = current_database()"
        )
        assert row["listening"] == 1
        assert row["all"] <= 7


async def test_a_listener_that_does_not_keep_up_is_told_so_and_let_go(api, store):
    url = api._base_url
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.settimeout(0)
    await asyncio.get_running_loop().sock_connect(sock, (url.host, url.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4_096)
    head = f"GET {STREAM} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    writer.write(f"{head}Authorization: {api.headers['Authorization']}\r\n\r\n".encode())
    async with asyncio.timeout(60):
        await reader.readuntil(b"heartbeat")
        async with listening(api) as quick:
            for _ in range(20):
                await store.append([record(path="/" + "x" * 2_000) for _ in range(500)])
                await quick.entries(500)
        rest = await reader.read()
        while piece := await reader.read(2**20):
            rest = rest[-1_000:] + piece
    assert b'event: notice\ndata: {"reason":"too_slow"}' in rest
    writer.close()
    await writer.wait_closed()


async def test_a_stream_ends_when_its_token_no_longer_counts(database_url, database):
    table = TokenTable(database)
    token, secret = await table.create("reader", "admin", 90)
    async with serving_audit_api(database_url) as api:
        api.headers["Authorization"] = f"Bearer {secret}"
        async with listening(api) as events:
            await table.revoke(token.id)
            assert await events.next() == Event("notice", {"reason": "not_allowed"})
            assert await events.next() is None


async def test_a_stream_outlives_postgresql_and_goes_on():
    with own_postgres() as postgres:
        async with open_database(postgres.url(), application="test") as database:
            await migrate(database)
            store = Store(database)
            async with (
                asking_as_admin(database, postgres.url()) as api,
                listening(api) as events,
            ):
                await asyncio.to_thread(postgres.kill)
                assert await events.next() == Event(
                    "waiting", {"reason": "The audit log is out of reach"}
                )
                await asyncio.to_thread(postgres.start)
                kept = record()
                await store.append([kept])
                told = [await events.next() for _ in range(2)]
                assert {event.kind for event in told if event} == {"entry", "resumed"}
                assert str(kept.id) in {event.data.get("id") for event in told if event}


async def test_a_stop_ends_the_streams_at_once(database_url, database):
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    fields = {"Authorization": f"Bearer {secret}"}
    async with running_audit_api(database_url) as service:
        async with ClientSession(service.url, headers=fields) as api, listening(api) as events:
            async with asyncio.timeout(5):
                assert await service.stop() == 0
            assert await events.next() is None
        assert service.noise == []


@pytest.mark.parametrize(
    ("last_id", "kind"),
    [
        *(("", "mark"), ("nonsense", "mark"), ("%C3%A4", "mark")),
        (forged(b'[["7000","1:%b:"]]' % (b"9" * 5_000)), "mark"),
        (forged(b'[["7000","12:10:"]]'), "mark"),
    ],
)
async def test_an_id_that_is_none_of_ours_is_refused(api, last_id, kind):
    async with api.get(STREAM, headers={"Last-Event-ID": last_id}) as response:
        assert response.status == 422
        [complaint] = (await response.json())["detail"]
        assert (complaint["loc"], complaint["type"]) == (["header", "Last-Event-ID"], kind)


async def test_an_id_of_another_database_is_refused(api, store):
    with own_postgres() as postgres:
        async with open_database(postgres.url(), application="test") as database:
            await migrate(database)
            async with (
                asking_as_admin(database, postgres.url()) as other,
                listening(other) as events,
            ):
                foreign = events.last_id
    async with api.get(f"{STREAM}?after={foreign}") as response:
        assert response.status == 422
        [complaint] = (await response.json())["detail"]
        assert complaint["loc"] == ["query", "after"]
        assert complaint["type"] == "mark_of_another_history"


async def test_head_tells_the_type_and_opens_no_stream(api):
    async with api.head(STREAM) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"


async def test_a_gap_is_told_before_what_arrived_with_it_also_to_who_comes_back(api, store):
    kept, missed = record(), record()
    here = a_gap(kept.created_at, count=3)
    async with listening(api) as events:
        await store.append_gaps([here])
        event = await events.next()
        assert event is not None
        assert (event.kind, event.data["id"], event.data["count"]) == ("gap", str(here.id), 3)
        await store.append([kept])
        assert await events.entries(1) == ids([kept])
        last_id = events.last_id
    there = a_gap(kept.created_at, count=None)
    await store.append_gaps([there])
    await store.append([missed])
    async with listening(api, last_id=last_id) as events:
        event = await events.next()
        assert event is not None
        assert (event.kind, event.data["id"]) == ("gap", str(there.id))
        assert await events.entries(1) == ids([missed])


async def test_a_gap_of_another_time_is_not_told(api, store):
    kept = record()
    until = (kept.created_at - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    async with listening(api, f"?until={until}") as events:
        old = record(created_at=kept.created_at - timedelta(days=2))
        await store.append_gaps([a_gap(kept.created_at)])
        await store.append([kept, old])
        assert await events.entries(1) == ids([old])


async def test_a_tool_call_is_told_when_it_waits_and_again_when_it_has_ended(api, store):
    asked = a_tool_call(outcome=ToolOutcome.ASKED, tool="deploy")
    other = a_tool_call(tool="list_hosts")
    query = ALL + "/invocations/stream?tool=deploy"
    async with listening(api, address=query) as events:
        await store.append_invocations([asked, other])
        first = await events.next()
        await store.append_invocations([msgspec.structs.replace(asked, outcome=ToolOutcome.OK)])
        second = await events.next()
    assert first is not None
    assert second is not None
    told = [(event.kind, event.data["id"], event.data["outcome"]) for event in (first, second)]
    assert told == [("tool_call", str(asked.id), outcome) for outcome in ("asked", "ok")]

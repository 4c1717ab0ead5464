"""Exports: complete, in constant memory, and each begins where the last one ended."""

import asyncio
import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from aiohttp import ClientPayloadError, ClientSession

from audit_log.postgres.database import open_database
from audit_log.postgres.token_table import TokenTable
from audit_log.record import ToolOutcome
from audit_log.schema.migrate import migrate
from tests.neighbours.audit_api import ALL, asking_as_admin, record
from tests.neighbours.audit_database import own_postgres
from tests.neighbours.events import listening
from tests.neighbours.forged import forged
from tests.neighbours.patience import eventually
from tests.neighbours.records import a_gap, a_tool_call
from tests.neighbours.services import running_audit_api

EXPORT = ALL + "/export"
INSERT = """
INSERT INTO mcp_audit_log (
    id, token_name, method, path, status_code, created_at, outcome, instance)
VALUES ($1, 'claude', 'GET', '/api/v1/hosts', 200, $2, 'completed', 'podwarden')
"""
PODWARDENS = """
CREATE TABLE mcp_audit_log (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_id uuid,
    token_name text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    status_code integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""
PODWARDENS_INSERT = """
INSERT INTO mcp_audit_log (token_name, method, path, status_code)
VALUES ('Hub Tunnel (hub)', 'TOOL', '/mcp/tool/list_clusters', 200)
"""
MANY = """
INSERT INTO mcp_audit_log (
    id, token_name, method, path, status_code, created_at, outcome, instance)
SELECT gen_random_uuid(), 'claude', 'GET', '/' || repeat('x', 700) || n, 200,
    now() - n * interval '1 second', 'completed', 'test'
FROM generate_series(1, $1::integer) AS n
"""


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


async def exported(api, query: str = "") -> tuple[list[str], str]:
    """Return the ids of an export, and its mark."""
    async with api.get(EXPORT + query) as response:
        assert response.status == 200, await response.text()
        lines = (await response.text()).splitlines()
        return [json.loads(line)["id"] for line in lines], response.headers["X-Audit-Mark"]


def ids(records) -> list[str]:
    return [str(kept.id) for kept in records]


async def test_everything_comes_oldest_first_in_every_format(api, store):
    first = record(token_name="=HYPERLINK(1)", status_code=404, duration_ms=1.5)
    second = record(created_at=first.created_at + timedelta(seconds=1))
    await store.append([second, first])

    async with api.get(EXPORT + "?format=csv") as response:
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert response.headers["Content-Disposition"].startswith(
            'attachment; filename="mcp-audit-'
        )
        rows = list(csv.DictReader(io.StringIO(await response.text(), newline="")))
    assert [row["id"] for row in rows] == ids([first, second])
    assert rows[0]["token_name"] == "'=HYPERLINK(1)"

    async with api.get(ALL + "?expand=details") as response:
        entries = await response.json()
    async with api.get(EXPORT + "?format=ndjson") as response:
        assert response.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    assert lines == entries[::-1]

    async with api.get(EXPORT + "?format=ocsf") as response:
        events = [json.loads(line) for line in (await response.text()).splitlines()]
    assert [event["metadata"]["uid"] for event in events] == ids([first, second])


async def test_csv_is_loaded_by_postgresql_as_it_was(api, store, database_url):
    full = record(duration_ms=1.5, user_agent="", tool='=a,"b"')
    bare = record(duration_ms=None, user_agent=None, tool=None)
    await store.append([full, bare])

    async with api.get(EXPORT + "?format=csv") as response:
        text = await response.read()
    names = next(csv.reader(io.StringIO(text.decode())))
    kinds = {
        "duration_ms": "float8",
        "created_at": "timestamptz",
        "id": "uuid",
        "token_id": "uuid",
    }
    columns = ", ".join(f"{name} {kinds.get(name, 'text')}" for name in names)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f"CREATE TEMPORARY TABLE loaded ({columns})")
        await connection.copy_to_table(
            "loaded", source=io.BytesIO(text), format="csv", header=True
        )
        rows = await connection.fetch("SELECT * FROM loaded")
    finally:
        await connection.close()
    loaded = {row["id"]: (row["duration_ms"], row["user_agent"], row["tool"]) for row in rows}
    assert loaded == {full.id: (1.5, "", '\'=a,"b"'), bare.id: (None, None, None)}


async def test_an_export_of_nothing_is_empty_save_for_the_head(api):
    assert (await exported(api))[0] == []
    async with api.get(EXPORT + "?format=csv") as response:
        assert (await response.text()).startswith('"id","token_name"')
        assert len((await response.text()).splitlines()) == 1


async def test_filters_hold(api, store):
    wanted = record(status_code=401)
    await store.append([wanted, record()])
    assert (await exported(api, "?status=4xx"))[0] == ids([wanted])


async def test_more_than_one_batch_comes_whole_and_in_order(api, store):
    records = [record() for _ in range(2_345)]
    await store.append(records)
    assert (await exported(api))[0] == ids(records)


async def test_the_next_export_begins_exactly_where_this_one_ended(api, store, database):
    known, slow, late, fresh = (record() for _ in range(4))
    await store.append([known])
    async with database.transaction() as transaction:
        await transaction.execute(INSERT, slow.id, slow.created_at)
        found, mark = await exported(api)
        assert found == ids([known])
        await store.append([fresh])
        found, later_mark = await exported(api, f"?after={mark}")
        assert found == ids([fresh])
    assert (await exported(api, f"?after={later_mark}"))[0] == ids([slow])
    await database.execute(INSERT, late.id, late.created_at - timedelta(days=9))
    found, last_mark = await exported(api, f"?after={mark}")
    assert found == ids([late, slow, fresh])
    assert (await exported(api, f"?after={last_mark}"))[0] == []


async def test_exports_one_after_another_hold_everything_once_while_several_write(api, store):
    records = [record() for _ in range(400)]

    async def write(share) -> None:
        for kept in share:
            await store.append([kept])

    writing = asyncio.gather(*(write(records[number::4]) for number in range(4)))
    found, mark = await exported(api)
    while not writing.done():
        more, mark = await exported(api, f"?after={mark}")
        found += more
    await writing
    found += (await exported(api, f"?after={mark}"))[0]
    assert sorted(found) == sorted(ids(records))


async def part(api, query: str) -> tuple[list[str], str, bool]:
    """Return the ids of a part, its mark, and whether there are more."""
    async with api.get(EXPORT + query) as response:
        assert response.status == 200, await response.text()
        assert response.content_length is not None
        lines = (await response.text()).splitlines()
        found = [json.loads(line)["id"] for line in lines]
        return (
            found,
            response.headers["X-Audit-Mark"],
            'rel="next"' in response.headers.get("Link", ""),
        )


async def test_parts_hold_together_what_a_whole_export_holds(api, store, database):
    await database.execute(
        INSERT.replace("instance)", "instance, appended_in)").replace(
            "'podwarden')", "'podwarden', NULL)"
        ),
        UUID(int=7),
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    records = [record(path=f"/{number}") for number in range(2_500)]
    await store.append(records)
    whole, _ = await exported(api)
    assert len(whole) == 2_501
    found, mark, more = await part(api, "?limit=1100")
    assert (len(found), more) == (1_100, True)
    while more:
        ids_, mark, more = await part(api, f"?limit=1100&after={mark}")
        found += ids_
    assert found == whole
    found, _, more = await part(api, f"?limit=1100&after={mark}")
    assert (found, more) == ([], False)


async def test_what_arrives_between_two_parts_comes_once_though_it_is_dated_earlier(api, store):
    await store.append([record(path=f"/{number}") for number in range(4)])
    first, mark, _ = await part(api, "?limit=2")
    late = record(created_at=record().created_at - timedelta(days=1))
    await store.append([late])
    second, mark, more = await part(api, f"?limit=2&after={mark}")
    third, mark, more = await part(api, f"?limit=2&after={mark}")
    assert (len({*first, *second}), third, more) == (4, ids([late]), False)


async def test_a_stream_and_a_whole_export_continue_behind_the_last_part(api, store):
    await store.append([record(path=f"/{number}") for number in range(3)])
    _, mark, more = await part(api, "?limit=5")
    assert not more
    new = record()
    await store.append([new])
    assert (await exported(api, f"?after={mark}"))[0] == ids([new])
    async with listening(api, last_id=mark) as events:
        assert await events.entries(1) == ids([new])


async def test_a_client_that_accepts_gzip_gets_it_and_no_other_does(api, store):
    await store.append([record(path=f"/{number}") for number in range(3)])
    for query in ("?format=csv", "?format=csv&limit=10"):
        plain = gzipped = b""
        async with api.get(EXPORT + query, headers={"Accept-Encoding": "gzip;q=0"}) as response:
            assert "Content-Encoding" not in response.headers
            plain = await response.read()
        async with api.get(EXPORT + query, headers={"Accept-Encoding": "br, gzip"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            gzipped = await response.read()  # undone by the client
        assert plain == gzipped != b""


@pytest.mark.parametrize("limit", ["0", "-1", "many", ""])
async def test_what_is_no_limit_of_a_part_is_refused(api, limit):
    async with api.get(EXPORT, params={"limit": limit}) as response:
        assert response.status == 422
        assert (await response.json())["detail"][0]["loc"] == ["query", "limit"]


async def test_what_is_no_mark_of_an_export_is_refused(api, store):
    await store.append([record()])
    async with listening(api) as events:
        await store.append([record()])
        await events.entries(1)
        of_an_event = events.last_id
    overlong = forged(b'[["7000","1:%b:"]]' % (b"9" * 5_000))
    for after in ("", "nonsense", of_an_event, overlong, forged(b"\xff")):
        async with api.get(EXPORT, params={"after": after}) as response:
            assert response.status == 422
            [complaint] = (await response.json())["detail"]
            assert complaint["loc"] == ["query", "after"]


async def test_head_tells_the_mark_and_sends_nothing(api, store):
    await store.append([record()])
    async with api.head(EXPORT) as response:
        assert response.status == 200
        mark = response.headers["X-Audit-Mark"]
    assert (await exported(api, f"?after={mark}"))[0] == []


async def test_memory_stays_flat_and_questions_are_answered_while_much_is_exported(
    database_url, database
):
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    fields = {"Authorization": f"Bearer {secret}"}
    await database.execute(MANY, 40_000)
    async with (
        running_audit_api(database_url) as service,
        ClientSession(service.url, headers=fields) as api,
    ):
        before = service.peak_bytes
        async with api.get(EXPORT + "?format=ndjson") as slow:
            await slow.content.read(1)
            async with api.get(EXPORT + "?format=csv") as quick:
                size = lines = 0
                async for piece in quick.content.iter_any():
                    size += len(piece)
                    lines += piece.count(b"\n")
            async with api.get(ALL) as response:
                assert len(await response.json()) == 100
            slow.close()
        assert lines == 40_001
        assert service.peak_bytes - before < 24 * 2**20 < size


async def test_an_export_that_cannot_go_on_is_cut_off_and_not_taken_for_complete():
    with own_postgres() as postgres:
        async with open_database(postgres.url(), application="test") as database:
            await migrate(database)
            await database.execute(MANY, 20_000)
            _, secret = await TokenTable(database).create("reader", "admin", 90)
        fields = {"Authorization": f"Bearer {secret}", "Accept-Encoding": "identity"}
        async with (
            running_audit_api(postgres.url()) as service,
            ClientSession(service.url, headers=fields) as api,
        ):
            with pytest.raises(ClientPayloadError):
                async with api.get(EXPORT) as response:
                    await response.content.read(1)
                    await asyncio.to_thread(postgres.kill)
                    await response.read()
            await service.logged("response.broke_off")


async def test_a_third_export_at_once_is_told_to_come_back(api, database):
    await database.execute(MANY, 40_000)
    api.headers["Accept-Encoding"] = "identity"  # with gzip, all of it fits into buffers
    async with api.get(EXPORT) as first, api.get(EXPORT) as second:
        await first.content.read(1)
        await second.content.read(1)
        async with api.get(EXPORT) as third, api.get(ALL) as question:
            assert third.status == 503
            assert int(third.headers["Retry-After"]) > 0
            assert "try again when one of them has ended" in await third.text()
            assert question.status == 200
            assert len((await part(api, "?limit=3"))[0]) == 3
    # The other two end when the server has seen that their clients hung up.
    await eventually(partial(has_a_turn, api))


async def has_a_turn(api):
    async with api.get(EXPORT + "?status=4xx") as response:
        return response.status == 200 and await response.text() == ""


async def test_what_was_there_before_us_is_exported_and_what_podwarden_adds_is_told(
    empty_database_url,
):
    async with open_database(empty_database_url, application="test") as database:
        await database.execute(PODWARDENS)
        await database.execute(PODWARDENS_INSERT)
        await migrate(database)
        async with asking_as_admin(database, empty_database_url) as api:
            [before], mark = await exported(api)
            assert (await exported(api, f"?after={mark}"))[0] == []
            async with listening(api) as events:
                await database.execute(PODWARDENS_INSERT)
                [added] = await events.entries(1)
            assert (await exported(api, f"?after={mark}"))[0] == [added]
            assert (await exported(api))[0] == [before, added]


async def lines_of(api, address: str) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
    """Return the lines of an export as JSON, and its response fields."""
    async with api.get(address) as response:
        assert response.status == 200, await response.text()
        return [
            json.loads(line) for line in (await response.text()).splitlines()
        ], response.headers


async def test_a_file_with_missing_records_never_looks_complete(api, store):
    kept = record()
    here, there = a_gap(kept.created_at, count=25_000), a_gap(kept.created_at, count=None)
    await store.append([kept])
    lines, fields = await lines_of(api, EXPORT)
    assert (len(lines), fields["X-Audit-Gaps"], fields["X-Audit-Missing"]) == (1, "0", "0")
    assert "incomplete" not in fields["Content-Disposition"]
    await store.append_gaps([here, there])

    for query in ("?format=ndjson", "?format=ndjson&limit=5", "?format=ndjson&token_name=claude"):
        lines, fields = await lines_of(api, EXPORT + query)
        assert [line.get("kind") for line in lines] == ["gap", "gap", None]
        assert [line["id"] for line in lines] == ids([here, there, kept])
        assert (lines[0]["count"], lines[0]["reason"]) == (25_000, "journal_full")
        assert (fields["X-Audit-Gaps"], fields["X-Audit-Missing"]) == ("2", "25000+")
        assert "-incomplete.ndjson" in fields["Content-Disposition"]
    lines, _ = await lines_of(api, EXPORT + "?format=ocsf")
    assert [line["class_uid"] for line in lines] == [1008, 1008, 6003]
    async with api.get(EXPORT + "?format=csv") as response:
        assert len((await response.text()).splitlines()) == 2
        assert response.headers["X-Audit-Missing"] == "25000+"
        assert "-incomplete.csv" in response.headers["Content-Disposition"]
    async with api.get(EXPORT + "?format=csv&kind=gaps") as response:
        rows = list(csv.DictReader(io.StringIO(await response.text(), newline="")))
    assert [(row["id"], row["count"]) for row in rows] == [
        (str(here.id), "25000"),
        (str(there.id), ""),
    ]
    lines, fields = await lines_of(api, EXPORT + "?until=2026-02-28T00:00:00Z")
    assert (lines, fields["X-Audit-Gaps"]) == ([], "0")


@pytest.mark.parametrize("query", ["", "&limit=50"])
async def test_the_next_export_tells_of_the_gaps_that_came_since_and_of_no_other(
    api, store, query
):
    kept = record()
    await store.append_gaps([a_gap(kept.created_at)])
    await store.append([kept])
    _, fields = await lines_of(api, f"{EXPORT}?{query}")
    gap, new = a_gap(kept.created_at - timedelta(days=3)), record()
    await store.append_gaps([gap])
    await store.append([new])
    for after in (f"?after={fields['X-Audit-Mark']}", f"?after={fields['X-Audit-Mark']}{query}"):
        lines, _ = await lines_of(api, EXPORT + after)
        assert [line["id"] for line in lines] == ids([gap, new])


async def test_gaps_that_were_there_before_they_were_numbered_are_told_once(api, store, database):
    gap = a_gap(record().created_at)
    await store.append_gaps([gap])
    for statement in (
        "ALTER TABLE mcp_audit_gap DISABLE TRIGGER mcp_audit_gap_appended",
        "UPDATE mcp_audit_gap SET appended_in = NULL",
    ):
        await database.execute(statement)
    lines, fields = await lines_of(api, EXPORT)
    assert [line["id"] for line in lines] == ids([gap])
    assert (await lines_of(api, f"{EXPORT}?after={fields['X-Audit-Mark']}"))[0] == []


async def test_tool_calls_are_exported_in_every_format_with_their_filters(api, store):
    first = a_tool_call(tool="deploy", claims={"run": "=1", "number": 7}, token_name="=x")
    second = a_tool_call(
        tool="deploy", created_at=first.created_at + timedelta(seconds=1), status_code=500
    )
    other = a_tool_call(tool="list_hosts")
    await store.append_invocations([second, other, first])
    await store.append_gaps([a_gap(first.created_at)])
    address = f"{ALL}/invocations/export?tool=deploy"

    lines, fields = await lines_of(api, address)
    async with api.get(f"{ALL}/invocations?tool=deploy") as response:
        listed = await response.json()
    assert (lines[0]["kind"], lines[1:]) == ("gap", listed[::-1])
    assert fields["X-Audit-Gaps"] == "1"
    lines, _ = await lines_of(api, f"{address}&format=ocsf&status=5xx")
    assert [line["metadata"]["uid"] for line in lines[1:]] == ids([second])
    async with api.get(f"{address}&format=csv") as response:
        rows = list(csv.DictReader(io.StringIO(await response.text(), newline="")))
    assert [row["id"] for row in rows] == ids([first, second])
    assert json.loads(rows[0]["claims"]) == {"run": "=1", "number": 7}
    assert rows[0]["token_name"] == "'=x"


async def test_a_tool_call_is_exported_again_when_it_has_ended(api, store):
    waits = a_tool_call(outcome=ToolOutcome.ASKED)
    await store.append_invocations([waits])
    address = f"{ALL}/invocations/export"
    lines, fields = await lines_of(api, f"{address}?limit=5")
    assert [line["outcome"] for line in lines] == ["asked"]
    after = f"{address}?after={fields['X-Audit-Mark']}"
    assert (await lines_of(api, after))[0] == []
    await store.append_invocations([msgspec.structs.replace(waits, outcome=ToolOutcome.OK)])
    await store.append_invocations([waits])
    lines, _ = await lines_of(api, after)
    assert [(line["id"], line["outcome"]) for line in lines] == [(str(waits.id), "ok")]

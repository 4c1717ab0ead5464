"""The documented questions, answered from a real table."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from audit_log.postgres.database import open_database
from audit_log.record import Gap, new_record_id
from tests.neighbours.audit_api import ALL, GAPS, NOBODY, asking_as_admin, of_token, record

NOON = datetime(2026, 2, 28, 12, tzinfo=UTC)


@pytest.fixture
async def api(database_url, database):
    """The audit API, asked by an admin."""
    async with asking_as_admin(database, database_url) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_api(module_database_url):
    """The same for all tests that only have their parameters refused."""
    async with (
        open_database(module_database_url, application="test") as database,
        asking_as_admin(database, module_database_url) as client,
    ):
        yield client


async def asked(api: ClientSession, path: str) -> Any:
    async with api.get(path) as response:
        assert response.status == 200
        return await response.json()


async def test_the_answer_is_the_documented_one_to_the_byte(api, store):
    token_id = uuid4()
    hub = record(token_name="Hub Tunnel (hub)", method="TOOL", path="/mcp/tool/list_clusters")
    call = record(
        token_id=token_id, created_at=NOON.replace(microsecond=120), status_code=404, tool="x"
    )
    await store.append([hub, call])

    call_json = (
        f'{{"id":"{call.id}","token_name":"claude","method":"GET","path":"/api/v1/clusters",'
        '"status_code":404,"created_at":"2026-02-28T12:00:00.000120+00:00"}'
    )
    hub_json = (
        f'{{"id":"{hub.id}","token_name":"Hub Tunnel (hub)","method":"TOOL",'
        '"path":"/mcp/tool/list_clusters","status_code":200,'
        '"created_at":"2026-02-28T03:42:00+00:00"}'
    )
    async with api.get(ALL) as response:
        assert await response.text() == f"[{call_json},{hub_json}]"
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    async with api.get(of_token(token_id)) as response:
        assert await response.text() == f"[{call_json}]"


async def test_entries_come_newest_first_and_by_id_where_times_are_equal(api, store):
    ids = [new_record_id() for _ in range(4)]
    late, *equal = (
        record(id=id_, created_at=moment, token_name=str(number))
        for number, (id_, moment) in enumerate(
            [(ids[0], NOON + timedelta(microseconds=1)), *((id_, NOON) for id_ in ids[1:])]
        )
    )
    await store.append([equal[1], late, equal[0], equal[2]])

    names = [entry["token_name"] for entry in await asked(api, ALL)]
    assert names == ["0", "3", "2", "1"]


async def test_entries_of_one_token_are_its_own_only(api, store):
    mine, theirs = uuid4(), uuid4()
    await store.append(
        [record(token_id=token_id, token_name=str(token_id)) for token_id in (mine, theirs, None)]
    )

    assert [entry["token_name"] for entry in await asked(api, of_token(mine))] == [str(mine)]
    assert [entry["token_name"] for entry in await asked(api, of_token(mine.hex.upper()))] == [
        str(mine)
    ]
    assert await asked(api, of_token(NOBODY)) == []


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 100),
        ("?limit=1", 1),
        ("?limit=500", 500),
        ("?limit=501", 500),
        ("?limit=99999999999999999999", 500),
        ("?limit=%32", 2),
    ],
)
async def test_the_limit_decides_how_many_come(api, store, query, count):
    token_id = uuid4()
    await store.append([record(token_id=token_id) for _ in range(502)])

    assert len(await asked(api, ALL + query)) == count
    assert len(await asked(api, of_token(token_id) + query)) == count


@pytest.mark.parametrize("path", [ALL, GAPS, of_token(NOBODY)])
@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("?limit=0", "greater_than_equal"),
        ("?limit=-1", "greater_than_equal"),
        ("?limit=", "int_parsing"),
        ("?limit", "int_parsing"),
        ("?limit=ten", "int_parsing"),
        ("?limit=1.5", "int_parsing"),
        ("?limit=%00", "int_parsing"),
        ("?limit=%ff", "int_parsing"),
        ("?limit=3&limit=2", "repeated"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_limit_is_refused_in_fastapis_shape(shared_api, path, query, kind):
    async with shared_api.get(path + query) as response:
        assert response.status == 422
        [complaint] = (await response.json())["detail"]
    assert list(complaint) == ["loc", "msg", "type"]
    assert complaint["loc"] == ["query", "limit"]
    assert complaint["type"] == kind


@pytest.mark.parametrize(
    "token_id",
    ["1", "all", "%00", "%ff", "a%2Fb", "{token_id}", "%7B%7D", "..%2F..", str(NOBODY)[:-1]],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_token_id_that_is_no_uuid_is_refused_in_fastapis_shape(shared_api, token_id):
    async with shared_api.get(of_token(token_id)) as response:
        assert response.status == 422
        assert await response.json() == {
            "detail": [
                {
                    "loc": ["path", "token_id"],
                    "msg": "This should be a UUID: 32 hexadecimal digits, with hyphens or without",
                    "type": "uuid_parsing",
                }
            ]
        }


async def test_hostile_text_comes_back_as_text(api, store):
    hostile = "</script>\u2028\"'\\\x01\u202e😀" + "%00" + "=cmd|' /C calc'!A0"
    await store.append([record(token_name=hostile, path=f"/api/{hostile}", method="<b>")])

    [entry] = await asked(api, ALL)
    assert entry["token_name"] == hostile
    assert entry["path"] == f"/api/{hostile}"
    assert entry["method"] == "<b>"


async def test_gaps_come_newest_first(api, store):
    gaps = [
        Gap(
            id=new_record_id(),
            started_at=NOON + timedelta(hours=hour),
            ended_at=NOON + timedelta(hours=hour, minutes=1),
            count=count,
            reason="journal_full",
            instance="sidecar-1",
        )
        for hour, count in enumerate([37, None])
    ]
    await store.append_gaps(gaps)

    newest, oldest = await asked(api, GAPS)
    assert (newest["from"], newest["to"]) == (
        "2026-02-28T13:00:00+00:00",
        "2026-02-28T13:01:00+00:00",
    )
    assert newest["count"] is None
    assert oldest["count"] == 37
    assert await asked(api, GAPS + "?limit=1") == [newest]

"""Walking through the log page by page, while it grows."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from yarl import URL

from audit_log.record import Invocation, Origin, ToolOutcome, new_record_id
from tests.neighbours.audit_api import (
    ALL,
    asking_as_admin,
    of_token,
    record,
    serving_audit_api,
)

NOON = datetime(2026, 2, 28, 12, tzinfo=UTC)


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


async def page(api, path) -> tuple[list[str], URL | None]:
    """Return the ids of one page, and where the next one is."""
    async with api.get(path) as response:
        assert response.status == 200
        following = response.links.get("next")
        ids = [entry["id"] for entry in await response.json()]
        return ids, following["url"] if following else None


async def walk(api, path) -> list[str]:
    ids, following = await page(api, path)
    while following is not None:
        more, following = await page(api, following)
        ids += more
    return ids


async def test_pages_follow_one_another_and_the_last_has_no_next(api, store):
    records = [record(created_at=NOON + timedelta(seconds=number // 3)) for number in range(10)]
    await store.append(records)
    newest_first = [str(kept.id) for kept in reversed(records)]

    for limit in (1, 3, 5, 9):
        assert await walk(api, f"{ALL}?limit={limit}") == newest_first
    for limit in (10, 11, 500):
        assert await page(api, f"{ALL}?limit={limit}") == (newest_first, None)


async def test_a_walk_keeps_its_filters(api, store):
    token_id = uuid4()
    mine = [
        record(
            token_id=token_id, path="/api/v1/hosts", created_at=NOON + timedelta(seconds=second)
        )
        for second in range(5)
    ]
    await store.append([*mine, record(token_id=token_id), record(path="/api/v1/hosts")])

    expected = [str(kept.id) for kept in reversed(mine)]
    assert await walk(api, f"{of_token(token_id)}?limit=2&path=/api/v1/hosts") == expected
    assert await walk(api, f"{ALL}?limit=2&path=*hosts&token_id={token_id}") == expected


async def test_a_walk_neither_skips_nor_repeats_while_records_are_written(api, store):
    before = [record(created_at=NOON + timedelta(seconds=number)) for number in range(300)]
    await store.append(before)
    walking = asyncio.Event()

    async def write() -> None:
        await walking.wait()
        for number in range(100):
            late = record(created_at=NOON + timedelta(seconds=number * 3, microseconds=1))
            await store.append([record(created_at=NOON + timedelta(hours=1)), late])

    async def read() -> list[str]:
        ids, following = await page(api, f"{ALL}?limit=7")
        walking.set()
        while following is not None:
            more, following = await page(api, following)
            ids += more
        return ids

    ids, _ = await asyncio.gather(read(), write())
    assert len(ids) == len(set(ids))
    assert {str(kept.id) for kept in before} <= set(ids)


async def test_a_cursor_that_was_altered_or_belongs_elsewhere_is_refused(api, store):
    await store.append([record(), record()])
    _, following = await page(api, f"{ALL}?limit=1&method=GET")
    assert following is not None
    cursor = following.query["cursor"]

    for query in (
        {"cursor": cursor[:-1], "method": "GET"},
        {"cursor": cursor + "A", "method": "GET"},
        {"cursor": "", "method": "GET"},
        {"cursor": cursor},
        {"cursor": cursor, "method": "POST"},
    ):
        async with api.get(ALL, params=query) as response:
            assert response.status == 422, query
            [complaint] = (await response.json())["detail"]
            assert complaint["loc"] == ["query", "cursor"]
    async with api.get(of_token(uuid4()), params={"cursor": cursor, "method": "GET"}) as response:
        assert response.status == 422


async def test_a_cursor_survives_a_restart_and_is_taken_by_every_replica(
    api, store, database_url, database
):
    await store.append([record(), record()])
    _, following = await page(api, f"{ALL}?limit=1")
    assert following is not None
    async with serving_audit_api(database_url) as other:
        other.headers["Authorization"] = api.headers["Authorization"]
        assert await page(other, following.relative()) == await page(api, following)


async def test_tool_calls_are_paged_too(api, store):
    calls = [
        Invocation(
            id=new_record_id(),
            created_at=NOON + timedelta(seconds=number),
            tool="list_clusters",
            outcome=ToolOutcome.OK,
            status_code=200,
            origin=Origin.MCP,
            instance="test",
            token_name="claude",
        )
        for number in range(5)
    ]
    await store.append_invocations(calls)
    path = f"{ALL}/invocations?limit=2"
    assert await walk(api, path) == [str(call.id) for call in reversed(calls)]
    assert await walk(api, path + "&tool=other") == []

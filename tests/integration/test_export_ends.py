"""How a whole export ends: when its reader has all of it; or cut off, leaving nothing behind."""

from contextlib import asynccontextmanager
from functools import partial

import pytest
from aiohttp import ClientPayloadError, ClientSession

from audit_log.postgres.token_table import TokenTable
from tests.neighbours.audit_api import ALL
from tests.neighbours.patience import eventually
from tests.neighbours.services import running_audit_api

EXPORT = ALL + "/export"
ROWS = 30_000
FILL = """
INSERT INTO mcp_audit_log (
    id, token_name, method, path, status_code, created_at, outcome, instance)
SELECT gen_random_uuid(), 'claude', 'GET', path, 200,
    now() - n * interval '1 second', 'completed', 'test'
FROM generate_series(1, $1::integer) AS n, LATERAL (
    SELECT '/' || string_agg(md5(n || ' ' || part), '') AS path FROM generate_series(1, 22) AS part
) AS paths
"""
UNDER_WAY = """
SELECT pid, clock_timestamp() - query_start AS age FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'COPY%' AND state <> 'idle'
"""


@asynccontextmanager
async def much_to_export(database, database_url):
    """Run the audit API on a log that fits into no buffer, compressed or not; and a client."""
    await database.execute(FILL, ROWS)
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    fields = {"Authorization": f"Bearer {secret}", "Accept-Encoding": "identity"}
    async with (
        running_audit_api(database_url) as service,
        ClientSession(service.url, headers=fields) as api,
    ):
        yield service, api


async def lasts_a_second(database):
    rows = await database.fetch(UNDER_WAY)
    return rows and min(row["age"].total_seconds() for row in rows) > 1


async def is_over(database):
    return not await database.fetch(UNDER_WAY)


@pytest.mark.parametrize(
    "limit",
    ["statement_timeout TO '500ms'", "transaction_timeout TO '500ms'", "temp_file_limit TO 0"],
)
async def test_no_limit_of_the_server_ends_a_reader_that_reads_on(database, database_url, limit):
    [name] = await database.fetch_row("SELECT current_database()")
    await database.execute(f"ALTER DATABASE {name} SET {limit}")
    async with (
        much_to_export(database, database_url) as (_, api),
        api.get(EXPORT) as response,
    ):
        await response.content.read(1)
        await eventually(partial(lasts_a_second, database))
        assert (await response.read()).count(b"\n") == ROWS


async def test_an_export_keeps_no_workers_from_other_questions(database, database_url):
    async with (
        much_to_export(database, database_url) as (_, api),
        api.get(EXPORT) as response,
    ):
        await response.content.read(1)
        assert len(await database.fetch(UNDER_WAY)) == 1


async def hang_up(response, _database):
    response.close()


async def cancel(response, database):
    await database.fetch(f"SELECT pg_cancel_backend(pid) FROM ({UNDER_WAY}) AS under_way")
    with pytest.raises(ClientPayloadError):
        await response.read()


async def terminate(response, database):
    await database.fetch(f"SELECT pg_terminate_backend(pid) FROM ({UNDER_WAY}) AS under_way")
    with pytest.raises(ClientPayloadError):
        await response.read()


@pytest.mark.parametrize(
    ("end", "coding"), [(hang_up, "identity"), (cancel, "gzip"), (terminate, "identity")]
)
async def test_an_export_that_ends_early_leaves_nothing_behind(
    database, database_url, end, coding
):
    async with much_to_export(database, database_url) as (service, api):
        for _ in range(3):
            async with api.get(EXPORT, headers={"Accept-Encoding": coding}) as response:
                await response.content.read(1)
                await end(response, database)
            await eventually(partial(is_over, database))
        async with api.get(EXPORT) as one, api.get(EXPORT) as other:
            for response in (one, other):
                assert (await response.read()).count(b"\n") == ROWS
        assert not [line for line in service.log if line["level"] == "error"]

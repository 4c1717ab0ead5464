"""The audit API reads a logical subscriber: what arrives there is exported and streamed once."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession

from audit_log.errors import SchemaError
from audit_log.filters import EVERYTHING
from audit_log.postgres.arrivals import snapshot_now
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.export import exporting
from audit_log.postgres.invocations import find_invocation
from audit_log.postgres.reading.sources import RECORDS
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.record import ToolOutcome
from audit_log.schema.followers import require_no_followers
from audit_log.schema.migrate import ensure_partitions, migrate
from deploy.local.postgres import PostgresServer, running_postgres
from tests.neighbours.adopted import PODWARDENS
from tests.neighbours.audit_api import ALL, serving_audit_api
from tests.neighbours.console import console
from tests.neighbours.logical_subscriber import (
    ALL_COLUMNS,
    all_but_appended_in,
    next_transaction,
    put_ahead,
    run,
    subscribed,
)
from tests.neighbours.patience import eventually
from tests.neighbours.postgres import TEMPLATE, fresh_database, make_template
from tests.neighbours.records import a_record, a_tool_call
from tests.neighbours.services import running_audit_api

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def publisher() -> Iterator[PostgresServer]:
    """A server with a migrated database to copy."""
    with (
        tempfile.TemporaryDirectory(prefix="publisher-") as directory,
        running_postgres(
            Path(directory) / "data", durable=False, settings={"wal_level": "logical"}
        ) as server,
    ):
        asyncio.run(make_template(server))
        yield server


@pytest.fixture
async def primary_url(publisher: PostgresServer) -> AsyncIterator[str]:
    async with fresh_database(publisher, template=TEMPLATE) as url:
        yield url


@pytest.fixture
async def primary(primary_url: str) -> AsyncIterator[Database]:
    async with open_database(primary_url, application="test") as database:
        yield database


@pytest.fixture
async def columns(primary_url: str) -> str:
    return await all_but_appended_in(primary_url)


@asynccontextmanager
async def reading(
    primary: Database, primary_url: str, copy_url: str
) -> AsyncIterator[ClientSession]:
    _, secret = await TokenTable(primary).create("laptop", "admin", 90)
    async with serving_audit_api(primary_url, database_url=copy_url) as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        yield client


FILL = """
INSERT INTO mcp_audit_log
    (id, token_name, method, path, status_code, created_at, outcome, instance)
SELECT gen_random_uuid(), 'ci', 'GET', '/' || n, 200, $2::timestamptz + n * interval '1 second',
    'completed', 'test'
FROM generate_series(1, $1::integer) AS n
"""


async def count(database: Database, table: str = "mcp_audit_log") -> int:
    [row] = await database.fetch(f"SELECT count(*) FROM {table}")
    return int(row["count"])


async def count_is(database: Database, expected: int) -> None:
    async def look() -> bool:
        return await count(database) == expected

    await eventually(look)


async def paths_in(database: Database) -> list[str]:
    rows = await database.fetch("SELECT path FROM mcp_audit_log ORDER BY path")
    return [row["path"] for row in rows]


async def has_come(database: Database, *paths: str) -> None:
    """Wait until *paths* are all that is in the log."""

    async def look() -> bool:
        return await paths_in(database) == sorted(paths)

    await eventually(look)


async def exported(client: ClientSession, after: str | None = None) -> tuple[list[str], str]:
    query = {"after": after} if after else {}
    async with client.get(ALL + "/export", params=query) as response:
        assert response.status == 200, await response.text()
        lines = (await response.text()).splitlines()
        return [json.loads(line)["path"] for line in lines], response.headers["X-Audit-Mark"]


async def reasons(client: ClientSession) -> list[str]:
    async with client.get("/readyz") as response:
        return list((await response.json())["reasons"])


async def one_reason(client: ClientSession, word: str) -> str:
    """Return the reason with *word* in it, as soon as it is the only one."""

    async def look() -> str | None:
        found = await reasons(client)
        return found[0] if len(found) == 1 and word in found[0] else None

    return await eventually(look)


async def is_ready(client: ClientSession) -> bool:
    return await reasons(client) == []


async def is_refused(client: ClientSession, reason: str) -> None:
    for path in ("/export", "/stream"):
        async with client.get(ALL + path) as response:
            assert response.status == 503
            assert (await response.json())["detail"] == reason


async def arrange(order: str, publisher_url: str, subscriber_url: str) -> None:
    """Put the publisher's transaction ids *order* (ahead or behind) of the subscriber's."""
    urls = (publisher_url, subscriber_url)
    await put_ahead(*(urls if order == "ahead" else reversed(urls)))


@pytest.mark.parametrize("order", ["ahead", "behind"])
async def test_each_record_is_exported_and_streamed_once_whatever_the_publishers_ids(
    order, primary, primary_url, database_url, database, columns
):
    await arrange(order, primary_url, database_url)
    await Store(primary).append([a_record(path="/before")])
    async with (
        subscribed(primary_url, database_url, columns),
        reading(primary, primary_url, database_url) as client,
    ):
        await has_come(database, "/before")
        first, mark = await exported(client)
        async with client.get(ALL + "/stream") as stream:
            while not (await stream.content.readline()).startswith(b": heartbeat"):
                pass
            await Store(primary).append([a_record(path="/later")])
            while b"data: " not in (line := await stream.content.readline()):
                pass
        await has_come(database, "/before", "/later")
        second, mark = await exported(client, mark)
        third, _ = await exported(client, mark)
        assert await reasons(client) == []

    assert (first, second, third) == (["/before"], ["/later"], [])
    assert json.loads(line.removeprefix(b"data: "))["path"] == "/later"


@pytest.mark.parametrize("order", ["ahead", "behind"])
async def test_a_publication_of_appended_in_is_told_and_no_export_leaves_records_out(
    order, primary, primary_url, database_url, database
):
    await arrange(order, primary_url, database_url)
    before = await snapshot_now(database)
    async with (
        subscribed(primary_url, database_url, ALL_COLUMNS) as name,
        reading(primary, primary_url, database_url) as client,
    ):
        await Store(primary).append([a_record(path="/lost")])
        await has_come(database, "/lost")
        reason = await one_reason(client, "appended_in")
        await is_refused(client, reason)
        async with client.get(ALL) as response:
            assert [entry["path"] for entry in await response.json()] == ["/lost"]

    assert name in reason
    # What is refused: it would have left the record out.
    async with exporting(database, RECORDS, EVERYTHING, before) as export:
        assert [records async for records in export.batches()] == []


async def test_a_publication_of_appended_in_is_told_at_the_start_and_by_the_check(
    primary_url, database_url, tmp_path
):
    urls = {"AUDIT_LOG_DATABASE_URL": primary_url, "AUDIT_API_DATABASE_URL": database_url}
    async with subscribed(primary_url, database_url, ALL_COLUMNS) as name:
        async with running_audit_api(primary_url, **urls) as service:
            told = await service.logged("service.not_ready")
        done = await console("check", "api", directory=tmp_path, **urls)

    assert f"publication {name} sends the column appended_in" in told["reason"]
    assert done.code == 1
    assert f"failed  arrivals: {told['reason']}" in done.output


@pytest.mark.parametrize("order", ["ahead", "behind"])
async def test_records_tell_of_a_publication_that_cannot_be_looked_at(
    order, primary, primary_url, database_url, database
):
    """The audit API knows no database but the subscriber."""
    await arrange(order, primary_url, database_url)
    async with (
        subscribed(primary_url, database_url, ALL_COLUMNS),
        reading(database, database_url, database_url) as client,
    ):
        assert await eventually(lambda: is_ready(client))
        await Store(primary).append([a_record(path="/lost")])
        await has_come(database, "/lost")
        await is_refused(client, await one_reason(client, "another server"))


async def test_a_right_publication_that_cannot_be_looked_at_is_not_complained_about(
    primary, primary_url, database_url, database, columns
):
    await arrange("ahead", primary_url, database_url)
    async with (
        subscribed(primary_url, database_url, columns),
        reading(database, database_url, database_url) as client,
    ):
        await Store(primary).append([a_record(path="/there")])
        await has_come(database, "/there")
        assert (await exported(client))[0] == ["/there"]
        assert await is_ready(client)


async def test_a_restored_log_is_told_until_its_ids_are_removed(database, database_url):
    await Store(database).append([a_record(path="/old")])
    ahead = await next_transaction(database_url) + 1_000_000
    await database.execute("UPDATE mcp_audit_log SET appended_in = $1::text::xid8", str(ahead))
    _, secret = await TokenTable(database).create("laptop", "admin", 90)
    async with serving_audit_api(database_url) as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        reason = await one_reason(client, "restore")
        await is_refused(client, reason)
        await database.execute("UPDATE mcp_audit_log SET appended_in = NULL")
        assert await eventually(lambda: is_ready(client))
        assert (await exported(client))[0] == ["/old"]


async def test_partitions_that_are_published_one_by_one_are_told(
    primary, primary_url, database_url
):
    async with (
        subscribed(primary_url, database_url, ALL_COLUMNS, "publish = 'insert'") as name,
        reading(primary, primary_url, database_url) as client,
    ):
        numbers, partitions = await reasons(client)

    assert name in numbers
    assert "appended_in" in numbers
    assert name in partitions
    assert "publish_via_partition_root" in partitions


async def test_records_that_the_primary_purges_or_moves_stay_in_the_subscriber(
    primary, primary_url, database_url, database, columns
):
    await Store(primary).append([a_record(path="/purged", created_at=NOW)])
    async with subscribed(primary_url, database_url, columns):
        odd = a_record(path="/odd", created_at=NOW - timedelta(days=900))
        await Store(primary).append([odd])
        await has_come(database, "/odd", "/purged")
        await ensure_partitions(primary, NOW)  # moves the odd one into a month of its own
        await primary.execute("DELETE FROM mcp_audit_log WHERE path = '/purged'")
        await Store(primary).append([a_record(path="/later")])

        await has_come(database, "/later", "/odd", "/purged")

    assert await paths_in(primary) == ["/later", "/odd"]


async def test_a_publication_that_sends_deletes_is_told(
    primary, primary_url, database_url, columns
):
    options = "publish_via_partition_root = true"
    async with (
        subscribed(primary_url, database_url, columns, options) as name,
        reading(primary, primary_url, database_url) as client,
    ):
        reason = await one_reason(client, "sends deletes")
        await run(primary_url, f"ALTER PUBLICATION {name} SET (publish = 'insert')")
        assert await eventually(lambda: is_ready(client))

    assert name in reason


async def test_a_publication_that_does_not_send_how_tool_calls_end_is_told(
    primary, primary_url, database_url, database, columns
):
    asked = a_tool_call(outcome=ToolOutcome.ASKED)
    async with (
        subscribed(primary_url, database_url, f"{columns}, mcp_tool_invocation") as name,
        reading(primary, primary_url, database_url) as client,
    ):
        reason = await one_reason(client, "mcp_tool_invocation")
        await run(primary_url, f"ALTER PUBLICATION {name} SET (publish = 'insert, update')")
        assert await eventually(lambda: is_ready(client))
        for outcome in (ToolOutcome.ASKED, ToolOutcome.OK):
            version = msgspec.structs.replace(asked, outcome=outcome)
            await Store(primary).append_invocations([version])

        async def has_ended() -> bool:
            found = await find_invocation(database, asked.id)
            return found is not None and found.outcome is ToolOutcome.OK

        assert await eventually(has_ended)

    assert name in reason


async def test_a_subscription_that_does_not_run_is_told(
    primary, primary_url, database_url, columns
):
    async with (
        subscribed(primary_url, database_url, columns) as name,
        reading(primary, primary_url, database_url) as client,
    ):
        assert await eventually(lambda: is_ready(client))
        await run(database_url, f"ALTER SUBSCRIPTION {name} DISABLE")

        async def are_told() -> bool:
            found = await reasons(client)
            return any(f"{name} does not run" in reason for reason in found)

        assert await eventually(are_told)
        async with client.get("/readyz") as response:
            assert (await response.json())["replica_lag_seconds"] is None
        await run(database_url, f"ALTER SUBSCRIPTION {name} ENABLE")
        assert await eventually(lambda: is_ready(client))


async def test_records_that_come_while_a_subscribers_partitions_are_made_are_kept(
    primary, primary_url, empty_database_url, columns
):
    async with open_database(empty_database_url, application="test") as copy:
        await migrate(copy)  # has no months yet: all goes into the default partition
        await primary.execute(FILL, 5_000, NOW)
        async with subscribed(primary_url, empty_database_url, columns):
            await count_is(copy, 5_000)
            moves = 0
            while await ensure_partitions(copy, NOW) is not None:
                moves += 1
                await Store(primary).append([a_record(created_at=NOW - timedelta(hours=1))])
                await count_is(copy, 5_000 + moves)

        assert moves > 2
        assert await count(copy, "mcp_audit_log_default") == 0
        assert await count(copy) == 5_000 + moves


async def test_a_log_that_is_subscribed_is_not_converted(
    primary_url, primary, empty_database_url, columns
):
    async with open_database(empty_database_url, application="test") as copy:
        await copy.execute(PODWARDENS)
        await migrate(copy)
        async with subscribed(primary_url, empty_database_url, columns) as name:
            with pytest.raises(SchemaError, match=f"membership in subscription {name}"):
                await require_no_followers(copy)

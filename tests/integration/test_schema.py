import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from uuid import uuid4

import pytest

from audit_log.errors import SchemaError, StoreUnavailableError
from audit_log.filters import RecordFilter, one_of
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.search import RecordQuery, search
from audit_log.postgres.store import Store
from audit_log.record import AuditRecord, Outcome
from audit_log.schema.migrate import ensure_partitions, is_current, migrate, migrations
from tests.neighbours.adopted import PODWARDENS
from tests.neighbours.old_schema import append_as_before, migrate_up_to
from tests.neighbours.patience import eventually
from tests.neighbours.readable_store import ReadableStore
from tests.neighbours.records import ARRIVAL, a_record

NAMES = [migration.name for migration in migrations()]
PODWARDENS_INSERT = """
INSERT INTO mcp_audit_log (token_name, method, path, status_code)
VALUES ('Hub Tunnel (hub)', 'TOOL', '/mcp/tool/list_clusters', 200)
"""


@pytest.fixture
async def empty(empty_database_url):
    async with open_database(empty_database_url, application="test") as database:
        yield database


async def waits_for_a_lock(database: Database, application: str) -> bool:
    """Return whether a connection of *application* waits for a lock."""
    return bool(
        await database.fetch(
            "SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = $1 AND wait_event_type = 'Lock'",
            application,
        )
    )


async def partitions(database: Database) -> list[str]:
    rows = await database.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = 'mcp_audit_log'::regclass ORDER BY 1"
    )
    return [row["name"] for row in rows]


async def rows_in(database: Database, table: str) -> int:
    [row] = await database.fetch(f"SELECT count(*) FROM {table}")
    return int(row[0])


async def test_an_empty_database_gets_everything_once(empty):
    assert not await is_current(empty)
    assert await migrate(empty) == NAMES
    assert await is_current(empty)
    assert await migrate(empty) == []


async def test_two_migrators_at_once_apply_everything_once(empty_database_url):
    async with (
        open_database(empty_database_url, application="one") as one,
        open_database(empty_database_url, application="two") as two,
    ):
        assert sorted(await asyncio.gather(migrate(one), migrate(two))) == [[], NAMES]


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_two_migrators_at_once_need_no_isolation_of_the_databases_own(
    empty_database_url, isolation
):
    name = empty_database_url.rpartition("/")[2]
    async with (
        open_database(empty_database_url, application="operator") as operator,
        open_database(empty_database_url, application="one") as one,
        open_database(empty_database_url, application="two") as two,
    ):
        await operator.execute(
            f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'"
        )
        assert sorted(await asyncio.gather(migrate(one), migrate(two))) == [[], NAMES]


async def test_nobody_queues_for_long_behind_a_migration_that_waits(empty, empty_database_url):
    await migrate_up_to(empty, NAMES.index("0010_filters.sql"))

    async with (
        open_database(empty_database_url, application="migrating") as migrating,
        open_database(empty_database_url, application="exporting") as exporting,
    ):
        async with exporting.transaction() as export:
            await export.execute("SELECT FROM mcp_audit_log")
            migration = asyncio.create_task(migrate(migrating))
            assert await eventually(partial(waits_for_a_lock, empty, "migrating"))
            began = monotonic()
            await append_as_before(empty, a_record())
            assert monotonic() - began < 3
            assert not migration.done()
        assert await migration == NAMES[NAMES.index("0010_filters.sql") :]


async def test_a_changed_file_is_reported(empty):
    await migrate(empty)
    await empty.execute("UPDATE mcp_audit_schema SET checksum = 'other' WHERE name = $1", NAMES[0])

    with pytest.raises(SchemaError, match=NAMES[0]):
        await migrate(empty)


async def test_a_schema_of_a_newer_version_is_left_alone(empty):
    await migrate(empty)
    await empty.execute("INSERT INTO mcp_audit_schema VALUES ('9999_future.sql', 'x')")

    assert await migrate(empty) == []
    assert await is_current(empty)


async def test_a_failing_migration_leaves_nothing(empty):
    await empty.execute("CREATE TABLE mcp_audit_gap (something_else int)")

    with pytest.raises(StoreUnavailableError):
        await migrate(empty)

    assert not await is_current(empty)
    assert (await empty.fetch_row("SELECT to_regclass('mcp_audit_log')"))[0] is None


async def test_partitions_are_made_for_this_month_and_three_ahead(empty):
    await migrate(empty)
    await ensure_partitions(empty, ARRIVAL)
    await ensure_partitions(empty, ARRIVAL)

    assert await partitions(empty) == [
        "mcp_audit_log_2026_11",
        "mcp_audit_log_2026_12",
        "mcp_audit_log_2027_01",
        "mcp_audit_log_2027_02",
        "mcp_audit_log_default",
    ]


async def test_months_begin_in_utc_whatever_the_server_thinks(empty_database_url):
    async with open_database(empty_database_url, application="test") as database:
        await migrate(database)
        name = empty_database_url.rpartition("/")[2]
        await database.execute(f"ALTER DATABASE {name} SET timezone = 'Pacific/Kiritimati'")
    async with open_database(empty_database_url, application="test") as database:
        await ensure_partitions(database, datetime(2026, 11, 30, 23, 59, tzinfo=UTC))
        first, last = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
        await Store(database).append([a_record(created_at=first), a_record(created_at=last)])

        assert await rows_in(database, "mcp_audit_log_2026_11") == 2


async def test_rows_that_wait_in_the_default_partition_move_into_their_month(empty):
    await migrate(empty)
    records = [
        a_record(),
        a_record(created_at=datetime(2026, 12, 1, tzinfo=UTC)),
        a_record(created_at=datetime(1999, 1, 1, tzinfo=UTC)),
    ]
    await Store(empty).append(records)
    assert await rows_in(empty, "mcp_audit_log_default") == 3

    await ensure_partitions(empty, ARRIVAL)

    assert await rows_in(empty, "mcp_audit_log_2026_11") == 1
    assert await rows_in(empty, "mcp_audit_log_2026_12") == 1
    assert await rows_in(empty, "mcp_audit_log_default") == 1
    assert len(await search(empty, RecordQuery())) == 3


async def test_a_reader_that_waits_while_rows_move_finds_them(empty_database_url):
    """It must not have looked for the partitions before it waits."""
    async with (
        open_database(empty_database_url, connections=2, application="test") as database,
        open_database(empty_database_url, application="reading") as reader,
    ):
        await migrate(database)
        await Store(database).append([a_record()])
        async with database.transaction() as moving:
            await moving.execute("SELECT mcp_audit_log_ensure_partitions($1, 3)", ARRIVAL)
            reading = asyncio.create_task(search(reader, RecordQuery()))
            assert await eventually(partial(waits_for_a_lock, database, "reading"))

        assert len(await reading) == 1


async def test_partitions_may_be_asked_for_by_many_at_once(empty_database_url):
    async with open_database(empty_database_url, connections=4, application="test") as database:
        await migrate(database)
        await asyncio.gather(*(ensure_partitions(database, ARRIVAL) for _ in range(8)))

        assert len(await partitions(database)) == 5


async def append_as_the_writer_does(store: Store, record: AuditRecord) -> None:
    # Whoever was on the way into the default partition when its month was made is sent back.
    while True:
        with suppress(StoreUnavailableError):
            return await store.append([record])


async def test_records_can_be_appended_while_partitions_are_made(empty_database_url):
    async with open_database(empty_database_url, connections=4, application="test") as database:
        await migrate(database)
        records = [a_record() for _ in range(100)]
        await asyncio.gather(
            *(append_as_the_writer_does(Store(database), record) for record in records),
            ensure_partitions(database, ARRIVAL),
        )

        assert await rows_in(database, "mcp_audit_log_2026_11") == 100


async def test_a_reader_that_takes_long_does_not_hold_up_inserts_behind_a_new_partition(
    empty_database_url,
):
    async with open_database(empty_database_url, connections=3, application="test") as database:
        await migrate(database)
        async with database.transaction() as reader:
            await reader.fetch("SELECT * FROM mcp_audit_log_default")

            with pytest.raises(StoreUnavailableError, match="lock timeout"):
                await ensure_partitions(database, ARRIVAL)
            await Store(database).append([a_record()])


async def test_a_role_that_may_only_insert_can_have_partitions_made(empty, empty_database_url):
    await migrate(empty)
    await empty.execute(
        "CREATE ROLE partitioner LOGIN PASSWORD 'p';"
        "GRANT INSERT ON mcp_audit_log TO partitioner;"
        "GRANT EXECUTE ON FUNCTION mcp_audit_log_ensure_partitions TO partitioner"
    )
    url = empty_database_url.replace(
        empty_database_url.split("@")[0], "postgresql://partitioner:p"
    )
    try:
        async with open_database(url, application="test") as restricted:
            await ensure_partitions(restricted, ARRIVAL)
    finally:
        await empty.execute("DROP OWNED BY partitioner; DROP ROLE partitioner")

    assert len(await partitions(empty)) == 5


async def test_podwardens_table_is_adopted_with_its_rows(empty):
    await empty.execute(PODWARDENS)
    await empty.execute(PODWARDENS_INSERT)

    assert await migrate(empty) == NAMES

    [kept] = await search(empty, RecordQuery())
    assert (kept.token_name, kept.method, kept.path) == (
        "Hub Tunnel (hub)",
        "TOOL",
        "/mcp/tool/list_clusters",
    )
    assert (kept.outcome, kept.instance) == (Outcome.COMPLETED, "podwarden")


async def test_an_adopted_table_takes_our_records_once_and_podwardens_still(empty):
    await empty.execute(PODWARDENS)
    await migrate(empty)
    await ensure_partitions(empty, ARRIVAL)
    token_id = uuid4()
    ours = a_record(token_id=token_id, tool="list_clusters")

    await Store(empty).append([ours])
    await Store(empty).append([ours])
    await empty.execute(PODWARDENS_INSERT)

    assert await rows_in(empty, "mcp_audit_log") == 2
    query = RecordQuery(filter=RecordFilter(token_id=one_of(token_id)))
    assert await ReadableStore(empty).search(query) == [ours]


async def test_an_adopted_table_without_a_key_gets_one(empty):
    await empty.execute(PODWARDENS)
    await empty.execute("ALTER TABLE mcp_audit_log DROP CONSTRAINT mcp_audit_log_pkey")
    await migrate(empty)
    record = a_record()

    await Store(empty).append([record])
    await Store(empty).append([record])

    assert await rows_in(empty, "mcp_audit_log") == 1


async def test_an_adopted_table_with_a_key_gets_no_second_one(empty):
    await empty.execute(PODWARDENS)
    await migrate(empty)

    assert (await empty.fetch_row("SELECT to_regclass('mcp_audit_log_by_id')"))[0] is None


async def test_a_table_that_holds_an_id_twice_cannot_be_adopted(empty):
    await empty.execute(PODWARDENS)
    await empty.execute("ALTER TABLE mcp_audit_log DROP CONSTRAINT mcp_audit_log_pkey")
    await empty.execute(PODWARDENS_INSERT)
    await empty.execute("INSERT INTO mcp_audit_log SELECT * FROM mcp_audit_log")

    with pytest.raises(SchemaError, match="could not create unique index"):
        await migrate(empty)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("ALTER id DROP DEFAULT, ALTER id TYPE text", "id is text but must be uuid"),
        ("ALTER created_at TYPE timestamp", "created_at AT TIME ZONE 'UTC'"),
        ("DROP path", "path is missing"),
        ("ALTER token_id SET NOT NULL", "ALTER COLUMN token_id DROP NOT NULL"),
        ("ADD user_id uuid NOT NULL", "ALTER COLUMN user_id DROP NOT NULL"),
    ],
)
async def test_a_table_that_cannot_be_adopted_is_left_alone_and_the_remedy_told(
    empty, change, complaint
):
    await empty.execute(PODWARDENS)
    await empty.execute(f"ALTER TABLE mcp_audit_log {change}")

    with pytest.raises(SchemaError) as raised:
        await migrate(empty)

    assert complaint in str(raised.value)
    assert (await empty.fetch_row("SELECT to_regclass('mcp_audit_schema')"))[0] is None


async def test_a_token_table_of_podwardens_is_not_touched(empty):
    await empty.execute("CREATE TABLE mcp_tokens (id uuid, secret_digest text)")

    await migrate(empty)

    columns = await empty.fetch(
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = 'mcp_tokens'::regclass AND attnum > 0 ORDER BY attnum"
    )
    assert [row["attname"] for row in columns] == ["id", "secret_digest"]
    assert (
        await empty.fetch("SELECT 1 FROM pg_trigger WHERE tgrelid = 'mcp_tokens'::regclass") == []
    )


async def test_a_migration_that_deadlocks_with_somebody_at_work_is_tried_again(
    empty, empty_database_url
):
    indexes = NAMES.index("0010_filters.sql")  # takes locks on the table and on its partitions
    await migrate_up_to(empty, indexes)
    [partition, *_] = await partitions(empty)

    async with open_database(empty_database_url, application="migrating") as migrating:
        async with empty.transaction() as transaction:
            await transaction.execute(f"SELECT FROM {partition}")
            migration = asyncio.create_task(migrate(migrating))
            assert await eventually(partial(waits_for_a_lock, empty, "migrating"))
            # It has the table and waits for the partition; we wait for the table.
            await transaction.execute("SELECT FROM mcp_audit_log")

        assert await migration == NAMES[indexes:]


async def test_no_trigger_lends_its_owners_rights_to_every_role(database):
    """With EXECUTE, a role can attach the function to a table of its own, and write through it."""
    lent = await database.fetch(
        "SELECT proname FROM pg_proc WHERE prosecdef AND prorettype = 'trigger'::regtype"
        " AND has_function_privilege('public', oid, 'EXECUTE')"
    )
    assert [row["proname"] for row in lent] == []

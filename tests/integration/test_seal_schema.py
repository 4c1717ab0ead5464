"""The columns of the seal reach every table, and rows keep their places wherever they move."""

import re
from itertools import permutations

import msgspec
import pytest

from audit_log.errors import SchemaError, StoreError
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.store import Store
from audit_log.record import ToolOutcome, new_record_id
from audit_log.schema.conversion import Conversion, Stage
from audit_log.schema.migrate import ensure_partitions, migrate, migrations
from audit_log.seal.leaf import tool_call_leaf
from audit_log.verify.stored.stored_rows import Table, sealed_rows
from tests.neighbours.adopted import PODWARDENS
from tests.neighbours.old_schema import append_as_before, migrate_up_to
from tests.neighbours.records import ARRIVAL, a_record, a_tool_call

BEFORE = [migration.name for migration in migrations()].index("0020_seal.sql")
FILL = """
INSERT INTO mcp_audit_log
    (id, token_name, method, path, status_code, created_at, outcome, instance)
SELECT gen_random_uuid(), 'ci', 'GET', '/' || n, 200, $1::timestamptz + n * interval '1 second',
    'completed', 'test'
FROM generate_series(1, 3000) AS n
"""


@pytest.fixture
async def database(empty_database_url):
    async with open_database(empty_database_url, connections=2, application="test") as opened:
        yield opened


def sealed(place):
    return a_record(seq=place, log=-7)


async def places(database: Database) -> list[tuple[int, int]]:
    rows = await database.fetch(
        "SELECT seq, log FROM mcp_audit_log WHERE seq IS NOT NULL ORDER BY seq"
    )
    return [tuple(row) for row in rows]


async def begun_conversion(database: Database) -> Conversion:
    """Return a conversion that was begun before the migration."""
    # As `migrate` leaves it.
    await database.execute(re.sub(r"varchar\(\d+\)", "text", PODWARDENS))
    await migrate_up_to(database, BEFORE)
    await append_as_before(database, a_record(path="/copied"))
    conversion = Conversion(database)
    await conversion.begin()
    await conversion.copy()
    await append_as_before(database, a_record(path="/by-trigger"))
    return conversion


async def test_a_conversion_that_was_begun_before_takes_places_along(database):
    conversion = await begun_conversion(database)
    await migrate(database)
    await Store(database).append([sealed(1), sealed(2)])
    while await conversion.copy():
        pass
    await conversion.switch()

    await Store(database).append([sealed(3)])
    assert await conversion.stage() is Stage.SWITCHED
    assert await places(database) == [(1, -7), (2, -7), (3, -7)]
    assert [one.missing async for one in conversion.compare()] == [0]
    paths = await database.fetch("SELECT path FROM mcp_audit_log WHERE seq IS NULL ORDER BY path")
    assert [row[0] for row in paths] == ["/by-trigger", "/copied"]


async def test_a_copy_that_lacked_columns_before_is_made_anew(database):
    conversion = await begun_conversion(database)
    await database.execute("ALTER TABLE mcp_audit_log ADD COLUMN theirs text")
    await migrate(database)

    with pytest.raises(StoreError):
        await conversion.copy()
    await conversion.begin()
    await Store(database).append([sealed(1)])
    while await conversion.copy():
        pass
    await conversion.switch()
    assert await places(database) == [(1, -7)]


async def test_a_move_that_was_begun_before_takes_places_along(database):
    await migrate_up_to(database, BEFORE)
    await database.execute(FILL, ARRIVAL)
    assert await ensure_partitions(database, ARRIVAL) is not None
    assert await ensure_partitions(database, ARRIVAL) is not None

    await migrate(database)
    await Store(database).append([sealed(1)])
    # What was copied without places is forgotten first.
    assert await ensure_partitions(database, ARRIVAL) is None
    step = 1
    while await ensure_partitions(database, ARRIVAL) is not None:
        step += 1
        await Store(database).append([sealed(step)])

    assert await places(database) == [(place, -7) for place in range(1, step + 1)]
    [row] = await database.fetch("SELECT count(*) FROM mcp_audit_log_2026_11")
    assert row[0] == 3000 + step


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("UNIQUE (token_name, created_at)", "DROP CONSTRAINT mcp_audit_log_token_name_created_at"),
        ("PRIMARY KEY (path)", "DROP CONSTRAINT mcp_audit_log_pkey"),
    ],
)
async def test_a_key_that_would_keep_records_out_is_no_table_to_adopt(database, key, remedy):
    await database.execute(PODWARDENS.replace(" PRIMARY KEY", " UNIQUE"))
    await database.execute(f"ALTER TABLE mcp_audit_log ADD {key}")

    with pytest.raises(SchemaError, match=f"would keep records out.*{remedy}"):
        await migrate(database)


async def test_a_key_that_each_row_has_by_itself_keeps_no_record_out(database):
    await database.execute(PODWARDENS.replace(" PRIMARY KEY", " UNIQUE"))
    await database.execute("ALTER TABLE mcp_audit_log ADD number bigserial PRIMARY KEY")
    await migrate(database)
    await Store(database).append([sealed(1), sealed(2)])
    assert await places(database) == [(1, -7), (2, -7)]


async def test_a_tool_calls_row_gives_the_leaf_of_the_version_that_it_bears(database):
    await migrate(database)
    store = Store(database)
    asked = a_tool_call(outcome=ToolOutcome.ASKED, status_code=202, user_agent="a" * 99)
    versions = [
        asked,
        msgspec.structs.replace(asked, outcome=ToolOutcome.WORKING, rounds=2),
        msgspec.structs.replace(asked, outcome=ToolOutcome.ASKED, rounds=2),
        # As a slot keeps it: texts are shorter there.
        msgspec.structs.replace(
            asked, outcome=ToolOutcome.INTERRUPTED, rounds=2, status_code=0, user_agent="a"
        ),
    ]
    given: dict[int, set[bytes]] = {}
    for order in permutations(range(4)):
        id_ = new_record_id()
        for place in order:
            version = msgspec.structs.replace(versions[place], id=id_, seq=place, log=-7)
            given.setdefault(place, set()).add(tool_call_leaf(version))
            await store.append_invocations([version])

    async with database.transaction() as transaction:
        found = sealed_rows(transaction, Table.TOOL_CALLS, None)
        rows = [row async for rows in found for row in rows]
    assert {row.place for row in rows} == {3}
    assert {row.data for row in rows} == given[3]

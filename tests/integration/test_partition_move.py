"""Rows that wait in the default partition get into their months, without holding others up."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from audit_log.errors import LockTimeoutError
from audit_log.filters import EVERYTHING
from audit_log.postgres.arrivals import Standpoint, read_on, snapshot_now
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.export import exporting
from audit_log.postgres.reading.sources import RECORDS
from audit_log.postgres.store import Store
from audit_log.schema.migrate import Move, ensure_partitions, migrate
from audit_log.schema.partitions import PartitionUpkeep
from tests.neighbours.records import ARRIVAL, a_record

ROWS = 5_000
DEFAULT = "mcp_audit_log_default"
NOVEMBER = "mcp_audit_log_2026_11"
FILL = """
INSERT INTO mcp_audit_log
    (id, token_name, method, path, status_code, created_at, outcome, instance)
SELECT gen_random_uuid(), 'ci', 'GET', '/' || n, 200, $2::timestamptz + n * interval '1 second',
    'completed', 'test'
FROM generate_series(1, $1::integer) AS n
"""


@pytest.fixture
async def database(empty_database_url):
    async with open_database(empty_database_url, connections=4, application="test") as opened:
        await migrate(opened)
        yield opened


async def paths_in(database: Database, table: str = "mcp_audit_log") -> list[str]:
    return sorted(row["path"] for row in await database.fetch(f"SELECT path FROM {table}"))


async def partitions(database: Database) -> list[str]:
    rows = await database.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
        " WHERE inhparent = 'mcp_audit_log'::regclass ORDER BY 1"
    )
    return [row["relname"] for row in rows]


async def moved(database: Database, now: datetime = ARRIVAL) -> list[Move]:
    """Take every step that is due; return how far each came."""
    steps = []
    while (move := await ensure_partitions(database, now)) is not None:
        steps.append(move)
    return steps


async def test_many_rows_move_in_steps_and_are_read_where_they_are_meanwhile(database):
    await database.execute(FILL, ROWS, ARRIVAL)
    odd = a_record(created_at=datetime(1999, 1, 1, tzinfo=UTC))
    await Store(database).append([odd])
    before = await paths_in(database)

    steps = 0
    while await ensure_partitions(database, ARRIVAL) is not None:
        steps += 1
        assert await paths_in(database) == before

    assert steps > ROWS / 2_000
    assert await paths_in(database) == before
    assert await paths_in(database, DEFAULT) == [odd.path]
    assert len(await paths_in(database, NOVEMBER)) == ROWS
    assert await partitions(database) == [
        NOVEMBER,
        "mcp_audit_log_2026_12",
        "mcp_audit_log_2027_01",
        "mcp_audit_log_2027_02",
        DEFAULT,
    ]


async def test_what_is_written_changed_and_deleted_meanwhile_is_as_it_was_left(database):
    await database.execute(FILL, ROWS, ARRIVAL)
    expected = set(await paths_in(database))
    number = 0
    while await ensure_partitions(database, ARRIVAL) is not None:
        number += 1
        early = a_record(path=f"/early/{number}", created_at=ARRIVAL - timedelta(hours=1))
        late = a_record(path=f"/late/{number}")
        await Store(database).append([early, late])
        await database.execute("DELETE FROM mcp_audit_log WHERE path = $1", f"/{number}")
        await database.execute(
            "UPDATE mcp_audit_log SET path = path || '!' WHERE path = $1", f"/{ROWS - number}"
        )
        expected -= {f"/{number}", f"/{ROWS - number}"}
        expected |= {early.path, late.path, f"/{ROWS - number}!"}

    assert number > 3
    assert set(await paths_in(database)) == expected
    assert len(await paths_in(database)) == len(expected)
    assert await paths_in(database, DEFAULT) == []


async def test_a_move_that_was_killed_goes_on_where_it_stood(database, empty_database_url):
    await database.execute(FILL, ROWS, ARRIVAL)
    for _ in range(2):
        await ensure_partitions(database, ARRIVAL)
    [before] = await database.fetch("SELECT copied FROM mcp_audit_move")

    async with open_database(empty_database_url, application="another") as another:
        steps = await moved(another)

    assert before["copied"] == 2_000
    assert [step.copied for step in steps] == [4_000, 5_000]


async def test_several_owners_at_once_do_it_once(database):
    await database.execute(FILL, ROWS, ARRIVAL)

    await asyncio.gather(*(moved(database) for _ in range(4)))

    assert len(await paths_in(database)) == ROWS
    assert len(await paths_in(database, NOVEMBER)) == ROWS


async def test_writers_go_on_while_rows_are_moved(database):
    await database.execute(FILL, ROWS, ARRIVAL)
    written = [a_record(path=f"/new/{number}") for number in range(50)]

    async def write() -> None:
        for record in written:
            # A record on its way into the default partition at the switch is sent again.
            while True:
                with suppress(LockTimeoutError):
                    await Store(database).append([record])
                    break

    await asyncio.gather(write(), moved(database))

    assert len(await paths_in(database)) == ROWS + len(written)


async def test_a_move_begins_anew_when_the_audit_log_got_another_column(database):
    await database.execute(FILL, ROWS, ARRIVAL)
    for _ in range(3):
        await ensure_partitions(database, ARRIVAL)
    await database.execute("ALTER TABLE mcp_audit_log ADD COLUMN note text DEFAULT 'n'")

    await moved(database)
    await moved(database)

    rows = await database.fetch(f"SELECT DISTINCT note FROM {NOVEMBER}")
    assert [row["note"] for row in rows] == ["n"]
    assert len(await paths_in(database, NOVEMBER)) == ROWS


async def test_an_export_and_the_live_stream_do_not_repeat_what_was_moved(database):
    await database.execute(FILL, ROWS, ARRIVAL)
    seen = await snapshot_now(database)

    await moved(database)

    assert (await read_on(database, RECORDS, Standpoint(seen), limit=10)).records == []


async def test_an_export_that_began_before_the_switch_is_complete(database):
    await database.execute(FILL, ROWS, ARRIVAL)
    while True:
        move = await ensure_partitions(database, ARRIVAL)
        [row] = await database.fetch("SELECT is_copied FROM mcp_audit_move")
        if row["is_copied"]:
            break
    assert move is not None
    async with exporting(database, RECORDS, EVERYTHING, None) as export:
        with pytest.raises(LockTimeoutError, match="another session"):
            await ensure_partitions(database, ARRIVAL)
        exported = [record async for batch in export.batches() for record in batch]
    await moved(database)

    assert len(exported) == ROWS
    assert len(await paths_in(database, NOVEMBER)) == ROWS


async def test_a_detached_month_that_keeps_its_name_stops_no_other_month(database):
    early = datetime(2026, 3, 5, tzinfo=UTC)
    await ensure_partitions(database, early)
    await database.execute("ALTER TABLE mcp_audit_log DETACH PARTITION mcp_audit_log_2026_03")
    records = [
        a_record(path="/march", created_at=early),
        a_record(path="/july", created_at=datetime(2026, 7, 5, tzinfo=UTC)),
    ]
    await Store(database).append(records)

    await ensure_partitions(database, ARRIVAL)

    assert await paths_in(database, DEFAULT) == []
    assert await paths_in(database, "mcp_audit_log_2026_03_2") == ["/march"]
    assert await paths_in(database, "mcp_audit_log_2026_07") == ["/july"]
    assert await paths_in(database, "mcp_audit_log_2026_03") == []


async def test_a_partition_of_the_operators_own_is_taken_for_its_months(database):
    await database.execute(
        "CREATE TABLE of_the_winter PARTITION OF mcp_audit_log"
        " FOR VALUES FROM ('2026-11-01 00:00+00') TO ('2027-01-01 00:00+00')"
    )

    await ensure_partitions(database, ARRIVAL)

    assert await partitions(database) == [
        "mcp_audit_log_2027_01",
        "mcp_audit_log_2027_02",
        DEFAULT,
        "of_the_winter",
    ]


async def test_many_rows_of_a_far_year_get_a_partition_and_few_do_not(database):
    await database.execute(FILL, 1_500, datetime(2040, 1, 1, tzinfo=UTC))
    await database.execute(FILL, 10, datetime(2041, 1, 1, tzinfo=UTC))

    await moved(database)

    assert "mcp_audit_log_2040_01" in await partitions(database)
    assert len(await paths_in(database, DEFAULT)) == 10


async def test_rows_of_many_months_are_moved_a_few_months_at_a_time(database):
    months = "$2::timestamptz - (n % 20) * interval '1 month'"
    await database.execute(FILL.replace("$2::timestamptz", months), ROWS, ARRIVAL)
    before = await paths_in(database)
    numbers = [len(await partitions(database))]

    while await ensure_partitions(database, ARRIVAL) is not None:
        numbers.append(len(await partitions(database)))
    numbers.append(len(await partitions(database)))

    assert max(later - earlier for earlier, later in pairwise(numbers)) == 6
    assert numbers[-1] == 20 + 3 + len([DEFAULT])
    assert await paths_in(database, DEFAULT) == []
    assert await paths_in(database) == before


async def test_months_of_few_rows_are_all_made_by_one_call(database):
    months = "$2::timestamptz - (n % 20) * interval '1 month'"
    await database.execute(FILL.replace("$2::timestamptz", months), 100, ARRIVAL)

    await ensure_partitions(database, ARRIVAL)

    assert len(await partitions(database)) == 20 + 3 + len([DEFAULT])
    assert await paths_in(database, DEFAULT) == []


async def test_the_upkeep_says_how_far_it_is(database):
    await database.execute(FILL, ROWS, ARRIVAL)
    upkeep = PartitionUpkeep(database)

    await upkeep.step(ARRIVAL)
    await upkeep.step(ARRIVAL)
    [moving, copied] = [upkeep.problem, dict(_values(upkeep))["moved_records"]]
    while upkeep.move is not None:
        await upkeep.step(ARRIVAL)

    assert "default partition" in (moving or "")
    assert copied == 2_000
    assert upkeep.problem is None
    assert dict(_values(upkeep)) == {"moved_records": 0, "moving_records": 0}


def _values(upkeep: PartitionUpkeep) -> list[tuple[str, float]]:
    return [(name, value) for name, _, value in upkeep.gauges()]

"""A retry that must not repeat exactly what failed: another connection, or fewer records."""

import pytest

from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import nobody_let_in
from tests.neighbours.ops import degraded, records
from tests.neighbours.sidecar import serving_sidecar

CALLS = 400
SLOW = """
CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END $$;
CREATE TRIGGER take_time BEFORE INSERT ON mcp_audit_log FOR EACH ROW EXECUTE FUNCTION take_time()
"""


async def alter(database, what):
    row = await database.fetch_row("SELECT current_database()")
    await database.execute(f"ALTER DATABASE {row[0]} {what}")


async def each_call_arrives(database, callers):
    entries = await arrived(database, len(callers.sent))
    assert [entry.path for entry in entries] == callers.sent
    assert all(entry.tells_the_truth for entry in entries)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("default_transaction_read_only = on", "read-only transaction"),
        ("search_path = elsewhere", "does not exist"),
        ("statement_timeout = 1", "statement timeout"),
    ],
    ids=["read_only", "search_path", "timeout"],
)
async def test_a_connection_that_was_opened_under_another_setting_is_not_kept(
    database, database_url, upstream, callers, setting, complaint
):
    name = setting.partition(" ")[0]
    await alter(database, f"SET {setting}")
    async with serving_sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 50)
        await degraded(sidecar, complaint)
        await alter(database, f"RESET {name}")
        await each_call_arrives(database, callers)
        await callers.make(sidecar.port, 50)
        await each_call_arrives(database, callers)
        assert await records(sidecar, "quarantined") == 0


async def test_a_batch_that_does_not_pass_in_time_is_sent_in_smaller_ones(
    postgres, database, database_url, upstream, callers
):
    await database.execute(SLOW)
    await alter(database, "SET statement_timeout = '150ms'")
    async with serving_sidecar(upstream.url, database_url) as sidecar:
        async with nobody_let_in(postgres, database_url):
            await callers.make(sidecar.port, CALLS)
            await degraded(sidecar, "records wait in the journal")
        await each_call_arrives(database, callers)
        assert await records(sidecar, "quarantined") == 0

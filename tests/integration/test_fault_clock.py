"""A wall clock that jumped: the order is the journal's, and every record finds a partition."""

from datetime import UTC, datetime, timedelta

from audit_log.schema.migrate import ensure_partitions
from proxy.journal.line_text import record_line
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import Callers, responding_by_path
from tests.neighbours.journal import a_record

NOW = datetime.now(UTC)
CLOCK = [
    NOW,
    NOW - timedelta(seconds=3),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC),
    NOW - timedelta(days=400),
    NOW + timedelta(days=300),
    NOW,
]
"""What the clock of a sidecar said, call after call."""


async def default_partition(database):
    rows = await database.fetch("SELECT created_at FROM mcp_audit_log_default ORDER BY arrival")
    return [row["created_at"] for row in rows]


async def test_the_records_of_a_clock_gone_astray_arrive_in_the_order_of_the_journal(
    home, upstream, database, database_url
):
    upstream.plan(responding_by_path)
    callers = Callers(await prepare_audit_log(database))
    told = [a_record(number, created_at=time) for number, time in enumerate(CLOCK)]
    home.journal.mkdir()
    lines = (record_line(number, record) for number, record in enumerate(told, start=1))
    (home.journal / f"{0:020d}.ndjson").write_bytes(b"".join(lines))

    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 10)
        entries = await arrived(database, len(told) + 10)

    assert [entry.path for entry in entries] == [record.path for record in told] + callers.sent
    astray = CLOCK[2:6]
    assert await default_partition(database) == astray

    await ensure_partitions(database, astray[2])
    await ensure_partitions(database, astray[3])
    assert await default_partition(database) == astray[:2]
    rows = await database.fetch("SELECT created_at FROM mcp_audit_log ORDER BY arrival")
    assert [row["created_at"] for row in rows][: len(CLOCK)] == CLOCK

"""What PostgreSQL has confirmed, and loses all the same: it must not be lost for good."""

import asyncpg

from audit_log.postgres.database import open_database
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import make_audit_log, own_postgres
from tests.neighbours.callers import Callers, responding_by_path
from tests.neighbours.sidecar import serving_sidecar

CALLS = 300


async def test_records_outlive_a_kill_where_commits_need_not_be_durable(upstream):
    upstream.plan(responding_by_path)
    with own_postgres() as server:
        # Not through the door of the audit log: ALTER SYSTEM stands in no transaction.
        operator = await asyncpg.connect(server.url())
        await operator.execute("ALTER SYSTEM SET synchronous_commit = off")
        await operator.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        await operator.execute("SELECT pg_reload_conf()")
        await operator.close()
        async with open_database(server.url(), application="test") as audit_log:
            callers = Callers(await make_audit_log(audit_log))
            async with serving_sidecar(upstream.url, server.url()) as sidecar:
                await callers.make(sidecar.port, CALLS)
                await arrived(audit_log, CALLS)
                server.kill()
                server.start()
                await callers.make(sidecar.port, 50)
                entries = await arrived(audit_log, CALLS + 50)
    assert [entry.path for entry in entries] == callers.sent

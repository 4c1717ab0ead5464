"""A database that is away, in every way we know: no call notices, no record is lost or moved."""

import asyncio
from urllib.parse import urlsplit

import pytest

from audit_log.errors import StoreUnavailableError
from audit_log.postgres.database import open_database
from tests.neighbours.arrivals import arrived, entries_in
from tests.neighbours.audit_database import make_audit_log, own_postgres
from tests.neighbours.callers import Callers, received, responding_by_path
from tests.neighbours.hop import hop_to
from tests.neighbours.ops import degraded, metric_becomes, records, recovered
from tests.neighbours.patience import eventually

BEFORE, MEANWHILE, AFTER = 50, 300, 50
HOLD_COMMITS = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON mcp_audit_log
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold()
"""
"""Whoever has advisory lock 1 lets nobody commit."""


@pytest.fixture
def server():
    with own_postgres() as server:
        yield server


@pytest.fixture
async def audit_log(server):
    async with open_database(server.url(), application="test") as database:
        yield database


@pytest.fixture
async def callers(audit_log, upstream):
    upstream.plan(responding_by_path)
    return Callers(await make_audit_log(audit_log))


async def each_call_arrives_once_and_in_order(audit_log, callers, upstream):
    entries = await arrived(audit_log, len(callers.sent))
    assert [entry.path for entry in entries] == received(upstream) == callers.sent
    assert all(entry.tells_the_truth for entry in entries)
    assert {entry.token_name for entry in entries} == {"laptop"}


async def in_mid_statement(audit_log, statement):
    """Wait until the sidecar's *statement* has begun and waits for a lock."""

    async def waits():
        return await audit_log.fetch(
            "SELECT FROM pg_stat_activity WHERE application_name = 'podwarden-audit-proxy'"
            " AND wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%'",
            statement,
        )

    assert await eventually(waits)


async def complained_of(server, what):
    """Wait until the server's log says so."""

    async def says_so():
        return what in server.log_file.read_text()

    assert await eventually(says_so)


async def test_stopped_and_started_again(home, server, audit_log, callers, upstream):
    async with home.sidecar(upstream.url, server.url()) as sidecar:
        await callers.make(sidecar.port, BEFORE)
        await arrived(audit_log, BEFORE)
        server.stop()
        await callers.make(sidecar.port, MEANWHILE)
        await degraded(sidecar, "records wait in the journal")
        server.start()
        await callers.make(sidecar.port, AFTER)
        await recovered(sidecar)
    await each_call_arrives_once_and_in_order(audit_log, callers, upstream)


async def test_restarted_again_and_again_under_load(home, server, audit_log, callers, upstream):
    async with home.sidecar(upstream.url, server.url()) as sidecar:
        load = asyncio.create_task(callers.make(sidecar.port, 1_500))
        while not load.done():
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            await asyncio.wait({load}, timeout=0.2)
        await load
        await each_call_arrives_once_and_in_order(audit_log, callers, upstream)


async def test_killed_in_mid_batch(home, server, audit_log, callers, upstream):
    async with home.sidecar(upstream.url, server.url()) as sidecar:
        await callers.make(sidecar.port, BEFORE)
        await arrived(audit_log, BEFORE)
        with pytest.raises(StoreUnavailableError):
            async with audit_log.transaction() as transaction:
                await transaction.execute("LOCK TABLE mcp_audit_log IN SHARE MODE")
                await callers.make(sidecar.port, MEANWHILE)
                await in_mid_statement(audit_log, 'COPY "mcp_audit_log"')
                server.kill()
        await callers.make(sidecar.port, MEANWHILE)
        server.start()
        await callers.make(sidecar.port, AFTER)
        await each_call_arrives_once_and_in_order(audit_log, callers, upstream)


async def test_a_batch_that_was_written_and_whose_answer_was_lost(
    home, server, audit_log, callers, upstream
):
    await audit_log.execute(HOLD_COMMITS)
    async with (
        hop_to(server.url()) as hop,
        home.sidecar(upstream.url, hop.url) as sidecar,
    ):
        await callers.make(sidecar.port, BEFORE)
        await arrived(audit_log, BEFORE)
        async with audit_log.transaction() as transaction:
            await transaction.execute("SELECT pg_advisory_xact_lock(1)")
            await callers.make(sidecar.port, MEANWHILE)
            await in_mid_statement(audit_log, "COMMIT")
            hop.replies_pass.clear()

        async def is_written():
            return len(await entries_in(audit_log)) > BEFORE

        assert await eventually(is_written)
        hop.cut()
        hop.restore()
        await callers.make(sidecar.port, AFTER)
        await each_call_arrives_once_and_in_order(audit_log, callers, upstream)
        # What is there already is no reason to refuse it.
        assert await records(sidecar, "quarantined") == 0


async def test_refused_from_the_start_and_then_without_a_schema(home, server, upstream):
    upstream.plan(responding_by_path)
    async with (
        open_database(server.url(), application="test") as audit_log,
        hop_to(server.url(), is_open=False) as hop,
        home.sidecar(upstream.url, hop.url) as sidecar,
    ):
        # The token is made when the database is there: until then nobody knows it.
        callers = Callers("pwm_made_later")
        await callers.make(sidecar.port, BEFORE)
        await degraded(sidecar, "records wait in the journal")
        await hop.open()
        await callers.make(sidecar.port, MEANWHILE)
        await complained_of(server, 'relation "mcp_tokens" does not exist')
        # Nobody may look before the token is there: then nobody would be what it is.
        hop.black_hole()
        await make_audit_log(audit_log)
        await audit_log.execute(
            "UPDATE mcp_tokens SET token_hash = encode(sha256('pwm_made_later'), 'hex')"
        )
        hop.restore()
        await recovered(sidecar)
        await callers.make(sidecar.port, AFTER)
        await each_call_arrives_once_and_in_order(audit_log, callers, upstream)


@pytest.mark.parametrize("is_cut", [False, True], ids=["and_restored", "and_cut"])
async def test_a_network_that_swallows_everything(
    home, server, audit_log, callers, upstream, is_cut
):
    async with (
        hop_to(server.url()) as hop,
        home.sidecar(upstream.url, hop.url) as sidecar,
    ):
        await callers.make(sidecar.port, BEFORE)
        # The sidecar has been told that they are written: later, no reply would come through.
        await metric_becomes(sidecar, BEFORE, "records_total", fate="written")
        hop.black_hole()
        await callers.make(sidecar.port, MEANWHILE)
        assert await records(sidecar, "written") == BEFORE
        assert await records(sidecar, "lost") == 0
        if is_cut:
            hop.cut()
        hop.restore()
        await callers.make(sidecar.port, AFTER)
        await each_call_arrives_once_and_in_order(audit_log, callers, upstream)


async def test_a_password_that_was_changed(home, server, audit_log, callers, upstream):
    # A role that may do no more than is needed.
    await audit_log.execute(
        "CREATE ROLE sidecar LOGIN PASSWORD 'first';"
        "GRANT INSERT ON mcp_audit_log, mcp_audit_gap TO sidecar;"
        "GRANT USAGE ON SEQUENCE mcp_audit_log_arrival_seq TO sidecar;"
        "GRANT SELECT ON mcp_tokens TO sidecar"
    )
    host = server.url().rpartition("@")[2]
    async with home.sidecar(upstream.url, f"postgresql://sidecar:first@{host}") as sidecar:
        await callers.make(sidecar.port, BEFORE)
        await arrived(audit_log, BEFORE)
        await audit_log.execute(
            "ALTER ROLE sidecar PASSWORD 'second';"
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sidecar'"
        )
        await callers.make(sidecar.port, MEANWHILE)
        await degraded(sidecar, "password authentication failed")
        assert "first" not in sidecar.report()
        await audit_log.execute("ALTER ROLE sidecar PASSWORD 'first'")
        await callers.make(sidecar.port, AFTER)
        await each_call_arrives_once_and_in_order(audit_log, callers, upstream)


async def test_a_full_disk_on_its_side(home, server, audit_log, callers, upstream):
    table = await file_of_this_months_table(server, audit_log)
    async with home.sidecar(upstream.url, server.url()) as sidecar:
        # Every write to this device ends like one to a full disk (man 4 full), and PostgreSQL
        # finds the table as empty as it was.
        kept = table.replace(table.with_name("kept"))
        table.symlink_to("/dev/full")
        await callers.make(sidecar.port, MEANWHILE)
        await degraded(sidecar, "No space left on device")
        kept.replace(table)
        # Each of PostgreSQL's processes keeps the files open that it has met.
        await audit_log.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'podwarden-audit-proxy'"
        )
        await callers.make(sidecar.port, AFTER)
        await each_call_arrives_once_and_in_order(audit_log, callers, upstream)


async def file_of_this_months_table(server, audit_log):
    row = await audit_log.fetch_row(
        "SELECT pg_relation_filepath("
        "'mcp_audit_log_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM'))"
    )
    return server.log_file.parent / "cluster" / row[0]


async def test_failed_over_to_an_empty_replica_at_the_same_address(
    home, server, audit_log, callers, upstream
):
    async with (
        hop_to(server.url()) as hop,
        home.sidecar(upstream.url, hop.url) as sidecar,
    ):
        await callers.make(sidecar.port, BEFORE)
        await arrived(audit_log, BEFORE)
        tokens = await audit_log.fetch_row("SELECT json_agg(mcp_tokens)::text FROM mcp_tokens")
        server.stop()
        await callers.make(sidecar.port, MEANWHILE)
        with own_postgres() as other:
            async with open_database(other.url(), application="test") as replica:
                await make_audit_log(replica)
                await become_a_replica(replica, server.url(), tokens[0])
                hop.lead_to(other.url())
                await callers.make(sidecar.port, AFTER)
                entries = await arrived(replica, MEANWHILE + AFTER)
            assert [entry.path for entry in entries] == callers.sent[BEFORE:]
            assert all(entry.tells_the_truth for entry in entries)
            assert await sidecar.stop() == 0


async def become_a_replica(database, url, tokens):
    """Take the accounts and the tokens of the first server, and nothing of its audit log."""
    await database.execute("DELETE FROM mcp_tokens")
    await database.execute(
        "INSERT INTO mcp_tokens SELECT * FROM json_populate_recordset(null::mcp_tokens, $1)",
        tokens,
    )
    # The last statement: from now on nobody else knows how to connect.
    password = urlsplit(url).password
    await database.execute(f"ALTER ROLE podwarden PASSWORD '{password}'")


async def test_memory_does_not_grow_with_what_waits(home, upstream):
    upstream.plan(responding_by_path)
    # Each record is as large as it can be, and the ring turns over more than twice, in parts: a
    # disk that others use as well may be slow.
    callers = Callers("pwm_unknown", padding=2_000)
    async with home.sidecar(upstream.url, PROXY_JOURNAL_RING_BYTES=str(4 << 20)) as sidecar:
        await callers.make(sidecar.port, 1_000)
        before = sidecar.peak_bytes
        for _ in range(3):
            await metric_becomes(sidecar, 0, "journal_ring_bytes")
            await callers.make(sidecar.port, 1_000)
        grown = sidecar.peak_bytes - before
        assert await records(sidecar, "lost") == 0
        assert grown < 3_000 * 2_000 / 4

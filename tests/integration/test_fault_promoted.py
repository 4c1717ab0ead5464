"""An asynchronous standby takes over without the last records: they are sent again."""

from contextlib import suppress
from functools import partial

import pytest

from audit_log.postgres.database import open_database
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import make_audit_log
from tests.neighbours.callers import Callers, responding_by_path
from tests.neighbours.hop import hop_to
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port
from tests.neighbours.sealed_trail import sealed_logs

BEFORE, ON_THE_PRIMARY_ALONE, AFTER = 50, 200, 20
MORE_THAN_IS_KEPT = 800
PART = 100
MANY_SEGMENTS = 4
SECONDS_AWAY = 0.05


@pytest.fixture
async def callers(primary, upstream):
    upstream.plan(responding_by_path)
    async with open_database(primary.url(), application="test") as audit_log:
        return Callers(await make_audit_log(audit_log))


async def confirmed(server, count):
    async with open_database(server.url(), application="test") as audit_log:
        await arrived(audit_log, count)


async def promote(server):
    async with open_database(server.url(), application="test") as database:
        await database.execute("SELECT pg_promote()")


async def each_record_is_there_once(server, callers):
    async with open_database(server.url(), application="test") as audit_log:
        entries = await arrived(audit_log, len(callers.sent))
        gaps = await audit_log.fetch("SELECT reason, count FROM mcp_audit_gap")
        await eventually(partial(is_sealed, audit_log, len(entries)))
    assert sorted(entry.path for entry in entries) == sorted(callers.sent)
    assert gaps == []


async def is_sealed(audit_log, count):
    """Say whether so many records are sealed, and all that the seal consists of is there."""
    with suppress(AssertionError):  # some of it is still to come
        return sum(log.count("entry") for log in await sealed_logs(audit_log)) == count
    return False


@pytest.mark.parametrize("is_busy", [True, False], ids=["in_use", "idle"])
async def test_what_a_promoted_standby_lacks_is_sent_again(
    home, upstream, callers, primary, standby, is_busy
):
    async with (
        hop_to(primary.url()) as hop,
        home.sidecar(upstream.url, hop.url) as sidecar,
    ):
        await callers.make(sidecar.port, BEFORE)
        await confirmed(primary, BEFORE)
        standby.stop()
        await callers.make(sidecar.port, ON_THE_PRIMARY_ALONE)
        await confirmed(primary, BEFORE + ON_THE_PRIMARY_ALONE)
        primary.kill()
        standby.start()
        await promote(standby)
        hop.lead_to(standby.url())
        if is_busy:
            await callers.make(sidecar.port, AFTER)
        await each_record_is_there_once(standby, callers)


async def is_away_meanwhile(
    home, upstream, callers, primary, standby, *, workers, later, is_killed
):
    """Have a sidecar end before the standby takes over, and one begin after it."""
    port = free_port()
    async with hop_to(primary.url()) as hop:
        async with home.sidecar(upstream.url, hop.url, **several(workers, port)) as sidecar:
            standby.stop()
            await callers.make(port, ON_THE_PRIMARY_ALONE)
            await confirmed(primary, ON_THE_PRIMARY_ALONE)
            if is_killed:
                await sidecar.kill()
        primary.kill()
        standby.start()
        await promote(standby)
        hop.lead_to(standby.url())
        # Time for the journal's mover to look before the writer has found out which store it is.
        hop.seconds_away = SECONDS_AWAY
        async with home.sidecar(upstream.url, hop.url, **several(later, port)):
            await each_record_is_there_once(standby, callers)


# The other ways: long_fault_promoted.py.
@pytest.mark.parametrize(
    ("workers", "later", "is_killed"),
    [(1, 1, True), (2, 2, False), (2, 1, True)],
    ids=["one-killed", "two-stopped", "orphaned-killed"],
)
async def test_a_sidecar_that_was_away_meanwhile_sends_them_again_too(
    home, upstream, callers, primary, standby, workers, later, is_killed
):
    how = {"workers": workers, "later": later, "is_killed": is_killed}
    await is_away_meanwhile(home, upstream, callers, primary, standby, **how)


async def test_what_is_kept_for_a_store_is_kept_while_it_is_away(
    home, upstream, callers, primary, standby
):
    kept = {"PROXY_JOURNAL_KEPT_SECONDS": "1"}
    async with (
        hop_to(primary.url()) as hop,
        home.sidecar(upstream.url, hop.url, **kept) as sidecar,
    ):
        standby.stop()
        await callers.make(sidecar.port, ON_THE_PRIMARY_ALONE)
        await confirmed(primary, ON_THE_PRIMARY_ALONE)
        primary.kill()

        async def several_seconds_have_passed():
            # A segment is closed after the second for which it would be kept.
            await callers.make(sidecar.port, 1)
            return len(list(home.journal.glob("*.ndjson"))) >= MANY_SEGMENTS

        await eventually(several_seconds_have_passed)
        standby.start()
        await promote(standby)
        hop.lead_to(standby.url())
        await each_record_is_there_once(standby, callers)


def several(workers, port):
    return {"PROXY_WORKERS": str(workers), "PROXY_PORT": str(port)}


async def the_gap(database):
    return await database.fetch_row(
        "SELECT reason, count, started_at, ended_at FROM mcp_audit_gap"
    )


async def test_what_is_not_kept_any_more_is_a_gap(home, upstream, callers, primary, standby):
    small = {"PROXY_JOURNAL_MAX_BYTES": str(1 << 20), "PROXY_JOURNAL_RING_BYTES": str(1 << 20)}
    callers.padding = 2_000
    async with (
        hop_to(primary.url()) as hop,
        home.sidecar(upstream.url, hop.url, **small) as sidecar,
    ):
        standby.stop()
        for made in range(PART, MORE_THAN_IS_KEPT + 1, PART):  # the ring has room for a few
            await callers.make(sidecar.port, PART)
            await confirmed(primary, made)
        primary.kill()
        standby.start()
        await promote(standby)
        hop.lead_to(standby.url())
        async with open_database(standby.url(), application="test") as audit_log:
            gap = await eventually(partial(the_gap, audit_log))
            # In the order of the journal. A new call could take the place of the oldest in memory.
            await eventually(partial(has_path, audit_log, callers.sent[-1]))
            rows = await audit_log.fetch("SELECT path, created_at FROM mcp_audit_log")
    sent_again = {row["path"] for row in rows}
    assert (gap["reason"], gap["count"]) == ("store_lost", None)
    # All that is missing lies before what was kept, and so does the gap.
    assert 100 < len(sent_again) < len(callers.sent)
    assert sent_again == set(callers.sent[-len(sent_again) :])
    assert gap["started_at"] < gap["ended_at"] == min(row["created_at"] for row in rows)


async def has_path(database, path):
    return await database.fetch("SELECT FROM mcp_audit_log WHERE path = $1", path)

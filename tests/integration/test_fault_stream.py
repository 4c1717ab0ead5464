"""A stream loses what it confirmed, unread: the journal sends it again, or a gap counts it."""

import shutil
from contextlib import asynccontextmanager
from functools import partial

import pytest

from audit_log.nats.jetstream import open_jetstream
from audit_log.nats.publisher import Publisher
from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.process.settings import NatsSettings
from proxy.delivery.replaced_store import ReplacedStore
from proxy.delivery.writer import Writer, writing
from proxy.journal import Limits, open_journal
from tests.integration.test_nats import client_of, ingesting
from tests.neighbours.audit_database import make_audit_log
from tests.neighbours.hop import hop_to
from tests.neighbours.journal import a_record
from tests.neighbours.nats_server import running_nats
from tests.neighbours.patience import eventually

READ, UNREAD, LATER = 20, 500, 10
AT_ONCE = 50
KEPT = Limits(kept_seconds=600)
FEW_KEPT = Limits(
    kept_seconds=600, max_bytes=512 * 1024, segment_bytes=32 * 1024, ring_bytes=512 * 1024
)


@pytest.fixture
def nats():
    with running_nats() as server:
        yield server


@pytest.fixture
def settings(nats):
    return NatsSettings(urls=nats.url, stream="audit", replicas=1)


@asynccontextmanager
async def a_sidecar(place, settings, limits=KEPT):
    """The journal and the writer of a sidecar, which publishes to the stream."""
    async with (
        open_journal(
            place / "journal", instance="sidecar-1", ring_directory=place / "ring", limits=limits
        ) as (intake, journal),
        open_jetstream(settings, application="podwarden-audit-proxy") as jetstream,
    ):
        publisher = Publisher(jetstream, pace_seconds=0.3)
        replaced = ReplacedStore(publisher, journal, look_seconds=0.1)
        async with writing(Writer(journal, publisher, None, None, replaced), drain_seconds=5):
            yield intake, journal


@asynccontextmanager
async def an_ingest(settings, store):
    async with (
        open_jetstream(settings, application="podwarden-audit-ingest") as jetstream,
        ingesting(jetstream, store),
    ):
        yield


async def publish(sides, numbers, **differences):
    """Have records published, in several messages."""
    intake, journal = sides
    for number in numbers:
        intake.offer(a_record(number, **differences))
        if number % AT_ONCE == AT_ONCE - 1:
            await eventually(partial(all_confirmed, journal))
    await eventually(partial(all_confirmed, journal))


async def all_confirmed(journal):
    return not journal.has_unwritten


async def all_arrived(journal):
    arrived, committed = journal.going_back.arrived, journal.going_back.committed
    return not journal.has_unwritten and arrived and arrived.offset == committed.offset


async def count_of(database, count):
    row = await database.fetch_row("SELECT count(*) FROM mcp_audit_log")
    assert row[0] <= count
    return row[0] == count


async def wipe(nats, settings):
    nats.kill()
    shutil.rmtree(nats.store)
    nats.start()


async def purge(nats, settings):
    async with client_of(settings) as client:
        await client.jetstream().purge_stream(settings.stream)


async def purge_a_part(nats, settings):
    async with client_of(settings) as client:
        jetstream = client.jetstream()
        state = (await jetstream.stream_info(settings.stream)).state
        middle = (state.first_seq + state.last_seq) // 2
        await jetstream.purge_stream(settings.stream, seq=middle)


async def delete_one(nats, settings):
    async with client_of(settings) as client:
        jetstream = client.jetstream()
        state = (await jetstream.stream_info(settings.stream)).state
        await jetstream.delete_msg(settings.stream, state.last_seq - 1)


async def delete(nats, settings):
    async with client_of(settings) as client:
        await client.jetstream().delete_stream(settings.stream)


async def is_sent_again(lose, nats, settings, store, database, tmp_path, *, is_stopped):
    """Have what the stream loses arrive; *is_stopped*: while the sidecar is away."""
    async with a_sidecar(tmp_path, settings) as sides:
        _, journal = sides
        async with an_ingest(settings, store):
            await publish(sides, range(READ))
            await eventually(partial(all_arrived, journal))
        await publish(sides, range(READ, READ + UNREAD))
        if not is_stopped:
            await lose(nats, settings)
            async with an_ingest(settings, store):
                await eventually(partial(count_of, database, READ + UNREAD))
                await publish(sides, range(READ + UNREAD, READ + UNREAD + LATER))
                await eventually(partial(count_of, database, READ + UNREAD + LATER))
    if is_stopped:
        await lose(nats, settings)
        async with an_ingest(settings, store), a_sidecar(tmp_path, settings):
            await eventually(partial(count_of, database, READ + UNREAD))
    assert await store.gaps() == []


@pytest.mark.parametrize("lose", [wipe, purge, purge_a_part, delete_one, delete])
async def test_what_a_stream_loses_unread_is_sent_again(
    lose, nats, settings, store, database, tmp_path
):
    await is_sent_again(lose, nats, settings, store, database, tmp_path, is_stopped=False)


# The others: long_fault_stream.py.
@pytest.mark.parametrize("lose", [wipe, purge_a_part])
async def test_what_a_stream_loses_while_the_sidecar_is_away_is_sent_again(
    lose, nats, settings, store, database, tmp_path
):
    await is_sent_again(lose, nats, settings, store, database, tmp_path, is_stopped=True)


async def test_what_the_journal_keeps_no_longer_is_a_gap_of_the_right_size(
    nats, settings, store, database, tmp_path
):
    large = {"path": "/" + "x" * 2_000}
    async with a_sidecar(tmp_path, settings, FEW_KEPT) as sides:
        _, journal = sides
        async with an_ingest(settings, store):
            await publish(sides, range(READ))
            await eventually(partial(all_arrived, journal))
        await publish(sides, range(READ, READ + UNREAD), **large)
        await purge(nats, settings)
        async with an_ingest(settings, store):
            assert await eventually(store.gaps)
            await eventually(partial(all_arrived, journal))
    sent_again = await database.fetch_row(
        "SELECT count(*), min(created_at) FROM mcp_audit_log WHERE length(path) > 2000"
    )
    gap, *of_holes = sorted(await store.gaps(), key=lambda gap: gap.started_at)
    assert 0 < sent_again["count"] < UNREAD
    assert gap.reason == "store_lost"
    assert gap.started_at == a_record(READ - 1).created_at
    assert gap.ended_at == sent_again["min"]
    # While calls come faster than the disk takes them, the journal keeps them with holes.
    assert sum(each.count for each in (gap, *of_holes)) == UNREAD - sent_again["count"]


async def test_what_was_read_is_not_sent_again(nats, settings, store, database, tmp_path):
    async with a_sidecar(tmp_path, settings) as sides, an_ingest(settings, store):
        _, journal = sides
        await publish(sides, range(READ))
        await eventually(partial(all_arrived, journal))
        async with client_of(settings) as client:
            seen = await client.jetstream().stream_info(settings.stream)
            await purge(nats, settings)
            await publish(sides, range(READ, READ + LATER))
            await eventually(partial(all_arrived, journal))
            now = await client.jetstream().stream_info(settings.stream)
    assert now.state.last_seq - seen.state.last_seq < READ
    assert await store.gaps() == []


async def test_what_a_promoted_standby_behind_the_ingest_lacks_is_sent_again(
    settings, primary, standby, tmp_path
):
    async with (
        hop_to(primary.url()) as hop,
        open_database(hop.url, application="ingest") as behind,
        a_sidecar(tmp_path, settings) as sides,
    ):
        _, journal = sides
        await make_audit_log(behind)
        async with an_ingest(settings, Store(behind)):
            await publish(sides, range(READ))
            await eventually(partial(all_arrived, journal))
            standby.stop()
            await publish(sides, range(READ, READ + UNREAD))
            await eventually(partial(all_arrived, journal))
            primary.kill()
            standby.start()
            async with open_database(standby.url(), application="test") as promoted:
                await promoted.execute("SELECT pg_promote()")
                assert not await count_of(promoted, READ + UNREAD)
                hop.lead_to(standby.url())
                # No call comes any more: a probe finds it out.
                await eventually(partial(count_of, promoted, READ + UNREAD))
                gaps = await promoted.fetch("SELECT FROM mcp_audit_gap")
    assert gaps == []

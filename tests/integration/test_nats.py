"""Records that travel through a NATS stream: from the sidecar to the ingest to PostgreSQL."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address

import pytest
from cryptography.x509 import IPAddress
from nats.aio.client import Client

from audit_log.errors import StoreUnavailableError
from audit_log.nats.ingest import Ingest
from audit_log.nats.jetstream import open_jetstream
from audit_log.nats.publisher import Publisher
from audit_log.postgres.search import RecordQuery
from audit_log.process.settings import NatsSettings
from audit_log.record import Gap, Invocation, Origin, ToolOutcome, new_record_id
from tests.mcp.invocations import invocations
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import Callers, responding_by_path
from tests.neighbours.certificates import self_signed
from tests.neighbours.journal import BEGINNING, a_record
from tests.neighbours.journal_home import journal_home
from tests.neighbours.nats_server import running_nats
from tests.neighbours.ops import degraded
from tests.neighbours.patience import eventually
from tests.neighbours.sealed_trail import sealed_logs
from tests.neighbours.services import running_ingest

ODD_STATE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.path = '/odd' THEN
        RAISE EXCEPTION 'odd' USING ERRCODE = 'PW001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON mcp_audit_log FOR EACH ROW EXECUTE FUNCTION refuse()
"""


@pytest.fixture(scope="module")
def nats():
    with running_nats() as server:
        yield server


@pytest.fixture
def settings(nats, request):
    return NatsSettings(urls=nats.url, stream=request.node.name[:60], replicas=1)


@pytest.fixture
async def jetstream(settings):
    async with open_jetstream(settings) as jetstream:
        yield jetstream


def test_a_sidecar_that_does_without_nats_does_not_load_it():
    loads = "import sys, proxy.__main__; sys.exit('nats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loads], check=False).returncode == 0


async def nobody(hashes):
    return dict.fromkeys(hashes)


@asynccontextmanager
async def ingesting(jetstream, store):
    ingest = Ingest(jetstream, store, nobody)
    task = asyncio.create_task(ingest.run())
    try:
        yield ingest
    finally:
        task.cancel()
        await asyncio.wait({task})


async def publishing(attempt):
    """Publish as soon as somebody has made the stream."""

    async def succeeds():
        try:
            await attempt()
        except StoreUnavailableError:
            return False
        return True

    await eventually(succeeds)


async def last_refused(settings):
    async with client_of(settings) as client:
        return await client.jetstream().get_last_msg(settings.stream, f"{settings.stream}.refused")


@asynccontextmanager
async def client_of(settings):
    client = Client()
    await client.connect(settings.servers)
    try:
        yield client
    finally:
        await client.close()


async def stored(store, count):
    async def look():
        records = await store.search(RecordQuery(limit=500))
        return records if len(records) >= count else None

    return (await eventually(look))[::-1]


async def is_sealed(database, count):
    try:
        logs = await sealed_logs(database)
    except AssertionError:
        return False  # a checkpoint may overtake leaves that are delivered again
    return [log.count("entry") for log in logs] == [count]


async def test_each_call_arrives_once_whoever_is_killed_on_the_way(
    upstream, database, database_url, tmp_path
):
    upstream.plan(responding_by_path)
    callers = Callers(await prepare_audit_log(database))
    with running_nats() as nats, journal_home() as home:
        stream = {"AUDIT_LOG_NATS_URLS": nats.url, "AUDIT_LOG_NATS_REPLICAS": "1"}
        # Without PostgreSQL it does not know the token: the ingest finds its name out.
        async with home.sidecar(upstream.url, PROXY_SINK="nats", **stream) as sidecar:
            await callers.make(sidecar.port, 50)
            await degraded(sidecar, "no server responds for the stream")
            async with running_ingest(database_url, **stream) as ingest:
                await arrived(database, 50)
                nats.kill()
                await callers.make(sidecar.port, 50)
                await degraded(sidecar, "NATS")
                nats.start()
                await arrived(database, 100)
                await ingest.kill()
            await callers.make(sidecar.port, 50)
            async with running_ingest(database_url, **stream):
                entries = await arrived(database, 150)
                await eventually(partial(is_sealed, database, 150))
            assert sidecar.noise == []
    assert sorted(entry.path for entry in entries) == sorted(callers.sent)
    assert all(entry.tells_the_truth for entry in entries)
    assert {entry.token_name for entry in entries} == {"laptop"}


async def test_records_tool_calls_and_gaps_travel_and_may_be_sent_again(
    settings, jetstream, store, database
):
    records = [a_record(number) for number in range(2_000)]
    call = Invocation(
        id=new_record_id(),
        created_at=BEGINNING,
        tool="list_clusters",
        outcome=ToolOutcome.OK,
        status_code=200,
        origin=Origin.MCP,
        instance="sidecar-1",
        token_name="ci deploy",
    )
    gap = Gap(
        id=new_record_id(),
        started_at=BEGINNING,
        ended_at=BEGINNING,
        count=3,
        reason="journal_full",
        instance="sidecar-1",
    )
    publisher = Publisher(jetstream)
    async with open_jetstream(settings) as other, ingesting(other, store):
        await publishing(lambda: publisher.append(records))
        await publisher.append(records[500:])
        await publisher.append_invocations([call])
        await publisher.append_gaps([gap])
        await invocations(database, 1)

        async def gaps():
            return await store.gaps()

        assert await eventually(gaps) == [gap]
        row = await database.fetch_row("SELECT count(*) FROM mcp_audit_log")
    assert row[0] == 2_000


async def has_quarantined(ingest):
    return ingest.quarantined == 1


async def test_what_postgresql_refuses_stays_in_the_stream_and_the_rest_goes_on(
    settings, jetstream, store
):
    poison = a_record(2, path="/%00\x00")
    good = [a_record(number) for number in (0, 1, 3, 4)]
    async with open_jetstream(settings) as other, ingesting(other, store) as ingest:
        await publishing(lambda: Publisher(jetstream).append([*good[:2], poison, *good[2:]]))

        assert await stored(store, 4) == good
        assert await eventually(partial(has_quarantined, ingest))
    kept = await last_refused(settings)
    assert str(poison.id).encode() in kept.data
    assert kept.headers["Audit-Kind"] == "record"
    assert "Unicode" in kept.headers["Audit-Reason"]


async def test_what_alone_fails_waits_apart_and_then_stays_in_the_stream(
    settings, jetstream, store, database
):
    await database.execute(ODD_STATE)
    odd = a_record(2, path="/odd")
    good = [a_record(number) for number in (0, 1, 3, 4)]
    async with open_jetstream(settings) as other, ingesting(other, store) as ingest:
        await publishing(lambda: Publisher(jetstream).append([*good[:2], odd, *good[2:]]))
        assert await stored(store, 4) == good
        await publishing(lambda: Publisher(jetstream).append([a_record(5)]))
        await stored(store, 5)
        assert await eventually(partial(has_quarantined, ingest))
        assert ingest.problem is None
    assert str(odd.id).encode() in (await last_refused(settings)).data


async def test_a_message_that_is_none_is_quarantined_as_it_is(settings, jetstream, store):
    async with open_jetstream(settings) as other, ingesting(other, store):
        await publishing(lambda: Publisher(jetstream).append([a_record(0)]))
        async with client_of(settings) as client:
            subject = f"{settings.stream}.record"
            await client.jetstream().publish(subject, b"\xff nonsense")
        await publishing(lambda: Publisher(jetstream).append([a_record(1)]))
        await stored(store, 2)
    assert (await last_refused(settings)).data == b"\xff nonsense"


async def test_a_full_stream_takes_nothing_until_there_is_room_again(nats, store, request):
    small = NatsSettings(urls=nats.url, stream="small", replicas=1, max_bytes=1024**2)
    large = [a_record(number, path="/" + "x" * 2_000) for number in range(300)]
    async with open_jetstream(small) as jetstream:
        publisher = Publisher(jetstream)
        async with open_jetstream(small) as other, ingesting(other, store):
            await publishing(lambda: publisher.append([a_record()]))
            await stored(store, 1)
        with pytest.raises(StoreUnavailableError, match="maximum bytes exceeded"):
            for first in range(0, 900, 300):
                await publisher.append(
                    [a_record(first + number, path=each.path) for number, each in enumerate(large)]
                )
        async with open_jetstream(small) as other, ingesting(other, store):
            await publishing(lambda: publisher.append([a_record(7_000)]))


async def test_a_server_that_hangs_is_unavailable_within_a_bounded_time(
    nats, settings, jetstream, store
):
    async with open_jetstream(settings) as other, ingesting(other, store):
        await publishing(lambda: Publisher(jetstream).append([a_record()]))
    with nats.frozen(), pytest.raises(StoreUnavailableError, match="NATS"):
        await Publisher(jetstream).append([a_record(1)])
    await Publisher(jetstream).append([a_record(2)])


async def test_servers_are_verified_and_passwords_are_not_said(tmp_path):
    _, ca_file = self_signed(IPAddress(ip_address("127.0.0.1")), tmp_path)
    configuration = f"""
        tls {{ cert_file: "{ca_file}", key_file: "{tmp_path / "key.pem"}" }}
        authorization {{ user: audit, password: right }}
    """

    async def response(user, **changes):
        url = server.url.replace("nats://", f"tls://{user}@")
        settings = NatsSettings(urls=url, replicas=1, **changes)
        async with open_jetstream(settings) as jetstream:
            with pytest.raises(StoreUnavailableError) as said:
                await Publisher(jetstream).append([a_record()])
        return str(said.value)

    with running_nats(configuration) as server:
        await eventually(
            lambda: says(response("audit:right", ca_file=ca_file), "no server responds")
        )
        assert "certificate verify failed" in await response("audit:right")
        refused = await response("audit:wrong", ca_file=ca_file)
        assert "uthorization" in refused
        assert "wrong" not in refused


async def says(response, words):
    return words in await response

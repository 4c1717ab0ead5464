"""What the ingest says of itself on its ops port."""

import socket

import pytest
from aiohttp import ClientSession

from audit_log.nats.jetstream import open_jetstream
from audit_log.nats.publisher import Publisher
from audit_log.process.settings import NatsSettings
from tests.neighbours.audit_log_command import audit_log
from tests.neighbours.hop import hop_to
from tests.neighbours.journal import a_record
from tests.neighbours.nats_server import running_nats
from tests.neighbours.odd_postgres import odd_postgres
from tests.neighbours.ops import metric, metric_becomes
from tests.neighbours.patience import eventually
from tests.neighbours.services import refusing_port, running_ingest


@pytest.fixture(scope="module")
def nats():
    with running_nats() as server:
        yield server


@pytest.fixture
def stream(nats, request):
    """The ingest's settings, with a stream for this test alone."""
    name = "".join(filter(str.isalpha, request.node.name))[:60]
    return {
        "AUDIT_LOG_NATS_URLS": nats.url,
        "AUDIT_LOG_NATS_STREAM": name,
        "AUDIT_LOG_NATS_REPLICAS": "1",
    }


async def readiness(ingest):
    async with ClientSession() as client, client.get(f"{ingest.ops_url}/readyz") as response:
        said = await response.json()
        return response.status, said["status"], " ".join(said["reasons"])


async def says(ingest, status, because=""):
    async def look():
        code, said, reasons = await readiness(ingest)
        assert code == (200 if said == "ready" else 503)
        return said == status and because in reasons

    assert await eventually(look, ingest.report)


async def publish(stream, count):
    """Publish *count* records, one a message."""
    settings = NatsSettings(
        urls=stream["AUDIT_LOG_NATS_URLS"], stream=stream["AUDIT_LOG_NATS_STREAM"], replicas=1
    )
    async with open_jetstream(settings) as jetstream:
        for number in range(count):
            await Publisher(jetstream).append([a_record(number)])


async def test_it_is_ready_when_it_can_bring_records_and_counts_them(
    stream, database, database_url
):
    async with running_ingest(database_url, **stream) as ingest:
        async with ClientSession() as client:
            response = await client.get(f"{ingest.ops_url}/healthz")
        assert response.status == 200
        await says(ingest, "ready")
        assert await metric(ingest, "ingest_is_ready") == 1

        await publish(stream, 3)
        await metric_becomes(ingest, 3, "ingest_records_total", fate="written")
        assert await metric(ingest, "ingest_oldest_unwritten_seconds") == 0


async def test_it_says_that_nats_is_away(database, database_url):
    with refusing_port() as nobody:
        urls = f"nats://127.0.0.1:{nobody}"
        async with running_ingest(database_url, AUDIT_LOG_NATS_URLS=urls) as ingest:
            await says(ingest, "not_ready", "nothing is written: NATS")
            assert await metric(ingest, "ingest_is_ready") == 0


async def test_it_says_that_there_is_no_schema_and_recovers_when_there_is(
    stream, empty_database_url
):
    async with running_ingest(empty_database_url, **stream) as ingest:
        await says(ingest, "not_ready", "run `python -m audit_log migrate`")

        code, _, complaint = audit_log(empty_database_url, "migrate")

        assert (code, complaint) == (0, "")
        await says(ingest, "ready")


async def test_it_tells_how_long_the_oldest_record_waits_for_postgresql(
    stream, database, database_url
):
    async with running_ingest(database_url, **stream) as ingest:
        await says(ingest, "ready")
        async with database.transaction() as transaction:
            # No insert gets past this; the ingest has taken what it cannot write.
            await transaction.execute("LOCK mcp_audit_log IN SHARE MODE")
            await publish(stream, 2)

            async def waits():
                return await metric(ingest, "ingest_oldest_unwritten_seconds") > 0.5

            assert await eventually(waits, ingest.report)
        await metric_becomes(ingest, 0, "ingest_oldest_unwritten_seconds")


def test_a_port_already_taken_is_one_readable_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said, complaint = audit_log(
            "postgresql://nobody@127.0.0.1:1/none",
            "ingest",
            AUDIT_LOG_NATS_URLS="nats://127.0.0.1:1",
            AUDIT_LOG_INGEST_OPS_PORT=str(port),
        )

    assert (code, said) == (1, "")
    assert complaint == (
        "AUDIT_LOG_INGEST_OPS_HOST, AUDIT_LOG_INGEST_OPS_PORT: "
        f"cannot listen on 127.0.0.1 port {port}: address already in use\n"
    )


async def test_it_goes_on_after_a_database_that_answered_oddly(stream, database, database_url):
    async with (
        hop_to(database_url) as hop,
        odd_postgres() as odd,
        running_ingest(hop.url, **stream) as ingest,
    ):
        await says(ingest, "ready")
        hop.lead_to(odd.url)
        await publish(stream, 1)

        async def has_met_it():
            return odd.asked >= 2

        assert await eventually(has_met_it, ingest.report)
        hop.lead_to(database_url)

        await metric_becomes(ingest, 1, "ingest_records_total", fate="written")
        async with ClientSession() as client, client.get(f"{ingest.ops_url}/healthz") as response:
            assert response.status == 200

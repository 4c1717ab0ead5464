"""Confirmed, unread records under kills: of the sidecar, of a cluster, of a stream's old leader.

Collected by name alone: each takes up to a minute. The cheap half is `test_fault_stream.py`.
"""

import shutil
from functools import partial

import pytest
from nats.errors import Error

from audit_log.errors import StoreUnavailableError
from audit_log.nats.jetstream import open_jetstream
from audit_log.postgres.database import open_database
from audit_log.process.settings import NatsSettings
from tests.integration.test_fault_stream import delete, delete_one, is_sent_again, purge
from tests.integration.test_nats import client_of
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import make_audit_log, own_postgres
from tests.neighbours.callers import Callers, responding_by_path
from tests.neighbours.nats_server import running_cluster, running_nats
from tests.neighbours.ops import recovered
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port
from tests.neighbours.services import running_ingest

STREAM = "podwarden_audit"
READ, UNREAD = 50, 500
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def server():
    with own_postgres() as server:
        yield server


@pytest.fixture
async def callers(server, upstream):
    upstream.plan(responding_by_path)
    async with open_database(server.url(), application="test") as database:
        return Callers(await make_audit_log(database))


async def each_is_there_once(server, callers):
    async with open_database(server.url(), application="test") as database:
        entries = await arrived(database, len(callers.sent))
        gaps = await database.fetch("SELECT reason, count FROM mcp_audit_gap")
    assert sorted(entry.path for entry in entries) == sorted(callers.sent)
    assert gaps == []


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "stopped"])
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_sidecar_that_was_away_sends_again_what_the_stream_lost(
    home, upstream, server, callers, is_killed, workers
):
    port = free_port()
    with running_nats() as nats:
        stream = {"AUDIT_LOG_NATS_URLS": nats.url, "AUDIT_LOG_NATS_REPLICAS": "1"}
        settings = {
            **stream,
            "PROXY_SINK": "nats",
            "PROXY_WORKERS": workers,
            "PROXY_PORT": str(port),
        }
        async with home.sidecar(upstream.url, server.url(), **settings) as sidecar:
            async with running_ingest(server.url(), **stream):
                await callers.make(port, READ)
                await each_is_there_once(server, callers)
            await callers.make(port, UNREAD)
            await eventually(partial(messages_in, nats.url))
            if is_killed:
                await sidecar.kill()
        nats.kill()
        shutil.rmtree(nats.store)
        nats.start()
        async with (
            running_ingest(server.url(), **stream),
            home.sidecar(upstream.url, server.url(), **settings),
        ):
            await each_is_there_once(server, callers)


@pytest.mark.parametrize("lose", [purge, delete_one, delete])
async def test_what_a_stream_loses_while_the_sidecar_is_away_is_sent_again(
    lose, store, database, tmp_path
):
    with running_nats() as nats:
        settings = NatsSettings(urls=nats.url, stream="audit", replicas=1)
        await is_sent_again(lose, nats, settings, store, database, tmp_path, is_stopped=True)


async def messages_in(url):
    """Say whether anything waits in the stream."""
    async with client_of(NatsSettings(urls=url)) as client:
        return (await client.jetstream().stream_info(STREAM)).state.messages


async def test_a_cluster_that_comes_back_with_an_old_state_loses_nothing(
    home, upstream, server, callers, tmp_path
):
    async with running_cluster() as cluster:
        stream = {"AUDIT_LOG_NATS_URLS": cluster.urls}
        async with home.sidecar(
            upstream.url, server.url(), PROXY_SINK="nats", **stream
        ) as sidecar:
            async with running_ingest(server.url(), **stream):
                await callers.make(sidecar.port, READ)
                await each_is_there_once(server, callers)
            # As from a backup: what all servers had before the unread messages came.
            for each in cluster.servers:
                each.kill()
                shutil.copytree(each.store, tmp_path / each.name)
                each.start()
            await eventually(partial(is_led, cluster))
            await callers.make(sidecar.port, UNREAD)
            await recovered(sidecar)
            for each in cluster.servers:
                each.kill()
                shutil.rmtree(each.store)
                shutil.copytree(tmp_path / each.name, each.store)
                each.start()
            async with running_ingest(server.url(), **stream):
                await each_is_there_once(server, callers)


async def is_led(cluster):
    settings = NatsSettings(urls=cluster.urls)
    try:
        async with open_jetstream(settings) as jetstream:
            return await jetstream.has_stream() and await cluster.leader(STREAM)
    except (Error, OSError, StoreUnavailableError):
        return None

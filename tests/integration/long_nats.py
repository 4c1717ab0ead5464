"""A cluster of three NATS servers under faults. Collected by name alone: it takes minutes.

Each time calls go on while something is killed, cut off or hangs. The truth is what the upstream
received: each of these calls must be in PostgreSQL, once, and as it ended.
"""

import asyncio
import logging
from contextlib import AsyncExitStack, suppress

import pytest
from nats.errors import Error

from audit_log.postgres.database import open_database
from tests.neighbours.arrivals import entries_in
from tests.neighbours.audit_database import make_audit_log, own_postgres
from tests.neighbours.callers import Callers, received, responding_by_path
from tests.neighbours.journal_home import journal_home
from tests.neighbours.nats_server import running_cluster
from tests.neighbours.patience import eventually
from tests.neighbours.services import running_ingest

STREAM = "podwarden_audit"
CLIENTS = 4
INGESTS = 2
CALLS = 1_000
"""How many calls are made before, during and after a fault, at least."""
OUTAGE_SECONDS = 15
"""Longer than the servers take to elect a leader, and than a publish waits for its response."""
PATIENCE_SECONDS = 150
"""What a killed ingest had in hand is delivered again after half a minute."""
said = logging.getLogger(__name__)
pytestmark = pytest.mark.timeout(600)


class Fleet:
    """A sidecar, the cluster, two ingests, PostgreSQL, and the calls that go through."""

    def __init__(self, stack, upstream, cluster, server):
        self.stack = stack
        self.upstream = upstream
        self.cluster = cluster
        self.server = server
        self.home = stack.enter_context(journal_home())
        self.is_up = asyncio.Event()
        self.enough = asyncio.Event()
        self.environment = {"AUDIT_LOG_NATS_URLS": cluster.urls}

    async def start(self):
        self.database = await self.stack.enter_async_context(
            open_database(self.server.url(), application="test")
        )
        self.callers = Callers(await make_audit_log(self.database))
        self.ingests = [await self.ingest() for _ in range(INGESTS)]
        await self.start_sidecar()
        self.load = asyncio.gather(*(self.keep_calling() for _ in range(CLIENTS)))
        self.stack.callback(self.load.cancel)

    async def ingest(self):
        return await self.stack.enter_async_context(
            running_ingest(self.server.url(), **self.environment)
        )

    async def start_sidecar(self):
        self.sidecar = await self.stack.enter_async_context(
            self.home.sidecar(
                self.upstream.url, self.server.url(), PROXY_SINK="nats", **self.environment
            )
        )
        self.is_up.set()

    async def kill_sidecar(self):
        self.is_up.clear()
        await self.sidecar.kill()

    async def keep_calling(self):
        while not self.enough.is_set():
            await self.is_up.wait()
            with suppress(ConnectionRefusedError):
                await self.callers.roam(lambda: self.sidecar.port, self.enough)

    async def calls_go_on(self):
        """Wait until a further thousand calls are answered."""
        goal = len(self.callers.responses) + CALLS

        async def look():
            return len(self.callers.responses) >= goal

        await self.wait_for(look)

    async def records_arrive(self):
        """Wait until a further thousand records are in PostgreSQL."""
        goal = await self.rows() + CALLS

        async def look():
            return await self.rows() >= goal

        await self.wait_for(look)

    async def wait_for(self, look):
        """Like `eventually`, and longer; fails with what everybody said."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await look():
                    await asyncio.sleep(0.2)
        except TimeoutError as error:
            said = [service.report() for service in (self.sidecar, *self.ingests)]
            raise AssertionError("\n\n".join(["it never happened", *said])) from error

    async def rows(self):
        return (await self.database.fetch_row("SELECT count(*) FROM mcp_audit_log"))[0]

    async def end(self):
        """End the calls, and wait until everything has arrived."""
        self.enough.set()
        await self.load
        log = received(self.upstream)

        async def look():
            return await self.rows() >= len(log)

        await self.wait_for(look)
        # Nothing is under way any more: what arrives now would be too much.
        assert await self.sidecar.stop() == 0


@pytest.fixture
async def fleet(upstream):
    upstream.plan(responding_by_path)
    with own_postgres() as server:
        async with AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(running_cluster())
            fleet = Fleet(stack, upstream, cluster, server)
            await fleet.start()
            await fleet.records_arrive()
            yield fleet
            await fleet.end()
            await each_call_is_there_once(fleet)


async def each_call_is_there_once(fleet):
    entries = await entries_in(fleet.database)
    by_path = {entry.path: entry for entry in entries}
    log = received(fleet.upstream)
    assert len(by_path) == len(entries), "twice"
    assert set(log) <= set(by_path), "missing"
    assert set(by_path) <= set(fleet.callers.sent), "invented"
    assert [path for path in fleet.callers.responses if not by_path[path].tells_the_truth] == []
    assert {entry.token_name for entry in entries} == {"laptop"}
    said.info("%d calls received, %d entries", len(log), len(entries))


async def test_the_leader_is_killed_and_comes_back(fleet):
    leader = await fleet.cluster.leader(STREAM)
    leader.kill()
    await fleet.records_arrive()
    leader.start()
    await fleet.records_arrive()


async def test_two_of_three_servers_are_killed_and_come_back(fleet):
    leader = await fleet.cluster.leader(STREAM)
    other = next(server for server in fleet.cluster.servers if server is not leader)
    leader.kill()
    other.kill()
    await fleet.calls_go_on()
    leader.start()
    other.start()
    await fleet.records_arrive()


async def test_the_leader_is_cut_off_from_the_others(fleet):
    leader = await fleet.cluster.leader(STREAM)
    with fleet.cluster.cut_off(leader):
        await another_leads(fleet, leader)
        await fleet.records_arrive()
    await fleet.records_arrive()


async def another_leads(fleet, old):
    async def look():
        with suppress(Error):
            return await fleet.cluster.leader(STREAM, without=old) is not old

    await eventually(look)


async def test_every_server_is_cut_off_from_every_other(fleet):
    first, second, _ = fleet.cluster.servers
    with fleet.cluster.cut_off(first), fleet.cluster.cut_off(second):
        await fleet.calls_go_on()
        await asyncio.sleep(OUTAGE_SECONDS)
    await fleet.records_arrive()


async def test_the_leader_hangs(fleet):
    leader = await fleet.cluster.leader(STREAM)
    with leader.frozen():
        await fleet.records_arrive()
    await fleet.records_arrive()


async def test_an_ingest_is_killed_in_the_middle_of_its_work(fleet):
    for ingest in fleet.ingests:
        await ingest.kill()
        await fleet.calls_go_on()
        await fleet.ingest()
    await fleet.records_arrive()


async def test_postgresql_is_killed_and_comes_back(fleet):
    fleet.server.kill()
    await fleet.calls_go_on()
    await asyncio.sleep(OUTAGE_SECONDS)
    fleet.server.start()
    await fleet.records_arrive()


async def test_the_sidecar_is_killed_and_started_again(fleet):
    for _ in range(3):
        await fleet.kill_sidecar()
        await fleet.start_sidecar()
        await fleet.calls_go_on()
    await fleet.records_arrive()


async def test_all_of_it_at_once(fleet):
    leader = await fleet.cluster.leader(STREAM)
    fleet.server.kill()
    leader.kill()
    await fleet.ingests[0].kill()
    await fleet.kill_sidecar()
    await fleet.start_sidecar()
    await fleet.calls_go_on()
    leader.start()
    fleet.server.start()
    await fleet.ingest()
    await fleet.records_arrive()

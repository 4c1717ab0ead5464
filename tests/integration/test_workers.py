"""Several workers behind one port: real processes, supervised."""

import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from audit_log.postgres.token_table import TokenTable
from tests.neighbours.client import connected
from tests.neighbours.patience import eventually
from tests.neighbours.services import free_port, running_sidecar
from tests.neighbours.trail import recorded

REQUEST = b"GET /api/v1/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\n\r\n"


@asynccontextmanager
async def two_workers(upstream, database_url):
    async with running_sidecar(
        upstream.url, database_url, PROXY_WORKERS="2", PROXY_PORT=str(free_port())
    ) as supervisor:
        await eventually(lambda: _both_started(supervisor))
        yield supervisor


async def _both_started(supervisor):
    return sum(event["event"] == "service.started" for event in supervisor.log) >= 2


def children_of(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in children.split()]


@pytest.fixture
async def secret(database):
    return (await TokenTable(database).create("laptop", "operator", 90))[1].encode()


async def ask_often(port, secret, times):
    for _ in range(times):
        async with connected(port) as client:
            assert (await client.ask(REQUEST % secret)).status == 200


async def test_calls_are_dealt_out_to_all_workers_and_all_are_recorded(
    upstream, database_url, store, secret
):
    async with two_workers(upstream, database_url) as supervisor:
        await ask_often(supervisor.port, secret, 40)

        records = await recorded(store, 40)
    assert len({record.instance for record in records}) == 2


async def test_a_worker_that_is_killed_is_started_again_and_loses_nothing(
    upstream, database_url, store, secret
):
    async with two_workers(upstream, database_url) as supervisor:
        await ask_often(supervisor.port, secret, 10)
        [victim, _] = children_of(supervisor.pid)
        os.kill(victim, signal.SIGKILL)
        ended = await supervisor.logged("worker.ended_early")
        await eventually(lambda: _alive_again(supervisor, victim))
        await ask_often(supervisor.port, secret, 10)

        await recorded(store, 20)
    assert ended["code"] == -signal.SIGKILL


async def _alive_again(supervisor, victim):
    children = children_of(supervisor.pid)
    started = [event for event in supervisor.log if event["event"] == "service.started"]
    return len(children) == 2 and victim not in children and len(started) == 3


async def test_workers_end_when_their_supervisor_is_killed(upstream, database_url):
    async with two_workers(upstream, database_url) as supervisor:
        children = children_of(supervisor.pid)
        await supervisor.kill()

        await eventually(lambda: _are_gone(children))


async def _are_gone(pids):
    return not any(_is_running(pid) for pid in pids)


def _is_running(pid):
    return Path(f"/proc/{pid}").exists()


async def test_stopping_ends_all_of_them_in_order(upstream, database_url):
    async with two_workers(upstream, database_url) as supervisor:
        children = children_of(supervisor.pid)
        assert await supervisor.stop() == 0

    assert await _are_gone(children)

"""Several workers behind one port: real processes, supervised."""

import asyncio
import os
import signal
import socket
import tempfile
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from audit_log.postgres.database import open_database
from audit_log.postgres.token_table import TokenTable
from proxy.settings import ProxySettings
from proxy.workers.places import ops_ports
from tests.neighbours.client import connected
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port
from tests.neighbours.processes import children_of, is_alive
from tests.neighbours.program import CHECKOUT, run
from tests.neighbours.readable_store import ReadableStore
from tests.neighbours.services import running_sidecar
from tests.neighbours.trail import recorded

REQUEST = b"GET /api/v1/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\n\r\n"


@asynccontextmanager
async def two_workers(upstream, database_url):
    async with running_sidecar(
        upstream.url, database_url, PROXY_WORKERS="2", PROXY_PORT=str(free_port())
    ) as supervisor:
        await eventually(lambda: _both_started(supervisor))
        yield supervisor


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers(shared_upstream, module_database_url):
    """A supervisor for all tests that leave it with two workers, and its database."""
    async with (
        two_workers(shared_upstream, module_database_url) as supervisor,
        open_database(module_database_url, application="test") as database,
    ):
        yield supervisor, database


async def _both_started(supervisor):
    return sum(event["event"] == "service.started" for event in supervisor.log) >= 2


def workers_of(supervisor):
    [fork_server] = children_of(supervisor.pid)
    return children_of(fork_server)


async def token_of(database, name):
    return (await TokenTable(database).create(name, "operator", 90))[1].encode()


async def ask_often(port, secret, times):
    for _ in range(times):
        async with connected(port) as client:
            assert (await client.ask(REQUEST % secret)).status == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_calls_are_dealt_out_to_all_workers_and_all_are_recorded(workers):
    supervisor, database = workers
    await ask_often(supervisor.port, await token_of(database, "dealt out"), 40)

    records = await recorded(ReadableStore(database), 40, token_name="dealt out")
    assert len({record.instance for record in records}) == 2


@pytest.mark.asyncio(loop_scope="module")
async def test_a_worker_that_is_killed_is_started_again_and_loses_nothing(workers):
    supervisor, database = workers
    secret, seen = await token_of(database, "killed"), len(supervisor.log)
    await ask_often(supervisor.port, secret, 10)
    [victim, _] = workers_of(supervisor)
    os.kill(victim, signal.SIGKILL)
    await eventually(lambda: _alive_again(supervisor, victim, seen))
    await ask_often(supervisor.port, secret, 10)

    await recorded(ReadableStore(database), 20, token_name="killed")
    [ended] = events_since(supervisor, seen, "worker.ended_early")
    assert ended["code"] == -signal.SIGKILL


def events_since(supervisor, seen, event):
    """Return each *event* of the log after its first *seen* lines."""
    return [line for line in supervisor.log[seen:] if line["event"] == event]


async def _alive_again(supervisor, victim, seen):
    children = workers_of(supervisor)
    started = events_since(supervisor, seen, "service.started")
    return len(children) == 2 and victim not in children and len(started) == 1


async def test_workers_end_when_their_supervisor_is_killed(upstream, module_database_url):
    async with two_workers(upstream, module_database_url) as supervisor:
        children = workers_of(supervisor)
        await supervisor.kill()

        await eventually(lambda: _are_gone(children))


async def _are_gone(pids):
    return not any(map(is_alive, pids))


async def test_all_end_with_the_reason_when_none_could_be_replaced(upstream, module_database_url):
    async with two_workers(upstream, module_database_url) as supervisor:
        [fork_server] = children_of(supervisor.pid)
        workers = children_of(fork_server)
        os.kill(fork_server, signal.SIGKILL)
        assert await supervisor.ended() == 1
        await eventually(lambda: _are_gone(workers))

    [reason] = supervisor.noise
    assert reason.startswith("the process that forks the workers has ended: ")


async def test_workers_are_stopped_in_order_though_what_forks_them_is_stopped(
    upstream, module_database_url
):
    async with two_workers(upstream, module_database_url) as supervisor:
        [fork_server] = children_of(supervisor.pid)
        workers = children_of(fork_server)
        os.kill(fork_server, signal.SIGSTOP)
        assert await supervisor.stop() == 0

    assert await _are_gone([fork_server, *workers])
    assert sum(line["event"] == "service.stopped" for line in supervisor.log) == 2


@pytest.mark.parametrize("is_for_all", [False, True])
async def test_stopping_ends_all_of_them_in_order(upstream, module_database_url, is_for_all):
    async with two_workers(upstream, module_database_url) as supervisor:
        [fork_server] = children_of(supervisor.pid)
        workers = children_of(fork_server)
        for pid in [fork_server, *workers] if is_for_all else []:  # as systemd and Ctrl-C do
            os.kill(pid, signal.SIGTERM)
        assert await supervisor.stop() == 0

    assert await _are_gone([fork_server, *workers])
    assert sum(line["event"] == "service.stopped" for line in supervisor.log) == 2


async def readiness_of(ops_port):
    async with (
        ClientSession() as client,
        client.get(f"http://127.0.0.1:{ops_port}/readyz") as response,
    ):
        return await response.json()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_worker_that_hangs_is_told_and_replaced_and_does_not_hold_up_a_stop(
    workers, shared_upstream, module_database_url
):
    # Both at once: a worker is waited for until it has missed ten beats.
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(is_told_by_the_others_and_replaced(*workers))
        tasks.create_task(does_not_hold_up_the_stop(shared_upstream, module_database_url))


async def is_told_by_the_others_and_replaced(supervisor, database):
    secret, seen = await token_of(database, "hung"), len(supervisor.log)
    [victim, _] = workers_of(supervisor)
    ports = {line["ops_port"] for line in supervisor.log if "ops_port" in line}

    async def a_port_tells(what):
        said = [reason for port in ports for reason in await reasons_of(port)]
        return any(what in reason for reason in said)

    os.kill(victim, signal.SIGSTOP)
    await eventually(lambda: a_port_tells("has not answered for"))
    await eventually(lambda: _alive_again(supervisor, victim, seen))
    await ask_often(supervisor.port, secret, 40)

    records = await recorded(ReadableStore(database), 40, token_name="hung")
    [hung] = events_since(supervisor, seen, "worker.hung")
    assert hung["worker"] in {0, 1}
    assert len({record.instance for record in records}) == 2


async def reasons_of(ops_port):
    """Return what is wrong, as one ops port tells it; nothing if it does not respond."""
    try:
        async with asyncio.timeout(1):
            return (await readiness_of(ops_port))["reasons"]
    except (OSError, TimeoutError):
        return []


async def does_not_hold_up_the_stop(upstream, database_url):
    async with two_workers(upstream, database_url) as supervisor:
        workers = workers_of(supervisor)
        os.kill(workers[1], signal.SIGSTOP)
        assert await supervisor.stop() == 0

    assert await _are_gone(workers)


def complaint(**settings):
    """Start the sidecar with *settings*, which must stop it; return what it says last."""
    with tempfile.TemporaryDirectory(prefix="journal-") as journal:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CHECKOUT),
            "AUDIT_LOG_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "PROXY_UPSTREAM_URL": "http://127.0.0.1:1",
            "PROXY_JOURNAL_DIR": journal,
            "PROXY_WORKERS": "2",
            "PROXY_PORT": str(free_port()),
            "PROXY_OPS_PORT": "0",
            **settings,
        }
        code, _, said = run("proxy", environment=environment, seconds=60)
    assert code == 1
    return said.splitlines()


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("PROXY_PORT", "PROXY_HOST, PROXY_PORT"),
        ("PROXY_OPS_PORT", "PROXY_OPS_HOST, PROXY_OPS_PORT"),
        ("PROXY_HUB_PORT", "PROXY_HUB_HOST, PROXY_HUB_PORT"),
    ],
)
def test_a_port_that_is_taken_stops_the_start_with_one_line(setting, named):
    with socket.socket() as taken:
        # It would let others share its port, and take calls that are meant for us.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = complaint(**{"PROXY_HUB_URL": "ws://127.0.0.1:1", setting: str(port)})

    assert said == [f"{named}: cannot listen on 127.0.0.1 port {port}: address already in use"]


def test_the_ops_port_of_a_later_worker_is_found_taken_before_the_start():
    with socket.socket() as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        taken.listen()
        [said] = complaint(PROXY_OPS_PORT=str(port - 1))

    assert f"cannot listen on 127.0.0.1 port {port}: " in said


def test_ops_ports_beyond_the_last_one_stop_the_start():
    [said] = complaint(PROXY_OPS_PORT="65535")

    assert said.startswith("PROXY_OPS_PORT: ")
    assert "begin with a lower one" in said


def test_a_worker_that_cannot_start_stops_all_with_the_reason(tmp_path):
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "worker-1").write_text("no folder")
    said = complaint(PROXY_JOURNAL_DIR=str(tmp_path / "journal"))

    assert "worker 1 could not start" in said[-1]
    assert any("no journal can be kept here" in line for line in said)


def test_ops_ports_leave_out_those_of_the_services_beside():
    settings = ProxySettings(
        upstream_url="http://127.0.0.1:1", workers=3, hub_url="ws://a", hub_port=8112
    )
    alone = ProxySettings(upstream_url="http://127.0.0.1:1", workers=3, ops_port=9000)

    assert ops_ports(settings) == [8109, 8111, 8113]
    assert ops_ports(alone) == [9000, 9001, 9002]

"""The ops port of any process."""

from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession, web

from audit_log.process.background import BackgroundTasks
from audit_log.process.http_server import LimitedRunner
from audit_log.process.ops import MAX_CONNECTIONS, Status, serving_ops
from audit_log.process.sockets import Address, listening
from tests.neighbours.client import connected
from tests.neighbours.patience import eventually

ANY = Address("127.0.0.1", 0)


def ready() -> tuple[Status, list[str]]:
    return Status.READY, []


@pytest.fixture
async def tasks():
    return BackgroundTasks(first_delay_seconds=0.001)


@pytest.fixture
async def ops(tasks):
    """A client of the ops port of a process with *tasks*."""
    async with (
        serving_ops(ready, lambda: tasks.dead, wanted=ANY, setting="") as address,
        ClientSession(f"http://{address.host}:{address.port}") as client,
    ):
        yield client


async def asked(ops):
    async with ops.get("/healthz") as response:
        return response.status, await response.json()


async def test_a_task_that_cannot_live_makes_healthz_fail(ops, tasks):
    assert await asked(ops) == (200, {"status": "alive"})

    async def fails():
        raise ValueError("odd")

    async def is_dead():
        status, said = await asked(ops)
        return said if status == 503 else None

    async with tasks.running(fails, "some-task"):
        said = await eventually(is_dead)
    assert said["status"] == "dead"
    assert "some-task has failed" in said["reasons"][0]


@pytest.fixture
async def hasty():
    """The port of a server that ends what is quiet for 0.2 s."""

    async def respond(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/", respond)
    runner = LimitedRunner(
        app, max_connections=MAX_CONNECTIONS, keepalive_timeout=0.2, lingering_time=0.2
    )
    async with listening(runner, ANY, "") as address:
        yield address.port


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    ],
    ids=["nothing", "half a head", "one request", "half a body", "half a chunk"],
)
async def test_a_client_that_stops_sending_is_let_go(hasty, begun):
    async with connected(hasty) as client:
        await client.send(begun)
        await client.read_to_the_end()


async def test_connections_that_say_nothing_do_not_keep_health_from_being_asked_for():
    async with (
        serving_ops(ready, list, wanted=ANY, setting="") as address,
        AsyncExitStack() as strangers,
    ):
        for _ in range(2 * MAX_CONNECTIONS):
            await strangers.enter_async_context(connected(address.port))
        async with (
            ClientSession(f"http://{address.host}:{address.port}") as client,
            client.get("/healthz") as response,
        ):
            assert response.status == 200

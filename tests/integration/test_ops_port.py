"""The ops port of any process."""

import pytest
from aiohttp import ClientSession

from audit_log.process.background import BackgroundTasks
from audit_log.process.ops import Status, serving_ops
from audit_log.process.sockets import Address
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
    async with ops.get("/healthz") as answer:
        return answer.status, await answer.json()


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

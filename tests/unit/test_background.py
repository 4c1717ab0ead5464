"""Background tasks: they end with their block, and are begun again when they fail."""

import asyncio

import pytest
from structlog.testing import capture_logs

from audit_log.process.background import FAILURES_OF_THE_DEAD, BackgroundTasks


async def for_ever():
    await asyncio.Event().wait()


@pytest.fixture
def tasks():
    return BackgroundTasks(first_delay_seconds=0.0)


async def test_work_ends_with_its_block_and_without_complaint(tasks):
    async with tasks.running(for_ever, "work") as task:
        await asyncio.sleep(0)
        assert task.get_name() == "work"
    assert task.cancelled()
    assert (tasks.problems, tasks.dead) == ([], [])


@pytest.mark.parametrize("error", [ValueError("odd"), asyncio.CancelledError("odd")], ids=repr)
async def test_work_that_fails_is_begun_again_and_says_so(tasks, error):
    runs: list[None] = []
    goes_on = asyncio.Event()

    async def fails_once():
        runs.append(None)
        if len(runs) == 1:
            raise error
        goes_on.set()
        await for_ever()

    with capture_logs() as log:
        async with asyncio.timeout(5), tasks.running(fails_once, "work"):
            await goes_on.wait()
    [event] = log
    assert event["event"] == "task.failed"
    assert event["where"].startswith(__file__)
    [problem] = tasks.problems
    assert problem.startswith("work has failed and is begun again")
    assert "odd" in problem
    assert tasks.dead == []


async def test_what_a_task_group_wraps_is_what_is_told(tasks):
    failed = asyncio.Event()

    async def fails():
        raise ValueError("odd")

    async def fails_in_a_group():
        if failed.is_set():
            await for_ever()
        failed.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())

    with capture_logs() as log:
        async with tasks.running(fails_in_a_group, "work"):
            while not log:
                await asyncio.sleep(0)
    assert log[0]["error"] == "ValueError('odd')"


async def test_work_that_fails_each_time_cannot_live(tasks):
    runs: list[None] = []

    async def fails():
        runs.append(None)
        raise ValueError("odd")

    with capture_logs():
        async with asyncio.timeout(5), tasks.running(fails, "work"):
            while len(runs) < FAILURES_OF_THE_DEAD:
                assert tasks.dead == []
                await asyncio.sleep(0)
            [dead] = tasks.dead
    assert dead == f"work has failed {FAILURES_OF_THE_DEAD} times in succession: ValueError('odd')"


async def test_work_that_returns_is_done(tasks):
    async with tasks.running(lambda: asyncio.sleep(0), "work") as task:
        await asyncio.wait({task})
    assert tasks.problems == []


async def test_work_that_fails_when_it_is_cancelled_is_not_begun_again(tasks):
    runs: list[None] = []

    async def fails_late():
        runs.append(None)
        try:
            await for_ever()
        finally:
            raise ValueError("odd")

    with capture_logs() as log:
        async with asyncio.timeout(5), tasks.running(fails_late, "work"):
            await asyncio.sleep(0)
    assert len(runs) == 1
    assert [event["event"] for event in log] == ["task.failed"]


async def test_an_error_of_the_block_ends_the_work(tasks):
    with pytest.raises(ValueError, match="of the block"):
        async with tasks.running(for_ever, "work") as task:
            raise ValueError("of the block")
    assert task.done()

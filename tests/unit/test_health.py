import asyncio

from audit_log.process.ops import Status
from proxy.telemetry.health import Health


def test_calls_are_accepted_while_something_behind_them_is_wrong():
    health = Health(problems=[lambda: None, lambda: "no database"], is_accepting=True)

    assert health.report() == (Status.DEGRADED, ["no database"])


def test_without_problems_it_is_ready():
    assert Health(problems=[lambda: None], is_accepting=True).report() == (Status.READY, [])


def test_before_the_first_and_after_the_last_call_it_is_not_ready():
    status, reasons = Health().report()

    assert status is Status.NOT_READY
    assert reasons


async def test_a_task_that_has_failed_is_a_problem():
    health = Health(is_accepting=True)

    async def fail():
        raise ValueError

    async with health.tasks.running(fail, "some-task"):
        await asyncio.sleep(0)

        status, [reason] = health.report()
    assert status is Status.DEGRADED
    assert "some-task has failed" in reason

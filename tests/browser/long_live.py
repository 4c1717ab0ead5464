"""Eight hours at 20 calls a second on one open page, as fast as the page takes them."""

import logging

import pytest

from tests.browser.activity import Activity
from tests.browser.staying import staying

CALLS = 8 * 3_600 * 20
EACH = 400

said = logging.getLogger(__name__)
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.timeout(7_200)
async def test_eight_hours_of_calls_leave_memory_and_frames_as_they_were(
    activity: Activity,
) -> None:
    stays, page = await staying(activity)
    share = CALLS // EACH // 10
    await stays.arrive(share, EACH)
    before, costs = await stays.cost(), []
    for _ in range(9):
        await stays.arrive(share, EACH)
        after = await stays.cost()
        costs.append((after.heap_bytes, after.task_seconds - before.task_seconds))
        said.info("%d bytes, %.1f s", *costs[-1])
        before = after

    heaps, tasks = zip(*costs, strict=True)
    assert max(heaps) < heaps[0] * 1.2, costs
    assert max(tasks) < tasks[0] * 2, costs
    assert await page.locator("#table tbody tr").count() == 500

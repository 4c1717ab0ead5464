"""A page that stays open while calls arrive: what it costs the browser."""

from dataclasses import dataclass
from datetime import timedelta

from playwright.async_api import CDPSession, Page, expect

from tests.browser.activity import Activity
from tests.browser.trails import a_call, ago


@dataclass(frozen=True)
class Cost:
    """What the page costs at one moment."""

    heap_bytes: int
    task_seconds: float
    """The CPU time that the page's thread has worked so far."""


class Staying:
    """One page, and the calls that arrive while it is open."""

    def __init__(self, activity: Activity, page: Page, browser: CDPSession) -> None:
        self._activity, self._page, self._browser = activity, page, browser
        self._number = 0

    async def arrive(self, batches: int, each: int) -> None:
        """Let *batches* of *each* calls arrive, each when the page has shown the one before."""
        for _ in range(batches):
            now = ago()
            calls = [
                a_call(
                    created_at=now + timedelta(microseconds=number),
                    path=f"/api/v1/hosts/{self._number + number}",
                )
                for number in range(each)
            ]
            self._number += each
            await self._activity.store.append(calls)
            newest = self._page.locator("#table tbody tr").first
            await expect(newest).to_contain_text(f"/api/v1/hosts/{self._number - 1}")

    async def cost(self) -> Cost:
        """Return what the page costs after its garbage has been collected."""
        await self._browser.send("HeapProfiler.collectGarbage")
        heap = await self._browser.send("Runtime.getHeapUsage")
        metrics = await self._browser.send("Performance.getMetrics")
        by_name = {metric["name"]: metric["value"] for metric in metrics["metrics"]}
        return Cost(heap["usedSize"], by_name["TaskDuration"])


async def staying(activity: Activity) -> tuple[Staying, Page]:
    """Return a page that is live, and what lets calls arrive in it."""
    page = await activity.open()
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    browser = await page.context.new_cdp_session(page)
    # CPU time of the page's thread: what it waits for a busy machine is no cost of its own.
    await browser.send("Performance.enable", {"timeDomain": "threadTicks"})
    return Staying(activity, page, browser), page

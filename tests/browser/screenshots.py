"""Takes the pictures of docs/screenshots/ from the running page: `make screenshots`."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page, expect

from audit_log.postgres.database import open_database
from audit_log.schema.migrate import migrate
from deploy.local.postgres import PostgresServer, running_postgres
from tests.browser.activity import NARROW, Activity, showing_activity
from tests.browser.chromium import running_chromium
from tests.browser.trails import a_day, ago
from tests.neighbours.audit_api import url_of_audit_api

HOME: Final = Path(__file__).parents[2] / "docs" / "screenshots"


async def main() -> None:
    """Take all of them."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="postgres-") as directory,
        running_postgres(Path(directory) / "data", durable=False) as server,
    ):
        async with running_chromium() as browser, showing(browser, server) as activity:
            await take(await activity.open(), "empty", place="No calls yet")
            await take(await stranger(activity), "sign-in", place="Sign in")
            await a_day(ago()).append_to(activity.store)
            await take(await activity.open(), "light")
            await take(await activity.open(color_scheme="dark"), "dark")
            await take(await narrow(activity), "narrow")
            await take(await with_details(activity), "details")
            await take(await tool_calls(activity), "tool-calls")
            await take(await narrow(activity, color_scheme="dark"), "narrow-dark")
            await take(await without_database(activity, server), "error")


@asynccontextmanager
async def showing(browser: Browser, server: PostgresServer) -> AsyncIterator[Activity]:
    """Run the page on a new database."""
    async with open_database(server.url(), application="screenshots") as database:
        await migrate(database)
    async with (
        url_of_audit_api(server.url()) as api_url,
        showing_activity(browser, server.url(), api_url) as activity,
    ):
        yield activity


async def take(page: Page, name: str, *, place: str | None = None) -> None:
    """Take a picture once there is something to see: calls, or the heading *place*."""
    seen = page.get_by_role("heading", name=place) if place else page.locator("#chart")
    await expect(seen).to_be_visible()
    if place != "Sign in":
        await expect(page.locator("#live")).not_to_have_attribute("data-state", "waiting")
    await page.wait_for_load_state("load")
    await page.screenshot(path=HOME / f"{name}.png", animations="disabled")
    await page.context.close()


async def stranger(activity: Activity) -> Page:
    """Return the page as somebody sees it who is not signed in."""
    page = await activity.blank()
    await page.goto(activity.url)
    return page


async def narrow(activity: Activity, **options: Any) -> Page:
    """Return the page on a telephone."""
    return await activity.open(
        viewport=NARROW, device_scale_factor=2, has_touch=True, is_mobile=True, **options
    )


async def with_details(activity: Activity) -> Page:
    """Return the page with the details of a failed call."""
    page = await activity.open("?status=5xx&span=24h")
    await page.locator("#table tbody td.duration").first.wait_for()
    await page.locator("#table tbody td.status .meaning").first.click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    return page


async def tool_calls(activity: Activity) -> Page:
    """Return the tool calls, with one that is open."""
    page = await activity.open("?show=tools")
    await page.locator("tr.tool-call", has_text="troubleshoot").first.locator(".opener").click()
    await expect(page.locator("tr.made-call")).to_have_count(4)
    return page


async def without_database(activity: Activity, server: PostgresServer) -> Page:
    """Return the page that has lost its database."""
    page = await activity.open()
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    server.stop()
    await expect(page.locator(".trouble")).to_be_visible(timeout=30_000)
    return page


if __name__ == "__main__":
    asyncio.run(main())

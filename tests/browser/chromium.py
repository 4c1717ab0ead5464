"""A real browser, told to leave the network alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import Browser, async_playwright

from tests.browser.find_browser import installed_browser

_ARGUMENTS: Final = (
    "--no-sandbox",  # as root there is none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    """Run this machine's browser without a screen; Playwright's own where there is no other."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=installed_browser(), args=_ARGUMENTS
        )
        try:
            yield browser
        finally:
            await browser.close()

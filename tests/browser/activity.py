"""The Activity Log page of a real audit API, and browsers that look at it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, Page, ViewportSize

from audit_log.postgres.database import Database, open_database
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable

PAGE: Final = "/settings/mcp/activity"
SESSION: Final = f"{PAGE}/session"
WIDE: Final = ViewportSize(width=1440, height=900)
NARROW: Final = ViewportSize(width=360, height=800)

# Chromium says this of each response that is an error; the tests expect some.
_BAD_ANSWER: Final = "Failed to load resource: the server responded with a status of"
_NO_ANSWER: Final = "Failed to load resource: net::ERR_"


class Activity:
    """One audit log, what writes to it, and the page that shows it."""

    def __init__(self, browser: Browser, api_url: str, database: Database) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.api_url = api_url
        self.database = database
        self.store = Store(database)
        self.tokens = TokenTable(database)
        self.complaints: list[str] = []
        """What browsers complained of: errors, and whatever the security policy stopped."""
        self.requests: list[str] = []
        """The addresses that pages asked for."""

    @property
    def url(self) -> str:
        return f"{self.api_url}{PAGE}"

    async def secret(self, role: str = "admin", name: str = "ops-laptop") -> str:
        """Return a new token with *role*."""
        _, secret = await self.tokens.create(name, role, 90)
        return secret

    async def open(self, search: str = "", **options: Any) -> Page:
        """Return the page, opened by a reader who is signed in."""
        page = await self.blank(**options)
        await self.sign_in(page)
        await page.goto(f"{self.url}{search}")
        return page

    async def sign_in(self, page: Page) -> None:
        """Give the browser of *page* a session."""
        response = await page.request.post(
            f"{self.api_url}{SESSION}",
            data={"token": await self.secret()},
            headers={"X-Requested-With": "activity-log"},
        )
        assert response.status == 204, await response.text()

    async def blank(self, **options: Any) -> Page:
        """Return an empty page in a browser of its own, which knows no session."""
        context = await self._browser.new_context(
            **{"viewport": WIDE, "locale": "en-GB", "timezone_id": "UTC", **options}
        )
        self._contexts.append(context)
        page = await context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("console", lambda message: self._heed(message.type, message.text))
        return page

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()

    def _heed(self, kind: str, text: str) -> None:
        if kind == "error" and not text.startswith((_BAD_ANSWER, _NO_ANSWER)):
            self.complaints.append(text)


@asynccontextmanager
async def showing_activity(
    browser: Browser, database_url: str, api_url: str
) -> AsyncIterator[Activity]:
    """Show the audit log of *database_url* by the audit API at *api_url*; close all pages."""
    async with open_database(database_url, application="test") as database:
        activity = Activity(browser, api_url, database)
        try:
            yield activity
        finally:
            await activity.close()

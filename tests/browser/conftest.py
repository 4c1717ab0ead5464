"""One browser for all tests of a process, and one audit log for each test.

All of them run in the session's loop, as the browser does.
"""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, expect

from deploy.local.postgres import PostgresServer
from tests.browser.activity import Activity, showing_activity
from tests.browser.chromium import running_chromium
from tests.neighbours.audit_api import url_of_audit_api
from tests.neighbours.postgres import fresh_database

# The page is told of a call within seconds, also when a look at the log fails once.
expect.set_options(timeout=15_000)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with running_chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def activity(
    browser: Browser, postgres: PostgresServer, migrated_template: str
) -> AsyncIterator[Activity]:
    """An empty audit log and its page. No page may complain or ask another host."""
    async with (
        fresh_database(postgres, template=migrated_template) as url,
        url_of_audit_api(url) as api_url,
        showing_activity(browser, url, api_url) as showing,
    ):
        yield showing
        assert showing.complaints == []
        assert [url for url in showing.requests if not url.startswith(showing.api_url)] == []

"""The page while the database or the audit API is away. It is never blank."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from audit_log.postgres.database import open_database
from audit_log.schema.migrate import migrate
from deploy.local.postgres import PostgresServer
from tests.browser.activity import Activity, showing_activity
from tests.browser.trails import a_call
from tests.neighbours import audit_database
from tests.neighbours.postgres import fresh_database
from tests.neighbours.services import Service, running_audit_api

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that a test may stop."""
    with audit_database.own_postgres() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def own_database_url(own_postgres: PostgresServer) -> AsyncIterator[str]:
    async with fresh_database(own_postgres, template="template0") as url:
        async with open_database(url, application="test") as database:
            await migrate(database)
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def own_api(own_database_url: str) -> AsyncIterator[Service]:
    """An audit API that a test may stop, on a PostgreSQL that it may stop and start again."""
    async with running_audit_api(own_database_url) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="session")
async def fragile(
    browser: Browser, own_database_url: str, own_api: Service
) -> AsyncIterator[Activity]:
    """The page of `own_api`."""
    async with showing_activity(browser, own_database_url, own_api.url) as showing:
        yield showing
        assert showing.complaints == []


async def test_keeps_the_last_calls_while_the_database_is_away_and_goes_on_after(
    fragile: Activity, own_postgres: PostgresServer
) -> None:
    await fragile.store.append([a_call(path="/before")])
    page = await fragile.open()
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    paths = page.locator("#table tbody td.path")
    await expect(paths).to_have_text(["/before"])

    own_postgres.stop()
    trouble = page.locator(".trouble")
    await expect(page.get_by_role("button", name="Retrying")).to_be_visible(timeout=5_000)
    await expect(trouble).to_contain_text("Not up to date", timeout=30_000)
    await expect(page.locator("#live")).to_have_attribute("data-state", "lost")
    await expect(paths).to_have_text(["/before"])
    own_postgres.start()
    await fragile.store.append([a_call(path="/after")])
    await trouble.get_by_role("button", name="Try now").click()

    await expect(paths).to_have_text(["/after", "/before"], timeout=30_000)
    await expect(trouble).to_have_count(0)
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")


async def test_says_so_when_there_is_nothing_to_show_and_recovers_by_itself(
    fragile: Activity, own_postgres: PostgresServer
) -> None:
    await fragile.store.append([a_call(path="/kept")])
    page = await fragile.blank()
    await fragile.sign_in(page)
    own_postgres.stop()

    await page.goto(fragile.url)
    await expect(page.locator(".trouble")).to_contain_text("Nothing to show at the moment")
    await expect(page.locator(".trouble")).to_contain_text("out of reach")
    own_postgres.start()

    await expect(page.locator("#table tbody td.path")).to_have_text(["/kept"], timeout=30_000)


async def test_keeps_the_last_calls_while_the_audit_api_is_away(
    fragile: Activity, own_api: Service
) -> None:
    await fragile.store.append([a_call(path="/before")])
    page = await fragile.open()
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")

    await own_api.stop()

    await expect(page.locator(".trouble")).to_contain_text("The audit API does not respond")
    await expect(page.locator("#table tbody td.path")).to_have_text(["/before"])
    await expect(page.get_by_role("button", name="Retrying")).to_be_visible()


async def test_a_module_that_cannot_be_loaded_is_told(activity: Activity) -> None:
    page = await activity.blank()
    await page.route("**/assets/chart.js", lambda route: route.abort())

    await page.goto(activity.url)

    await expect(page.locator("#failure")).to_contain_text("Something went wrong")

"""The first minutes: `make run`, and the page that it leads to."""

import asyncio
import re
import signal

import pytest
from playwright.async_api import Browser, expect

from tests.browser.activity import PAGE
from tests.neighbours.local_run import ANY_PORTS, Run, local_run, place_of_runs, typed

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROWS = "#table tbody tr"


async def test_the_printed_link_leads_to_a_page_where_the_first_tool_call_appears(
    browser: Browser,
) -> None:
    with place_of_runs() as place:
        async with local_run(place, **ANY_PORTS) as run:
            await run.ready()
            page = await (await browser.new_context()).new_page()
            await page.goto(run.sign_in_link)
            await expect(page).to_have_url(re.compile(f"{PAGE}$"))
            await expect(page.get_by_text("demo-admin (admin)")).to_be_visible()
            await expect(page.get_by_role("heading", name="No calls yet")).to_be_visible()
            await expect(page.locator("#live")).to_have_attribute("data-state", "live")

            assert '"gitea-edge"' in await pasted(run)

            await expect(page.locator(ROWS)).to_have_count(4)
            await expect(page.locator(ROWS).first).to_contain_text("troubleshoot_workload")
            await page.get_by_role("button", name="Tool calls").click()
            await expect(page.locator(ROWS)).to_have_count(1)
            await expect(page.locator("#live")).to_have_attribute("data-state", "live")
            await typed(run.curls[3])
            await expect(page.locator(ROWS)).to_contain_text(
                ["list_clusters", "troubleshoot_workload"]
            )
            await page.context.close()

            assert (await run.stop(signal.SIGTERM))[0] == 0
            code = run.sign_in_link.partition("#sign-in=")[2]
            for log in (place / "data" / "logs").iterdir():
                assert code not in log.read_text()


async def pasted(run: Run) -> str:
    """Do as a person who copies the lines of the SDK into a shell; return what is printed."""
    shell = await asyncio.create_subprocess_exec(
        *("sh", "-c", run.sdk_call), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await shell.communicate()
    assert shell.returncode == 0
    return said.decode()

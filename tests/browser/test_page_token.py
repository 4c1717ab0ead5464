"""The page of one token: what it is, what it did, and the way to each of its calls."""

import re

import pytest
from playwright.async_api import expect

from audit_log.record import ToolOutcome
from tests.browser.activity import Activity
from tests.browser.test_page_for_everyone import fits_and_pleases_axe
from tests.browser.trails import CI, a_call, a_tool_call, ago

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATHS = "#table tbody td.path"


async def test_a_tokens_name_leads_to_its_page_and_each_figure_to_its_calls(
    activity: Activity,
) -> None:
    made, _ = await activity.tokens.create("claude", "operator", 90, "Anna", "deploys")
    of_it = {"token_id": made.id, "token_name": "claude"}
    await activity.store.append(
        [
            a_call(path="/api/v1/hosts", created_at=ago(seconds=9), **of_it),
            a_call(
                path="/api/v1/clusters/12", method="DELETE", created_at=ago(seconds=8), **of_it
            ),
            a_call(
                path="/api/v1/clusters/13", status_code=403, created_at=ago(seconds=7), **of_it
            ),
            a_call(path="/other", **CI),
        ]
    )
    await activity.store.append_invocations(
        [a_tool_call("deploy", outcome=ToolOutcome.TOOL_ERROR, status_code=500, **of_it)]
    )
    page = await activity.open()
    token = page.locator("#token-page")
    await expect(page.locator(PATHS)).to_have_count(4)
    await expect(token).to_be_hidden()

    await page.locator("td.token button", has_text="claude").first.click()

    await expect(token.get_by_role("heading", name="Token claude")).to_be_visible()
    await expect(token).to_contain_text("operator · owner Anna · deploys")
    await expect(token).to_contain_text(re.compile("made .* expires .* first used .* last used"))
    await expect(token.locator(".token-figures")).to_have_text(
        "3 API calls · 1 change · 1 refused · 0 failed · 1 tool call"
    )
    await expect(token.get_by_role("row", name="clusters/12 1 0")).to_be_visible()
    await token.get_by_role("button", name="1 refused").click()
    await expect(page.locator(PATHS)).to_have_text(["/api/v1/clusters/13"])
    await token.get_by_role("button", name="10.4.0.17").click()
    await expect(page.locator(PATHS)).to_have_count(3)
    await token.get_by_role("button", name="clusters/12").click()
    await expect(page.locator(PATHS)).to_have_text(["/api/v1/clusters/12"])
    await token.get_by_role("button", name="deploy", exact=True).click()
    await expect(page.locator("td.tool-name")).to_have_text(["deploy"])
    await page.get_by_role("button", name="Clear all").click()
    await expect(token).to_be_hidden()


async def test_the_details_lead_to_the_page_of_a_token_and_axe_finds_nothing_in_it(
    activity: Activity,
) -> None:
    await activity.store.append(
        [a_call(path="/a", **CI), a_call(path="/api/v1/clusters/12", method="PUT")]
    )
    page = await activity.open()
    await page.locator("td.status .meaning").first.click()
    details = page.get_by_role("dialog")

    await details.get_by_role("button", name="claude-desktop").click()

    await expect(page.locator("#token-page h2")).to_have_text("Token claude-desktop")
    await expect(page.locator(PATHS)).to_have_text(["/api/v1/clusters/12"])
    await fits_and_pleases_axe(page)

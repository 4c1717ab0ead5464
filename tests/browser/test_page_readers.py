"""Who read the log, on the page."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.activity import NARROW, WIDE, Activity
from tests.browser.test_page_for_everyone import complaints_of_axe
from tests.browser.trails import a_call

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_page_shows_who_read_the_log_and_narrows_it(activity: Activity) -> None:
    await activity.store.append([a_call(), a_call()])
    page = await activity.open("?status=2xx")
    await expect(page.locator("#table tbody tr")).to_have_count(2)
    async with page.expect_response(lambda answer: "/mcp-audit/export" in answer.url):
        await page.evaluate("fetch(document.getElementById('csv').href).then(a => a.text())")

    await page.get_by_role("button", name="Who read it").click()
    dialog = page.get_by_role("dialog", name="Who read it")
    rows = dialog.locator("tbody tr")
    signed_in = rows.filter(has_text="Signed in")
    await expect(signed_in).to_contain_text("ops-laptop (admin)")
    question = rows.filter(has_text="/mcp-audit?expand=details&limit=100&status=2xx")
    await expect(question.locator(".rows")).to_have_text("2")
    await expect(rows.filter(has_text="Export").locator(".asked")).to_contain_text(
        "/mcp-audit/export?format=csv&status=2xx"
    )

    await dialog.get_by_label("What").select_option("Signed in")
    await expect(rows).to_have_count(1)
    await dialog.get_by_label("Reader").fill("nobody")
    await page.keyboard.press("Enter")
    await expect(dialog).to_contain_text("No read matches.")


async def test_it_is_an_address_of_its_own_and_asks_for_a_sign_in(activity: Activity) -> None:
    page = await activity.blank()
    await page.goto(f"{activity.url}#who-read")
    await page.get_by_label("MCP token").fill(await activity.secret())
    await page.keyboard.press("Enter")

    dialog = page.get_by_role("dialog", name="Who read it")
    refused = dialog.locator("tbody tr").filter(has_text="Refused")
    await expect(refused.first).to_contain_text("not known")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(page).to_have_url(re.compile("activity$"))


async def test_a_page_that_polls_stays_one_question_of_its_session(activity: Activity) -> None:
    await activity.store.append([a_call()])
    page = await activity.open()
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    for path in ("/a", "/b"):  # a refresh for each
        await activity.store.append([a_call(path=path)])
        await expect(page.locator("#table")).to_contain_text(path)
    await page.evaluate("fetch('../../api/v1/settings/mcp-audit/tokens').then(a => a.text())")

    found = await activity.database.fetch("SELECT kind, question FROM mcp_audit_read")
    questions = sorted(row["question"] for row in found if row["kind"] != "sign_in")
    assert questions == [
        "/mcp-audit/gaps?limit=100",
        "/mcp-audit/tokens",
        "/mcp-audit?expand=details&limit=100",
    ]


@pytest.mark.parametrize("viewport", [WIDE, NARROW])
async def test_axe_finds_nothing_in_who_read_it_and_nothing_is_cut_off(
    activity: Activity, viewport: dict[str, int]
) -> None:
    page = await activity.open("#who-read", viewport=viewport)
    rows = page.get_by_role("dialog").locator("tbody tr")
    await expect(rows.first).to_be_visible()

    assert await complaints_of_axe(page) == []
    assert await page.evaluate(
        "document.getElementById('readers').scrollWidth"
        " <= document.getElementById('readers').clientWidth"
    )

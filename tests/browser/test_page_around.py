"""What happened around a call: one click from its details, and a link that shows it again."""

from datetime import timedelta

import pytest
from playwright.async_api import Page, expect

from tests.browser.activity import NARROW, Activity
from tests.browser.test_page_for_everyone import complaints_of_axe
from tests.browser.trails import CI, a_call, a_tool_call, ago, calls_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def marked(page: Page) -> str:
    """Return the text of the one row that is marked, which is in view."""
    row = page.locator("tr.around[aria-current=true]")
    await expect(row).to_have_count(1)
    await expect(row).to_be_in_viewport()
    return await row.inner_text()


async def test_details_lead_to_what_was_called_around_and_the_address_keeps_it(
    activity: Activity,
) -> None:
    noon = ago(hours=3)
    await activity.store.append(
        [
            a_call(
                path=f"/{number}",
                created_at=noon + timedelta(seconds=number),
                **(CI if number % 2 else {}),
            )
            for number in range(-310, 311, 2)
        ]
    )
    page = await activity.open("?path=/0&span=24h")
    await page.locator("td.status .meaning").click()

    await page.get_by_role("button", name="Show 5 minutes around it").click()

    rows = page.locator("#table tbody tr")
    await expect(rows).to_have_count(100)
    assert "/0" in await marked(page)
    await expect(page.locator("#around")).to_contain_text("5 minutes before and after it")
    await expect(page.locator(".chart-readout")).to_contain_text("300 calls")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await page.reload()
    assert "/0" in await marked(page)
    await page.get_by_role("button", name="Show older calls").click()
    await expect(rows).to_have_count(200)
    await page.get_by_role("button", name="Show from the newest").click()
    await expect(page.locator("#around")).to_be_hidden()
    await expect(page.locator("td.path").first).to_have_text("/298")


async def test_an_address_that_names_the_call_alone_is_enough(activity: Activity) -> None:
    call = a_call(path="/here", created_at=ago(hours=2))
    await activity.store.append(
        [call, a_call(path="/near", created_at=ago(hours=2, minutes=4)), a_call(path="/far")]
    )
    page = await activity.open(f"?around={call.id}")
    await expect(page.locator("td.path")).to_have_text(["/here", "/near"])
    assert "/here" in await marked(page)

    await page.goto(f"{activity.url}?around={call.token_id}")
    await expect(page.locator(".trouble")).to_contain_text("There is no such tool call")


@pytest.mark.parametrize("viewport", [{"width": 1440, "height": 900}, NARROW])
async def test_tool_calls_are_shown_around_one_and_axe_finds_nothing(
    activity: Activity, viewport: dict[str, int]
) -> None:
    await activity.store.append_invocations(
        [
            a_tool_call(f"tool-{letter}", created_at=ago(seconds=61 * number))
            for number, letter in enumerate("abcdefghijklmnopqrst")
        ]
    )
    page = await activity.open("?show=tools", viewport=viewport)
    await page.locator("tr.tool-call", has_text="tool-k").locator(".when").click()

    await page.get_by_role("button", name="Show 5 minutes around it").click()

    await expect(page.locator("tr.tool-call")).to_have_count(9)
    assert "tool-k" in await marked(page)
    assert await complaints_of_axe(page) == []


async def test_the_timeline_is_shown_around_an_api_call_below_its_tool_call(
    activity: Activity,
) -> None:
    tool = a_tool_call("deploy", created_at=ago(minutes=30), api_calls=1)
    await activity.store.append_invocations([tool])
    await activity.store.append([*calls_of(tool, "/made"), a_call(path="/now")])
    page = await activity.open("?show=both")
    await page.locator("tr.made-call .when").click()

    await page.get_by_role("button", name="Show 5 minutes around it").click()

    await expect(page.locator("td.tool-name")).to_have_text(["deploy", "GET /made"])
    assert "/made" in await marked(page)

"""Tool calls and API calls on one timeline."""

from datetime import timedelta

import pytest
from playwright.async_api import expect

from audit_log.record import Attribution
from tests.browser.activity import Activity
from tests.browser.test_page_for_everyone import fits_and_pleases_axe
from tests.browser.trails import CI, a_call, a_tool_call, ago, calls_of, one_of_each

pytestmark = pytest.mark.asyncio(loop_scope="session")
NAMES = "#table tbody td.tool-name"


async def test_api_calls_stand_below_their_tool_call_and_others_between(
    activity: Activity,
) -> None:
    sure = a_tool_call("deploy", created_at=ago(seconds=60), api_calls=2)
    guessed = a_tool_call("inspect", created_at=ago(seconds=40), api_calls=1)
    await activity.store.append_invocations([sure, guessed])
    await activity.store.append(
        [
            *calls_of(sure, "/a", "/b"),
            *calls_of(guessed, "/c", attribution=Attribution.INFERRED),
            a_call(path="/between", created_at=ago(seconds=50), **CI),
            a_call(path="/last", created_at=ago(seconds=30)),
        ]
    )
    page = await activity.open("?method=GET")

    await page.get_by_role("button", name="Both").click()

    names = page.locator(NAMES)
    await expect(names).to_have_text(
        ["GET /last", "inspect", "GET /c", "GET /between", "deploy", "GET /a", "GET /b"]
    )
    await expect(page.locator("#chips")).to_be_hidden()
    made = page.locator("tr.made-call")
    await expect(made).to_have_count(3)
    await expect(made.first).to_contain_text("inferred")
    await expect(made.nth(1)).not_to_contain_text("inferred")
    await expect(page.get_by_label("Method", exact=True)).to_be_hidden()
    await page.get_by_role("button", name="2 API calls of deploy").click()
    await expect(made).to_have_count(1)
    await page.get_by_role("button", name="2 API calls of deploy").click()
    await expect(made).to_have_count(3)
    await page.reload()
    await expect(names).to_have_count(7)
    await page.locator("td.token button", has_text="ci-pipeline").click()
    await expect(names).to_have_text(["GET /between"])


async def test_the_timeline_is_live_and_a_call_moves_below_its_tool_call(
    activity: Activity,
) -> None:
    page = await activity.open("?show=both")
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    tool = a_tool_call("deploy", api_calls=1)
    names = page.locator(NAMES)

    await activity.store.append(calls_of(tool, "/a"))
    await expect(names).to_have_text(["GET /a"])
    await expect(page.locator("td.calls-made")).to_contain_text("by deploy")
    await activity.store.append_invocations([tool])
    await activity.store.append([a_call(path="/b", created_at=ago(seconds=0))])

    await expect(names).to_have_text(["GET /b", "deploy", "GET /a"])


async def test_pages_go_on_and_a_tool_call_with_many_calls_is_told_in_part(
    activity: Activity,
) -> None:
    many = a_tool_call("loop", created_at=ago(hours=2), api_calls=23)
    await activity.store.append_invocations([many])
    await activity.store.append(calls_of(many, *(f"/loop/{n}" for n in range(23))))
    await activity.store.append(
        [a_call(path=f"/{n}", created_at=ago(hours=1) - timedelta(seconds=n)) for n in range(120)]
    )
    page = await activity.open("?show=both")
    await expect(page.locator(NAMES)).to_have_count(100)

    await page.get_by_role("button", name="Show older calls").click()

    await expect(page.locator(NAMES)).to_have_count(120 + 1 + 20 + 1)
    await expect(page.locator(NAMES).last).to_have_text(
        "and 3 more calls: press the number of calls above to show them"
    )
    await page.get_by_role("button", name="23 API calls of loop").click()
    await expect(page.locator(NAMES).last).to_have_text("GET /loop/22")


async def test_axe_finds_nothing_in_the_timeline(activity: Activity) -> None:
    await one_of_each(ago()).append_to(activity.store)
    page = await activity.open("?show=both")
    await expect(page.locator("#chart")).to_be_visible()
    await expect(page.locator("tr.made-call").first).to_be_visible()

    await fits_and_pleases_axe(page)

"""Calls that appear while somebody looks."""

import asyncio
import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.activity import Activity
from tests.browser.staying import staying
from tests.browser.trails import a_call, a_tool_call, ago, calls_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def live(activity: Activity, search: str = "") -> Page:
    page = await activity.open(search)
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    return page


async def test_a_call_appears_as_it_is_written(activity: Activity) -> None:
    page = await live(activity)

    await activity.store.append([a_call(path="/arrived")])

    await expect(page.locator("#table tbody td.path")).to_have_text(["/arrived"])


async def test_only_calls_that_pass_the_filters_appear(activity: Activity) -> None:
    page = await live(activity, "?method=PUT")

    await activity.store.append([a_call(path="/other"), a_call(path="/arrived", method="PUT")])

    await expect(page.locator("#table tbody td.path")).to_have_text(["/arrived"])


async def test_a_call_that_comes_late_takes_its_place_in_time(activity: Activity) -> None:
    await activity.store.append(
        [a_call(path="/new"), a_call(path="/old", created_at=ago(minutes=9))]
    )
    page = await live(activity)

    await activity.store.append([a_call(path="/late", created_at=ago(minutes=5))])

    await expect(page.locator("#table tbody td.path")).to_have_text(["/new", "/late", "/old"])


async def test_a_call_that_is_dated_in_the_future_does_not_head_the_list(
    activity: Activity,
) -> None:
    page = await live(activity)

    await activity.store.append([a_call(path="/ahead", created_at=ago(days=-400))])
    await activity.store.append([a_call(path="/now")])

    await expect(page.locator("#table tbody td.path")).to_have_text(["/now"])


async def test_while_paused_calls_are_counted_and_then_shown(activity: Activity) -> None:
    await activity.store.append([a_call(path="/first")])
    page = await live(activity)
    button = page.get_by_role("button", name="Live")
    await button.click()
    await expect(page.get_by_role("button", name="Paused")).to_be_visible()

    await activity.store.append([a_call(path="/second"), a_call(path="/third")])
    pill = page.get_by_role("button", name="2 new calls")
    await expect(pill).to_be_visible()
    await expect(page.locator("#table tbody td.path")).to_have_text(["/first"])
    await page.get_by_role("button", name="Paused").click()

    await expect(page.locator("#table tbody td.path")).to_have_count(3)
    await expect(pill).to_be_hidden()


async def test_an_answer_that_comes_after_the_pause_moves_nothing(activity: Activity) -> None:
    await activity.store.append([a_call(path="/first")])
    page = await activity.blank()
    await activity.sign_in(page)
    asked: asyncio.Queue[Route] = asyncio.Queue()
    await page.route(re.compile(r"/settings/mcp-audit\?"), asked.put)
    await page.goto(activity.url)
    await (await asked.get()).continue_()
    await expect(page.locator("#table tbody td.path")).to_have_text(["/first"])
    look_again = await asked.get()

    await page.get_by_role("button", name="Live").click()
    await activity.store.append([a_call(path="/second")])
    await expect(page.get_by_role("button", name="1 new call")).to_be_visible()
    async with page.expect_response(look_again.request.url):
        await look_again.continue_()
    await activity.store.append([a_call(path="/third")])
    await expect(page.get_by_role("button", name="2 new calls")).to_be_visible()

    await expect(page.locator("#table tbody td.path")).to_have_text(["/first"])


async def test_tool_calls_that_waited_for_the_reader_are_shown_when_asked_for(
    activity: Activity,
) -> None:
    page = await live(activity, "?show=tools")
    await page.get_by_role("button", name="Live").click()
    invocation = a_tool_call("list_clusters", api_calls=1)
    await activity.store.append_invocations([invocation])
    await activity.store.append(calls_of(invocation, "/api/v1/clusters"))

    await page.get_by_role("button", name="1 new call").click()

    await expect(page.locator("#table tbody tr")).to_contain_text(["list_clusters"])


async def test_nothing_moves_under_the_pointer_or_while_scrolled_away(activity: Activity) -> None:
    await activity.store.append([a_call(created_at=ago(seconds=number)) for number in range(60)])
    page = await live(activity)
    rows = page.locator("#table tbody tr")
    await expect(rows).to_have_count(60)
    pill = page.locator("#arrivals")

    await rows.nth(3).hover()
    await activity.store.append([a_call()])
    await expect(pill).to_have_text("1 new call")
    await page.mouse.move(2, 2)
    await expect(rows).to_have_count(61)
    await page.mouse.wheel(0, 900)
    await activity.store.append([a_call()])
    await expect(pill).to_have_text("1 new call")
    await expect(rows).to_have_count(61)
    await pill.click()

    await expect(rows).to_have_count(62)
    await expect(pill).to_be_hidden()


async def test_rows_that_were_there_stay_the_same_elements(activity: Activity) -> None:
    await activity.store.append([a_call(path="/first")])
    page = await live(activity)
    await page.locator("#table tbody tr").evaluate("row => { row.dataset.seen = 'yes'; }")

    await activity.store.append([a_call(path="/second")])
    await expect(page.locator("#table tbody tr")).to_have_count(2)

    await expect(page.locator("#table tbody tr[data-seen]")).to_contain_text("/first")


async def test_a_view_that_ends_in_the_past_is_not_live(activity: Activity) -> None:
    await activity.store.append([a_call(path="/old", created_at=ago(hours=3))])

    page = await activity.open(f"?until={ago(hours=1):%Y-%m-%dT%H:%M:%SZ}")

    await expect(page.locator("#table tbody td.path")).to_have_text(["/old"])
    await expect(page.get_by_role("button", name="Past")).to_be_disabled()


async def test_a_page_that_stays_open_keeps_so_many_rows_and_costs_no_more_with_time(
    activity: Activity,
) -> None:
    stays, page = await staying(activity)
    rows = page.locator("#table tbody tr")
    await stays.arrive(2, 260)
    early = await stays.cost()
    await stays.arrive(1, 300)
    middle = await stays.cost()
    await stays.arrive(1, 300)
    late = await stays.cost()

    await expect(rows).to_have_count(500)
    assert late.heap_bytes < middle.heap_bytes * 1.15
    # The frames of as many calls take no longer.
    assert late.task_seconds - middle.task_seconds < 2 * (middle.task_seconds - early.task_seconds)
    await page.get_by_role("button", name="Show older calls").click()
    await expect(rows).to_have_count(599)
    await expect(rows.nth(500)).to_contain_text("/api/v1/hosts/619")

"""What readers make of the page: views with names, and the columns that they want."""

import json

import pytest
from playwright.async_api import expect

from tests.browser.activity import Activity
from tests.browser.test_page_for_everyone import fits_and_pleases_axe
from tests.browser.trails import CI, a_call, a_gap, a_tool_call, ago, calls_of, one_of_each

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATHS = "#table tbody td.path"
HEADINGS = "#table thead th"
USUAL = ["Time", "Token", "Method", "Path", "Status", "Tool", "Duration"]


async def test_a_view_is_named_opened_renamed_and_deleted_by_keyboard(activity: Activity) -> None:
    await activity.store.append([a_call(path="/a", **CI), a_call(path="/b", method="PUT")])
    page = await activity.open("?method=PUT&span=24h")
    await expect(page.locator(PATHS)).to_have_text(["/b"])
    menu = page.locator("#views")

    await menu.locator("summary").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Name of this view")).to_be_focused()
    await page.keyboard.type("Puts <b>")
    await page.keyboard.press("Enter")
    await expect(menu.get_by_role("status")).to_have_text("Saved as Puts <b>.")
    await page.goto(activity.url)
    await expect(page.locator(PATHS)).to_have_count(2)
    await menu.locator("summary").click()
    await menu.get_by_role("link", name="Puts <b>").click()
    await expect(page.locator(PATHS)).to_have_text(["/b"])
    await expect(page).to_have_url(f"{activity.url}?method=PUT&span=24h")

    await menu.get_by_role("button", name="Rename Puts <b>").click()
    await expect(page.get_by_label("New name of Puts <b>")).to_be_focused()
    await page.keyboard.type("Changes")
    await page.keyboard.press("Enter")
    await expect(menu.get_by_role("link", name="Changes")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(menu.get_by_role("link")).to_be_hidden()
    await expect(menu.locator("summary")).to_be_focused()
    await page.keyboard.press("Enter")
    await menu.get_by_role("button", name="Delete Changes").click()
    await expect(menu.get_by_role("link")).to_have_count(0)
    await expect(menu).to_contain_text("None yet")


async def test_what_the_browser_kept_wrongly_is_passed_over(activity: Activity) -> None:
    page = await activity.open()
    for stored in ("{", json.dumps([{"name": 7}]), json.dumps({"a": 1})):
        await page.evaluate(
            "stored => { for (const name of ['views', 'columns', 'searches'])"
            " localStorage.setItem('podwarden-activity-log-' + name, stored) }",
            stored,
        )
        await page.reload()
        await expect(page.get_by_role("heading", name="No calls yet")).to_be_visible()
        await page.locator("#views summary").click()
        await expect(page.locator("#views")).to_contain_text("None yet")


async def test_columns_are_chosen_and_stay_in_the_address_and_in_the_browser(
    activity: Activity,
) -> None:
    await activity.store.append([a_call(path="/api/v1/clusters/12", request_id="r-1")])
    await activity.store.append_gaps([a_gap(ago(minutes=3), ago(minutes=2))])
    page = await activity.open()
    headings = page.locator(HEADINGS)
    await expect(headings).to_have_text(USUAL)

    menu = page.locator("#columns")
    await menu.locator("summary").click()
    await expect(menu.get_by_label("Time")).to_be_disabled()
    for name in ("Token", "Tool", "Duration"):
        await menu.get_by_label(name, exact=True).uncheck()
    await menu.get_by_label("Object").check()
    await menu.get_by_label("Client").check()
    await expect(menu.get_by_label("Client")).to_be_focused()

    chosen = ["Time", "Method", "Path", "Status", "Object", "Client"]
    await expect(headings).to_have_text(chosen)
    cells = page.locator("#table tbody tr:not(.gap) td")
    await expect(cells).to_have_count(6)
    await expect(cells.nth(4)).to_have_text("clusters/12")
    spanned = await page.locator("tr.gap td").evaluate_all("all => all.map(one => one.colSpan)")
    assert spanned == [4, 1, 1]
    await page.keyboard.press("Escape")
    await cells.nth(5).get_by_role("button").click()
    await expect(page.locator("#chips")).to_contain_text("client 10.4.0.17")
    await expect(headings).to_have_text(chosen)


async def test_chosen_columns_are_those_of_the_address_or_those_chosen_last(
    activity: Activity,
) -> None:
    await activity.store.append([a_call()])
    page = await activity.open()
    headings, menu = page.locator(HEADINGS), page.locator("#columns")
    await menu.locator("summary").click()
    await menu.get_by_label("Duration").uncheck()
    await expect(headings).to_have_text(USUAL[:-1])
    assert page.url.endswith("?columns=time%2Ctoken%2Cmethod%2Cpath%2Cstatus%2Ctool")

    await page.goto(activity.url)
    await expect(headings).to_have_text(USUAL[:-1])
    await menu.locator("summary").click()
    await menu.get_by_label("Duration").check()
    await expect(headings).to_have_text(USUAL)
    await page.goto(f"{activity.url}?columns=path,no_such")
    await expect(headings).to_have_text(["Time", "Path"])
    await menu.locator("summary").click()
    await menu.get_by_role("button", name="Usual columns").click()
    await expect(headings).to_have_text(USUAL)


async def test_rows_below_a_tool_call_fit_the_columns_that_are_chosen(activity: Activity) -> None:
    tool = a_tool_call("deploy", api_calls=1, client_ip="10.4.0.17")
    nothing = a_tool_call("look", created_at=ago(seconds=9))
    await activity.store.append_invocations([tool, nothing])
    await activity.store.append(calls_of(tool, "/a"))
    page = await activity.open("?show=tools&columns=client_ip,status")
    await expect(page.locator(HEADINGS)).to_have_text(["Time", "Tool", "Outcome", "Client"])
    await page.locator("tr.tool-call .when").first.click()
    await page.get_by_role("button", name="Show only this tool call").click()
    await expect(page.locator("tr.made-call td:not(.time)")).to_have_text(
        ["GET /a", "200OK", "10.4.0.17"]
    )
    await page.goto(
        f"{activity.url}?show=tools&columns=client_ip,status&invocation_id={nothing.id}"
    )
    await expect(page.locator("tr.made-call td.tool-name")).to_have_attribute("colspan", "2")
    await expect(page.locator("tr.made-call td")).to_have_count(3)


async def test_axe_finds_nothing_in_the_menus(activity: Activity) -> None:
    await one_of_each(ago()).append_to(activity.store)
    page = await activity.open("?columns=method,path,status,object,client_ip")
    await expect(page.locator("#chart")).to_be_visible()
    await page.locator("#views summary").click()
    await page.get_by_label("Name of this view").fill("All")
    await page.keyboard.press("Enter")
    await expect(page.locator("#views li a")).to_be_visible()
    await fits_and_pleases_axe(page)

    await page.locator("#columns summary").click()
    await expect(page.locator("#views li a")).to_be_hidden()
    await fits_and_pleases_axe(page)

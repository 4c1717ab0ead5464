"""The page by keyboard, on a small screen, and for those who cannot see it."""

from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import (  # type: ignore[import-untyped]  # has none
    Axe,
)
from playwright.async_api import Page, ViewportSize, expect

from tests.browser.activity import NARROW, WIDE, Activity
from tests.browser.trails import CI, a_call, a_day, ago, one_of_each

pytestmark = pytest.mark.asyncio(loop_scope="session")

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = ["color-contrast", "link-in-text-block"]
Scheme = Literal["light", "dark"]
SCHEMES: dict[Scheme, dict[str, Any]] = {
    "light": {"type": "tag", "values": WCAG},
    "dark": {"type": "rule", "values": COLOURS},
}
SCREENS: list[tuple[ViewportSize, tuple[Scheme, ...]]] = [
    (WIDE, ("light", "dark")),
    (NARROW, ("light",)),
]
"""A narrow screen has the colours of a wide one."""


async def complaints_of_axe(page: Page, *schemes: Scheme) -> list[str]:
    """Return what axe finds in the light scheme, and then of the colours in the dark one.

    Nothing else differs: the dark scheme is other values of the variables in colours.css.
    """
    complaints = []
    for scheme in schemes or SCHEMES:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = await _complaints(page, SCHEMES[scheme])
        complaints += [f"{scheme}: {complaint}" for complaint in found]
    return complaints


async def fits_and_pleases_axe(page: Page) -> None:
    """Hold the page against axe, wide and narrow; nothing may be wider than the screen."""
    for viewport, schemes in SCREENS:
        await page.set_viewport_size(viewport)
        assert await complaints_of_axe(page, *schemes) == []
        assert await page.evaluate("document.documentElement.scrollWidth") == viewport["width"]


async def _complaints(page: Page, rules: dict[str, Any]) -> list[str]:
    # What passes is not described: in a table of 100 rows that takes most of the time.
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    results = await Axe().run(page, options=options)
    return [
        f"{violation['id']}: {node['html']}"
        for violation in results.response["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize(("viewport", "schemes"), SCREENS, ids=["wide", "narrow"])
async def test_axe_finds_nothing_in_a_full_log(
    activity: Activity, viewport: ViewportSize, schemes: tuple[Scheme, ...]
) -> None:
    await one_of_each(ago()).append_to(activity.store)
    page = await activity.open(viewport=viewport)
    await expect(page.locator("#chart")).to_be_visible()

    assert await complaints_of_axe(page, *schemes) == []

    await page.locator("td.status .meaning").first.click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await complaints_of_axe(page, *schemes) == []

    await page.goto(f"{activity.url}?show=tools&span=24h")
    await page.locator(".opener").first.click()
    await expect(page.locator("tr.made-call").first).to_be_visible()
    await page.locator("#sessions summary").click()
    await expect(page.locator("#sessions-table tbody tr").first).to_be_visible()
    assert await complaints_of_axe(page, *schemes) == []


async def test_axe_finds_nothing_where_there_is_no_log(activity: Activity) -> None:
    page = await activity.blank()
    await page.goto(activity.url)
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert await complaints_of_axe(page) == []

    await activity.sign_in(page)
    await page.reload()
    await expect(page.get_by_role("heading", name="No calls yet")).to_be_visible()
    assert await complaints_of_axe(page) == []

    await page.goto(f"{activity.url}?method=GET&status=4xx")
    await expect(page.get_by_role("heading", name="No calls match these filters")).to_be_visible()
    assert await complaints_of_axe(page) == []

    await page.goto(f"{activity.url}?status=many")
    await expect(page.locator(".trouble")).to_be_visible()
    assert await complaints_of_axe(page) == []

    await page.goto(activity.url)
    await page.route("**/api/v1/**", lambda route: route.abort())
    await page.get_by_label("Method", exact=True).select_option("GET")
    await expect(page.locator(".trouble")).to_be_visible()
    assert await complaints_of_axe(page) == []


async def test_rows_are_walked_and_opened_by_keyboard(activity: Activity) -> None:
    await activity.store.append(
        [a_call(path=f"/{number}", created_at=ago(seconds=number)) for number in range(4)]
    )
    page = await activity.open()
    rows = page.locator("#table tbody tr")
    await expect(rows).to_have_count(4)

    await page.keyboard.press("j")
    await expect(rows.nth(0).locator(".when")).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("ArrowDown")
    await expect(rows.nth(2).locator(".when")).to_be_focused()
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    details = page.get_by_role("dialog", name="API call")
    await expect(details).to_contain_text("GET /1")
    await page.keyboard.press("j")
    await expect(details).to_contain_text("GET /2")
    await page.keyboard.press("Escape")

    await expect(details).to_be_hidden()
    await expect(rows.nth(2).locator(".when")).to_be_focused()


async def test_a_row_is_one_stop_on_the_way_through_the_page(activity: Activity) -> None:
    await activity.store.append([a_call(created_at=ago(seconds=number)) for number in range(9)])
    page = await activity.open()
    await expect(page.locator("#table tbody tr")).to_have_count(9)

    assert await page.locator("#table tbody button[tabindex='0']").count() == 5


async def test_slash_leads_to_the_filter_and_l_pauses(activity: Activity) -> None:
    page = await activity.open()
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")

    await page.keyboard.press("l")
    await expect(page.get_by_role("button", name="Paused")).to_be_visible()
    await page.keyboard.press("/")
    await expect(page.get_by_label("Search", exact=True)).to_be_focused()
    await page.keyboard.type("/jkl")

    await expect(page.get_by_label("Search", exact=True)).to_have_value("/jkl")
    await expect(page.get_by_role("button", name="Paused")).to_be_visible()


async def test_single_keys_can_be_switched_off_for_good(activity: Activity) -> None:
    page = await activity.open()
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    await page.get_by_label("Single-key shortcuts").uncheck()
    await page.reload()
    await expect(page.get_by_label("Single-key shortcuts")).not_to_be_checked()
    await page.locator("#calls").focus()

    await page.keyboard.press("/")

    await expect(page.locator("#calls")).to_be_focused()


@pytest.mark.parametrize("search", ["", "?show=tools", "?status=4xx&span=24h&path=/api"])
async def test_a_small_screen_shows_all_without_scrolling_sideways(
    activity: Activity, search: str
) -> None:
    await a_day(ago()).append_to(activity.store)
    page = await activity.open(search, viewport=NARROW, has_touch=True, is_mobile=True)
    await expect(page.locator("#table tbody tr").first).to_be_visible()
    await expect(page.locator("#chart")).to_be_visible()

    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    overflowing = await page.locator("main *").evaluate_all(
        "all => all.filter(one => one.checkVisibility() && !one.closest('.unseen, thead')"
        " && one.getBoundingClientRect().right > 361).length"
    )
    assert overflowing == 0


async def test_on_a_small_screen_filters_unfold_and_details_cover_all(activity: Activity) -> None:
    await activity.store.append([a_call(path="/a"), a_call(path="/b", **CI)])
    page = await activity.open(viewport=NARROW)
    await expect(page.locator("#table tbody tr")).to_have_count(2)
    await expect(page.get_by_label("Path", exact=True)).to_be_hidden()

    await page.get_by_role("button", name="Filters").click()
    await page.get_by_label("Path", exact=True).fill("/a")
    await page.keyboard.press("Enter")
    await expect(page.locator("#table tbody td.path")).to_have_text(["/a"])
    await page.locator("td.time button").click()

    await expect(page.locator("dialog:modal")).to_contain_text("GET /a")


async def test_nothing_moves_for_those_who_ask_for_no_motion(activity: Activity) -> None:
    await activity.store.append([a_call()])
    page = await activity.open(reduced_motion="reduce")
    row = page.locator("#table tbody tr")
    await expect(row).to_have_count(1)

    moving = await page.evaluate("document.getAnimations().length")
    length = await row.evaluate("row => getComputedStyle(row).transitionDuration")

    assert (moving, length) == (0, "0s")

"""Text that callers chose: shown, never obeyed."""

from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import ViewportSize, expect

from tests.browser.activity import NARROW, WIDE, Activity
from tests.browser.trails import a_call, a_tool_call, calls_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = [
    "<img src=x onerror=window.hit=1>",
    "<script>window.hit=1</script>",
    '"><svg onload=window.hit=1>',
    "javascript:window.hit=1",
    "</td></tr></table><h1>owned</h1>",
    "{{constructor.constructor('window.hit=1')()}}",
    "&lt;b&gt;&#x3c;i&#x3e;",
    "__proto__",
]


async def test_text_of_callers_is_shown_as_text_everywhere(activity: Activity) -> None:
    tools = [a_tool_call(text, token_name=text, token_id=None, api_calls=1) for text in HOSTILE]
    await activity.store.append_invocations(tools)
    for number, (tool, text) in enumerate(zip(tools, HOSTILE, strict=True)):
        await activity.store.append(
            calls_of(
                tool,
                f"/{text}",
                method=text,
                user_agent=text,
                request_id=text,
                instance=f"{text}{number}",
            )
        )
    page = await activity.open()
    rows = page.locator("#table tbody tr")
    await expect(rows).to_have_count(len(HOSTILE))

    for text in HOSTILE:
        row = rows.filter(has=page.locator("td.path").get_by_text(f"/{text}", exact=True))
        await expect(row.locator("td.token")).to_have_text(text)
        await row.locator("td.duration").click()
        await expect(page.locator("#details .detail-user_agent")).to_have_text(text)
        await page.locator("#details .detail-tool button").click()
        await expect(rows).to_have_count(1)
        await expect(page.locator(".chip-value")).to_have_text(text)
        await page.locator(".chip").click()
        await expect(rows).to_have_count(len(HOSTILE))
    await page.get_by_role("button", name="Tool calls").click()
    await expect(page.locator("tr.tool-call")).to_have_count(len(HOSTILE))
    for number, opener in enumerate(await page.locator(".opener").all(), 1):
        await opener.click()
        # Before the next click: what is below moves down when the calls are there.
        await expect(page.locator("tr.made-call")).to_have_count(number)

    assert await page.evaluate("window.hit") is None
    assert await page.locator("#table tbody :is(img, script, svg, h1, i, b)").count() == 0


async def test_what_cannot_be_seen_is_made_visible(activity: Activity) -> None:
    await activity.store.append([a_call(path="/a\u202egpj.exe\u200b\x1b[31m")])

    path = (await activity.open()).locator("#table tbody td.path")

    await expect(path).to_have_text("/a\\u202egpj.exe\\u200b\\u001b[31m")


async def test_a_filter_in_the_address_is_shown_as_text(activity: Activity) -> None:
    page = await activity.open("?tool=%3Cimg%20src%3Dx%20onerror%3Dwindow.hit%3D1%3E")

    await expect(page.locator(".chip-value")).to_have_text("<img src=x onerror=window.hit=1>")

    assert await page.evaluate("window.hit") is None


async def test_the_browser_itself_refuses_html_and_scripts_from_text(activity: Activity) -> None:
    page = await activity.open()
    await expect(page.get_by_role("heading", name="No calls yet")).to_be_visible()

    refusals = await page.evaluate(
        """() => ["innerHTML", "outerHTML"].map((name) => {
            try { document.body.firstElementChild[name] = "<b>x</b>"; return "done"; }
            catch (error) { return error.name; }
        })"""
    )

    assert refusals == ["TypeError", "TypeError"]
    assert any("TrustedHTML" in complaint for complaint in activity.complaints)
    activity.complaints.clear()


async def test_a_very_long_path_moves_nothing(activity: Activity) -> None:
    await activity.store.append([a_call(path="/" + "x" * 2_047)])

    page = await activity.open()
    await expect(page.locator("#table tbody tr")).to_have_count(1)

    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= await page.evaluate("window.innerWidth")


LONG_NAME: dict[str, Any] = {
    "client_name": "n" * 128,
    "client_version": "v" * 64,
    "session": uuid4(),
}
CLIPPED = """values => values
    .filter(value => value.scrollWidth > value.clientWidth + 1
        || value.getBoundingClientRect().right
            > value.closest("td, th").getBoundingClientRect().right + 1)
    .map(value => value.textContent)"""
"""What is cut off, or goes beyond its cell."""


@pytest.mark.parametrize("viewport", [WIDE, NARROW])
async def test_the_longest_name_of_an_agent_pushes_nothing_out_of_sight(
    activity: Activity, viewport: ViewportSize
) -> None:
    await activity.store.append_invocations([a_tool_call("list_clusters", **LONG_NAME)])
    page = await activity.open("?show=tools", viewport=viewport)
    await page.locator("#sessions summary").click()
    token = page.locator("#sessions-table td.token")
    await expect(token).to_have_text("claude-desktop")
    box = await token.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] < viewport["width"] * 1.2  # little is left to be scrolled to

    await page.locator("#sessions-table button").click()
    await expect(page.locator("#agent-session")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


async def test_a_telephone_shows_the_whole_of_chosen_columns_and_of_what_is_counted(
    activity: Activity,
) -> None:
    tool = a_tool_call("troubleshoot_workload", principal="p" * 200, **LONG_NAME)
    await activity.store.append_invocations([tool])
    await activity.store.append(calls_of(tool, "/api/v1/clusters/12/workloads"))
    page = await activity.open(
        "?show=tools&columns=session,principal,agent", viewport=NARROW, is_mobile=True
    )
    values = page.locator("#table tbody td.extra .value")
    await expect(values).to_have_count(2)
    assert await values.evaluate_all(CLIPPED) == []

    await page.goto(activity.url)
    await page.get_by_text("Most calls by token, tool, object").click()
    values = page.locator(".facet tbody .value")
    await expect(values.filter(has_text="troubleshoot_workload")).to_be_visible()
    assert await values.evaluate_all(CLIPPED) == []

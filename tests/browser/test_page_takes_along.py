"""What readers take along: a call or a list as JSON, curl and SQL, and the page on paper."""

import asyncio
import json
import os
import re
from io import BytesIO
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.activity import Activity
from tests.browser.test_page_for_everyone import fits_and_pleases_axe
from tests.browser.trails import CI, a_call, a_tool_call, ago, one_of_each

pytestmark = pytest.mark.asyncio(loop_scope="session")
CLIPBOARD: Any = {"permissions": ["clipboard-read", "clipboard-write"]}


async def copied(page: Page, part: Locator, way: str) -> str:
    """Return what the button *way* in *part* puts into the clipboard."""
    await part.get_by_role("button", name=way, exact=True).click()
    await expect(part.get_by_role("button", name=f"{way}: copied")).to_be_visible()
    text: str = await page.evaluate("navigator.clipboard.readText()")
    return text


async def run(command: str, token: str) -> str:
    """Return what *command* says in a shell that has a token."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command),
        env={"PATH": os.environ["PATH"], "TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said
    return said.decode()


async def test_a_call_is_copied_as_json_curl_and_sql_that_find_it(activity: Activity) -> None:
    call = a_call(path="/it's/$(reboot)", **CI)
    tool = a_tool_call("deploy")
    await activity.store.append([call])
    await activity.store.append_invocations([tool])
    secret = await activity.secret()
    page = await activity.open(**CLIPBOARD)
    for search, wanted in (("", call), ("?show=tools", tool)):
        await page.goto(f"{activity.url}{search}")
        await page.locator("#table .when").first.click()
        ways = page.get_by_role("group", name="Copy this call as")

        as_json = await copied(page, ways, "JSON")
        command = await copied(page, ways, "curl")
        sql = await copied(page, ways, "SQL")

        assert json.loads(as_json)["id"] == str(wanted.id)
        assert '-H "Authorization: Bearer $TOKEN"' in command
        assert "pwm_" not in command
        assert json.loads(await run(command, secret))["id"] == str(wanted.id)
        assert [row["id"] for row in await activity.database.fetch(sql)] == [wanted.id]


async def test_what_is_shown_is_copied_as_json_curl_and_sql_that_find_the_same(
    activity: Activity,
) -> None:
    names = {"token_name": 'it\'s, $(reboot) `x` "y"', "token_id": None}
    calls = [
        a_call(path=f"/{n}", created_at=ago(minutes=n), method="PUT", **names) for n in range(5)
    ]
    await activity.store.append([*calls, a_call(path="/other")])
    await activity.store.append_invocations([a_tool_call("deploy"), a_tool_call("list", **CI)])
    secret = await activity.secret()
    page = await activity.open("?method=PUT&span=24h", **CLIPBOARD)
    await page.locator("td.token button").first.click()
    for search, number in (
        ("", 5),
        (f"?around={calls[2].id}", 6),
        ("?show=tools&tool=deploy", 1),
        ("?show=both&show=both", 8),
    ):
        if search:
            await page.goto(f"{activity.url}{search}")
        shown = page.locator("#table tbody tr[data-id]")
        await expect(shown).to_have_count(number)
        ids = [await row.get_attribute("data-id") for row in await shown.all()]
        await page.locator("#copy summary").click()
        ways = page.get_by_role("group", name="Copy what is shown as")

        assert [each["id"] for each in json.loads(await copied(page, ways, "JSON"))] == ids
        told = json.loads(await run(await copied(page, ways, "curl"), secret))
        assert [each["id"] for each in told] == ids
        if "both" in search:
            await expect(ways.get_by_role("button", name="SQL")).to_have_count(0)
        else:
            rows = await activity.database.fetch(await copied(page, ways, "SQL"))
            assert [str(row["id"]) for row in rows] == ids


async def test_without_a_clipboard_the_text_is_shown_selected(activity: Activity) -> None:
    await activity.store.append([a_call()])
    page = await activity.open()
    await page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    await page.locator("#copy summary").click()
    await page.locator("#copy").get_by_role("button", name="SQL").click()

    await expect(page.get_by_label("The text to copy")).to_have_value(
        re.compile("^SELECT .*FROM mcp_audit_log", re.DOTALL)
    )
    assert "FROM mcp_audit_log" in await page.evaluate("String(document.getSelection())")


async def test_the_api_is_documented_one_press_away(activity: Activity) -> None:
    page = await activity.open()
    await page.get_by_role("link", name="API documentation").click()
    await expect(page.get_by_role("heading", name="PodWarden audit log")).to_be_visible()
    await expect(page.get_by_text("GET /api/v1/settings/mcp-audit/timeline")).to_be_visible()


async def test_on_paper_is_the_table_with_what_was_asked_and_nothing_to_press(
    activity: Activity,
) -> None:
    await activity.store.append(
        [
            a_call(path=f"/{n}", created_at=ago(minutes=n), status_code=404, method="PUT")
            for n in range(3)
        ]
    )
    page = await activity.open("?method=PUT&span=24h&zone=utc", color_scheme="dark")
    await expect(page.locator("#chart")).to_be_visible()
    await page.emulate_media(media="print")

    printed = page.locator("#printed")
    await expect(printed).to_be_visible()
    await expect(printed).to_contain_text("Filters: method=PUT. Time: Last 24 hours; times in UTC")
    await expect(printed).to_contain_text("Totals: 3 calls")
    await expect(printed).to_contain_text("3 calls below, all of them.")
    for control in ("#filters", "#tools", "#chips", ".bar-end", ".switch", ".keys"):
        await expect(page.locator(control)).to_be_hidden()
    assert (
        await page.locator("#older, #live, input, select").evaluate_all(
            "all => all.filter(one => one.checkVisibility()).length"
        )
        == 0
    )
    exact = await page.locator(".when").first.evaluate(
        "one => getComputedStyle(one, '::after').content"
    )
    assert re.match(r'"\d+ \w+ \d{4}, \d\d:\d\d:\d\d\.\d{3}', exact)
    style = "getComputedStyle(document.body)"
    assert await page.evaluate(f"[{style}.color, {style}.colorScheme]") == [
        "rgb(27, 35, 48)",
        "light",
    ]
    assert BytesIO(await page.pdf()).read(5) == b"%PDF-"


async def test_axe_finds_nothing_in_the_ways_to_copy(activity: Activity) -> None:
    await one_of_each(ago()).append_to(activity.store)
    page = await activity.open()
    await expect(page.locator("#chart")).to_be_visible()
    await page.locator("#copy summary").click()
    await expect(page.get_by_role("group", name="Copy what is shown as")).to_be_visible()
    await fits_and_pleases_axe(page)

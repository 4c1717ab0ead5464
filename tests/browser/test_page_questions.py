"""Questions of an operator: several values, objects, times, what is missing."""

import json
import re
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from playwright.async_api import Page, expect

from audit_log.record import Outcome, ToolOutcome
from tests.browser.activity import Activity
from tests.browser.trails import CI, CLAUDE, a_call, a_gap, a_tool_call, ago

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATHS = "#table tbody td.path"


async def downloaded(page: Page, name: str) -> tuple[str, str]:
    """Return the name and the text of the file behind the link *name*."""
    async with page.expect_download() as download:
        await page.get_by_role("link", name=name).click()
    file = await download.value
    return file.suggested_filename, (await file.path()).read_text()


async def test_downloads_of_tool_calls_hold_what_is_shown(activity: Activity) -> None:
    await activity.store.append_invocations(
        [
            a_tool_call("deploy", outcome=ToolOutcome.TOOL_ERROR, status_code=500),
            a_tool_call("list_hosts"),
        ]
    )
    await activity.store.append([a_call(path="/api-call")])
    page = await activity.open("?show=tools&tool=deploy")
    await expect(page.locator("#table tbody tr.tool-call")).to_have_count(1)

    for name in ("CSV", "NDJSON"):
        _, text = await downloaded(page, f"Download these calls as {name}")
        assert "deploy" in text
        assert "list_hosts" not in text
        assert "/api-call" not in text
    await expect(page.get_by_role("heading", name="Tool calls over time")).to_be_visible()
    await expect(page.locator(".chart-readout")).to_contain_text("1 tool call ·")
    await expect(page.get_by_role("img")).to_have_attribute("aria-label", re.compile("1 failed"))


async def test_a_tool_call_that_waits_is_shown_again_when_it_has_ended(
    activity: Activity,
) -> None:
    waits = a_tool_call("deploy", outcome=ToolOutcome.ASKED, status_code=202)
    page = await activity.open("?show=tools")
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    status = page.locator("#table tbody tr.tool-call td.status")
    await activity.store.append_invocations([waits])
    await expect(status).to_contain_text("waits for the client")

    ended = a_tool_call("deploy", id=waits.id, created_at=waits.created_at)
    await activity.store.append_invocations([ended])

    await expect(status).to_have_text(re.compile("200.*ok"))


async def test_a_download_says_what_is_missing(activity: Activity) -> None:
    await activity.store.append([a_call()])
    page = await activity.open()
    await expect(page.locator(PATHS)).to_have_count(1)
    await expect(page.locator("#gaps")).to_be_hidden()

    await activity.store.append_gaps([a_gap(ago(minutes=3), ago(minutes=2), count=25_000)])

    await expect(page.locator("#gaps")).to_be_visible()
    name, text = await downloaded(page, "Download these calls as NDJSON")
    assert name.endswith("-incomplete.ndjson")
    assert [json.loads(line).get("kind") for line in text.splitlines()] == ["gap", None]
    _, text = await downloaded(page, "Download the gaps as CSV")
    assert "25000" in text


async def test_what_matches_nothing_but_lies_beside_a_gap_is_said_so(activity: Activity) -> None:
    await activity.store.append([a_call()])
    await activity.store.append_gaps([a_gap(ago(minutes=3), ago(minutes=2))])
    page = await activity.open("?method=PUT")

    await expect(page.get_by_role("heading", name="No calls match these filters")).to_be_visible()
    await expect(page.locator(".empty")).to_contain_text("Records are missing in this time")
    await expect(page.locator("#table tbody tr.gap")).to_have_count(1)


async def test_one_search_writes_all_filters_and_explains_what_is_wrong(
    activity: Activity,
) -> None:
    await activity.store.append(
        [
            a_call(path="/a", method="POST", created_at=ago(seconds=3), **CLAUDE),
            a_call(path="/b", method="DELETE", duration_ms=900.0, created_at=ago(seconds=2), **CI),
            a_call(path="/c", status_code=404, created_at=ago(seconds=1), **CI),
        ]
    )
    page = await activity.open()
    search = page.get_by_label("Search", exact=True)
    await expect(page.get_by_label("Token", exact=True)).to_be_visible()

    await search.fill("token_name=c")
    await expect(page.locator("#search-options option")).to_have_count(2)
    await search.fill("method=POST,DELETE")
    await search.press("Enter")
    await expect(page.locator(PATHS)).to_have_text(["/b", "/a"])
    await search.fill("method=POST,DELETE token_name!=claude-desktop duration_ms>500")
    await search.press("Enter")
    await expect(page.locator(PATHS)).to_have_text(["/b"])
    await expect(page.locator("#chips")).to_contain_text("token not claude-desktop")
    await page.reload()
    await expect(search).to_have_value(
        "method=POST,DELETE token_name!=claude-desktop duration_ms>=500"
    )
    await search.fill("stauts=4xx")
    await search.press("Enter")
    await expect(page.locator("#search-problem")).to_have_text(
        "stauts: There is no such parameter: is `status` meant?"
    )
    await search.fill("deploy")
    await search.press("Enter")
    await expect(page.locator("#search-problem")).to_contain_text("“deploy” is no filter")
    await search.fill("")
    await expect(page.locator("#search-options option").first).to_have_attribute(
        "value", "stauts=4xx"
    )


async def test_a_value_with_a_comma_is_one_value(activity: Activity) -> None:
    both = [a_call(path=f"/{name}", token_id=None, token_name=name) for name in ("a,b", "a")]
    await activity.store.append(both)
    page = await activity.open()

    await page.locator("#table tbody").get_by_role("button", name="a,b", exact=True).click()

    await expect(page.locator(PATHS)).to_have_text(["/a,b"])


async def test_an_object_has_a_page_with_its_changes(activity: Activity) -> None:
    session = a_tool_call("deploy", session=UUID(int=7), client_name="claude-code", api_calls=1)
    await activity.store.append_invocations([session])
    await activity.store.append(
        [
            a_call(path="/api/v1/clusters/12", method="GET", created_at=ago(seconds=5)),
            a_call(
                path="/api/v1/clusters/12/nodes/7",
                method="DELETE",
                created_at=ago(seconds=4),
                tool="deploy",
                invocation_id=session.id,
                **CI,
            ),
            a_call(
                path="/api/v1/clusters/12",
                method="PUT",
                created_at=ago(seconds=3),
                status_code=403,
                **CLAUDE,
            ),
            a_call(path="/api/v1/clusters/120", method="DELETE", created_at=ago(seconds=2)),
        ]
    )
    page = await activity.open()
    await page.locator("#table tbody tr").nth(3).locator("td.duration").click()

    await page.locator(".detail-object button").click()

    await expect(page.locator(PATHS)).to_have_text(
        ["/api/v1/clusters/12", "/api/v1/clusters/12/nodes/7"]
    )
    line = page.locator("#object")
    await expect(line).to_contain_text("Object clusters/12 · 2 changes, 1 refused")
    await expect(line).to_contain_text("with tool deploy, in session of claude-code")
    await line.get_by_role("button", name="Show reads as well").click()
    await expect(page.locator(PATHS)).to_have_count(3)
    await expect(page).to_have_url(re.compile(r"object=clusters%2F12$"))


async def test_the_most_used_lead_to_their_calls(activity: Activity) -> None:
    await activity.store.append(
        [
            *(a_call(path=f"/api/v1/hosts/{n}/logs", **CI) for n in range(3)),
            a_call(path="/api/v1/clusters/12", method="DELETE", **CLAUDE),
        ]
    )
    page = await activity.open()
    await page.get_by_text("Most calls by token, tool, object").click()
    await expect(page.locator(".facet-path_template tbody tr").first).to_contain_text(
        "/api/v1/hosts/{id}/logs"
    )

    await page.locator(".facet-token").get_by_role("button", name="claude-desktop").click()

    await expect(page.locator(PATHS)).to_have_text(["/api/v1/clusters/12"])


async def test_refused_is_not_what_was_not_found(activity: Activity) -> None:
    await activity.store.append(
        [
            a_call(path="/lost", status_code=404),
            a_call(path="/refused", status_code=401, outcome=Outcome.REFUSED),
        ]
    )
    page = await activity.open()
    await expect(page.get_by_role("button", name=re.compile("4xx.*client error"))).to_be_visible()

    await page.get_by_role("button", name=re.compile("^refused")).click()

    await expect(page.locator(PATHS)).to_have_text(["/refused"])


async def test_all_time_is_all_time_and_days_are_those_of_the_shown_zone(
    activity: Activity,
) -> None:
    late = datetime.fromisoformat("2026-02-10T23:30:00+00:00")
    await activity.store.append(
        [a_call(created_at=late), a_call(created_at=late + timedelta(days=9)), a_call()]
    )
    page = await activity.open(timezone_id="Europe/Berlin")
    readout = page.locator(".chart-readout")
    await expect(readout).to_contain_text("3 calls · per ")
    await expect(readout).to_contain_text("all time")

    await page.goto(f"{activity.url}?since=2026-02-01T00:00:00Z&until=2026-03-01T00:00:00Z")
    await expect(readout).to_contain_text("2 calls · per day · 1 Feb, 01:00 to 1 Mar, 01:00")
    await page.get_by_text("Show as table").click()
    days = page.locator(".chart-numbers tbody th")
    await expect(days).to_have_text(["11 Feb", "20 Feb"])
    await page.get_by_label("Times in").select_option("utc")
    await expect(days).to_have_text(["10 Feb", "19 Feb"])
    await expect(page).to_have_url(re.compile("zone=utc"))
    await expect(page.get_by_label("From", exact=True)).to_have_value("2026-02-01T00:00")
    await page.get_by_label("From", exact=True).fill("2026-02-15T00:00:00")
    await page.get_by_label("From", exact=True).blur()
    await expect(page).to_have_url(re.compile("since=2026-02-15T00%3A00%3A00.000Z"))
    await expect(days).to_have_text(["19 Feb"])


async def test_yesterday_is_that_of_the_shown_zone(activity: Activity) -> None:
    now = ago()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    await activity.store.append(
        [
            a_call(path="/yesterday", created_at=midnight - timedelta(minutes=1)),
            a_call(path="/before", created_at=midnight - timedelta(days=1, minutes=1)),
            a_call(path="/today", created_at=now),
        ]
    )
    page = await activity.open("?span=yesterday&zone=utc", timezone_id="Pacific/Kiritimati")

    await expect(page.locator(PATHS)).to_have_text(["/yesterday"])
    await page.get_by_label("Time", exact=True).select_option("today")
    await expect(page.locator(PATHS)).to_have_text(["/today"])
    await expect(page.locator(".chart-readout")).to_contain_text("1 call ·")


async def test_tool_and_duration_are_shown_at_1024_pixels(activity: Activity) -> None:
    await activity.store.append([a_call(tool="deploy")])
    await activity.store.append_invocations([a_tool_call("deploy", client_name="claude-code")])
    wide = {"width": 1024, "height": 768}
    page = await activity.open(viewport=wide)
    for name in ("tool", "duration", "path"):
        await expect(page.locator(f"#table tbody td.{name}")).to_be_visible()
    path = await page.locator("#table tbody td.path").bounding_box()
    assert path is not None
    assert path["width"] > 200

    await page.get_by_role("button", name="Tool calls").click()
    for name in ("tool-name", "duration", "agent"):
        await expect(page.locator(f"#table tbody td.{name}")).to_be_visible()


async def test_a_time_with_am_or_pm_is_shown_whole(activity: Activity) -> None:
    await activity.store.append([a_call()])
    page = await activity.open("?since=2026-11-10T22:10:10Z", locale="en-US")
    field = page.get_by_label("From", exact=True)
    await expect(field).to_be_visible()

    needed, there = await field.evaluate(
        """field => {
            const free = field.cloneNode();
            free.style.cssText = "position: absolute; width: auto; max-width: none";
            field.parentElement.append(free);
            return [free.offsetWidth, field.offsetWidth];
        }"""
    )
    assert there >= needed

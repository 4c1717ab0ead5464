"""Tool calls, and the API calls that they caused."""

import asyncio

import pytest
from msgspec.structs import replace
from playwright.async_api import Route, expect

from audit_log.record import Attribution, Origin, ToolOutcome
from tests.browser.activity import Activity
from tests.browser.trails import a_call, a_gap, a_tool_call, ago, calls_of

pytestmark = pytest.mark.asyncio(loop_scope="session")
LIST = "**/mcp-audit/invocations?*"


async def test_a_tool_call_opens_to_its_api_calls(activity: Activity) -> None:
    invocation = a_tool_call("troubleshoot_workload", api_calls=2)
    await activity.store.append_invocations([invocation])
    await activity.store.append(
        [*calls_of(invocation, "/api/v1/assignments", "/api/v1/logs"), a_call(path="/alone")]
    )
    page = await activity.open("?show=tools")
    await expect(page.locator("#table tbody tr")).to_have_count(1)
    opener = page.get_by_role("button", name="2 API calls of troubleshoot_workload")
    await expect(opener).to_have_attribute("aria-expanded", "false")

    await opener.click()

    made = page.locator("#table tbody tr.made-call")
    await expect(made.locator(".call-made")).to_have_text(
        ["GET /api/v1/assignments", "GET /api/v1/logs"]
    )
    await expect(opener).to_have_attribute("aria-expanded", "true")
    await opener.click()
    await expect(made).to_have_count(0)


async def test_api_calls_after_the_end_of_a_tool_call_are_counted_when_it_is_open(
    activity: Activity,
) -> None:
    invocation = a_tool_call("deploy_workload", api_calls=0)
    await activity.store.append_invocations([invocation])
    await activity.store.append(calls_of(invocation, "/api/v1/assignments"))
    page = await activity.open("?show=tools")

    await page.get_by_role("button", name="0 API calls of deploy_workload").click()
    await expect(page.locator("#table tbody tr.made-call")).to_have_count(1)
    await expect(page.get_by_role("button", name="1 API call of deploy_workload")).to_be_visible()


async def test_inferred_calls_are_marked(activity: Activity) -> None:
    invocation = a_tool_call("list_clusters", api_calls=2)
    [exact] = calls_of(invocation, "/exact")
    [inferred] = calls_of(invocation, "/inferred", attribution=Attribution.INFERRED)
    await activity.store.append_invocations([invocation])
    await activity.store.append([exact, inferred])

    page = await activity.open()
    row = page.locator("#table tbody tr")
    await expect(row.filter(has_text="/inferred").locator(".mark")).to_have_text("inferred")
    await expect(row.filter(has_text="/exact").locator(".mark")).to_have_count(0)
    await page.get_by_role("button", name="Tool calls").click()
    await page.get_by_role("button", name="2 API calls of list_clusters").click()

    await expect(row.filter(has_text="/inferred").locator(".mark")).to_have_text("inferred")
    await expect(row.filter(has_text="/exact").locator(".mark")).to_have_count(0)


async def test_a_tool_that_failed_inside_http_200_shows_as_failed(activity: Activity) -> None:
    invocation = a_tool_call(
        "deploy_workload", outcome=ToolOutcome.TOOL_ERROR, status_code=500, api_calls=1
    )
    await activity.store.append_invocations([invocation])
    await activity.store.append(calls_of(invocation, "/api/v1/workloads/deploy"))

    status = (await activity.open("?show=tools")).locator("#table tbody td.status")

    await expect(status.locator(".is-5xx")).to_have_text("500")
    await expect(status).to_contain_text("tool failed")


async def test_the_details_of_a_call_lead_to_its_tool_call(activity: Activity) -> None:
    one, other = a_tool_call("list_clusters", api_calls=1), a_tool_call("list_clusters")
    await activity.store.append_invocations([one, other])
    await activity.store.append(calls_of(one, "/api/v1/clusters"))
    page = await activity.open()

    await page.locator("td.duration").click()
    await page.get_by_role("button", name="Show its tool call").click()

    await expect(page.locator("#table tbody tr.tool-call")).to_have_count(1)
    await expect(page.locator("#table tbody tr.made-call")).to_contain_text("/api/v1/clusters")
    await expect(page.get_by_role("button", name="Tool calls")).to_have_attribute(
        "aria-pressed", "true"
    )


async def test_tool_calls_are_narrowed_by_tool_and_outcome(activity: Activity) -> None:
    await activity.store.append_invocations(
        [
            a_tool_call("list_clusters"),
            a_tool_call("list_hosts", outcome=ToolOutcome.TOOL_ERROR, status_code=500),
            a_tool_call("list_hosts", origin=Origin.HUB),
        ]
    )
    page = await activity.open("?show=tools")
    names = page.locator("#table tbody td.tool-name")
    await expect(names).to_have_count(3)

    await (
        page.locator("#table tbody")
        .get_by_role("button", name="list_hosts", exact=True)
        .first.click()
    )
    await expect(names).to_have_count(2)
    await page.get_by_label("Outcome").select_option("tool_error")

    await expect(names).to_have_text(["list_hosts"])


async def test_a_tool_call_appears_as_it_is_written(activity: Activity) -> None:
    page = await activity.open("?show=tools")
    await expect(page.get_by_role("heading", name="No tool calls yet")).to_be_visible()
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")

    invocation = a_tool_call("list_clusters", api_calls=1)
    await activity.store.append_invocations([invocation])
    await activity.store.append(calls_of(invocation, "/api/v1/clusters"))

    await expect(page.locator("#table tbody tr.tool-call")).to_have_count(1)


async def test_a_tool_call_that_waits_is_shown_as_it_goes_on(activity: Activity) -> None:
    waits = a_tool_call("delete_host", outcome=ToolOutcome.ASKED, status_code=202)
    works = a_tool_call("migrate", outcome=ToolOutcome.WORKING, status_code=202)
    await activity.store.append_invocations([waits, works])
    page = await activity.open("?show=tools")
    status = page.locator("#table tbody td.status")
    await expect(status).to_contain_text(["works as a task", "waits for the client"])

    declined = replace(waits, outcome=ToolOutcome.DECLINED, status_code=403, rounds=2)
    await activity.store.append_invocations([declined, replace(works, outcome=ToolOutcome.ASKED)])
    await activity.store.append([a_call()])  # an arrival is a reason to ask
    await expect(status).to_contain_text(["waits for the client", "declined by the client"])


async def test_a_tool_call_that_ends_while_rows_are_held_is_shown_as_it_ended(
    activity: Activity,
) -> None:
    await activity.store.append_invocations([a_tool_call("list_hosts")])
    page = await activity.open("?show=tools")
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    await page.locator("#table tbody tr").hover()
    await page.route(LIST, lambda route: route.abort())  # the page has what arrives alone
    waits = a_tool_call("deploy", outcome=ToolOutcome.ASKED, status_code=202)
    await activity.store.append_invocations([waits])
    await expect(page.locator("#arrivals")).to_have_text("1 new call")
    await activity.store.append_invocations([replace(waits, outcome=ToolOutcome.OK)])
    # What comes after it tells that it has come.
    await activity.store.append_invocations([a_tool_call("scale")])
    await expect(page.locator("#arrivals")).to_have_text("2 new calls")

    await page.locator("#arrivals").click()
    await expect(page.locator("#table tbody td.tool-name")).to_have_count(3)
    await expect(page.locator("#table tbody td.status")).to_contain_text(["ok", "ok", "ok"])


async def test_a_list_that_was_asked_for_before_a_tool_call_ended_does_not_take_it_back(
    activity: Activity,
) -> None:
    waits = a_tool_call("deploy", outcome=ToolOutcome.ASKED, status_code=202)
    await activity.store.append_invocations([waits])
    page = await activity.open("?show=tools")
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    status = page.locator("#table tbody td.status")
    await expect(status).to_contain_text(["waits for the client"])
    has_answer, may_arrive = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        has_answer.set()
        await may_arrive.wait()
        await route.fulfill(response=answer)

    await page.route(LIST, late)
    await activity.store.append_gaps([a_gap(ago(minutes=3), ago(minutes=2))])  # a reason to ask
    await has_answer.wait()
    await activity.store.append_invocations([replace(waits, outcome=ToolOutcome.OK)])
    await expect(status).to_contain_text(["ok"])

    may_arrive.set()
    await expect(page.locator("#table tbody tr.gap")).to_have_count(1)
    assert "ok" in await status.inner_text()  # at that moment: the next list would mend it


async def test_a_tool_call_that_goes_on_leaves_the_list_of_those_that_wait(
    activity: Activity,
) -> None:
    waits, other = (
        a_tool_call(tool, outcome=ToolOutcome.ASKED, status_code=202) for tool in ("one", "other")
    )
    await activity.store.append_invocations([waits, other])
    page = await activity.open("?show=tools&outcome=asked")
    tools = page.locator("#table tbody td.tool-name")
    await expect(tools).to_have_text(["other", "one"])

    await activity.store.append_invocations([replace(waits, outcome=ToolOutcome.OK)])
    await activity.store.append([a_call()])
    await expect(tools).to_have_text(["other"])

"""Agents on the page: who called a tool, and one session from its first call to its last."""

import re
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace
from playwright.async_api import expect

from audit_log.record import new_record_id
from tests.browser.activity import Activity
from tests.browser.trails import a_call, a_tool_call, ago, calls_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


SESSION = uuid4()
PULSE_MS = 15_000
"""So often the page asks for what is beside its rows."""
SHOWN = "claude-code\\u202e 2.1.7"
MINE: dict[str, Any] = {
    "session": SESSION,
    "client_name": "claude-code\u202e",
    "client_version": "2.1.7",
    "protocol_version": "2025-11-25",
    "user_agent": "claude-code/2.1.7 (cli)",
    "principal": "anna@example.org",
    "claims": {"com.example/run": "r-7\u202e", "step": 3},
}


async def test_an_agent_is_told_and_leads_to_its_session(activity: Activity) -> None:
    first = a_tool_call("list_clusters", api_calls=1, created_at=ago(minutes=9), **MINE)
    last = a_tool_call("list_hosts", created_at=ago(minutes=1), **MINE)
    other = a_tool_call("list_hosts", client_name="cursor", session=uuid4())
    modern = a_tool_call("list_hosts", client_name="agent")
    await activity.store.append_invocations([first, last, other, modern])
    await activity.store.append([*calls_of(first, "/api/v1/clusters"), a_call(path="/alone")])
    page = await activity.open("?show=tools")
    agents = page.locator("#table tbody td.agent")
    await expect(agents).to_have_text(["agent", "cursor", SHOWN, SHOWN])

    await agents.get_by_role("button", name=SHOWN).first.click()
    await expect(agents).to_have_text([SHOWN, SHOWN])
    line = page.locator("#agent-session")
    await expect(line).to_contain_text(f"Session of {SHOWN}, token claude-desktop, between")
    await expect(line).to_contain_text("2 tool calls (0 failed), 1 API call")

    await page.get_by_role("button", name="API calls", exact=True).click()
    rows = page.locator("#table tbody tr")
    await expect(rows).to_have_count(1)
    await expect(line).to_be_visible()
    await page.locator("td.duration").click()
    await expect(page.locator("#details .detail-client_name")).to_have_text(SHOWN)
    await expect(page.locator("#details .detail-session")).to_have_text(str(SESSION))

    await page.get_by_role("button", name="anna@example.org").click()
    await expect(rows).to_have_count(1)
    await page.get_by_role("button", name="Tool calls", exact=True).click()
    await agents.locator("..").first.locator("button.when").click()
    claims = page.locator("#details .detail-claims")
    await expect(claims).to_have_text("step: 3 com.example/run: r-7\\u202e")


async def test_the_versions_of_an_agent_and_of_its_protocol_lead_to_the_same(
    activity: Activity,
) -> None:
    mine = a_tool_call("list_hosts", created_at=ago(minutes=1), **MINE)
    others = MINE | {"client_version": "2.2.0", "protocol_version": "2025-06-18"}
    await activity.store.append_invocations([mine, a_tool_call("list_hosts", **others)])
    page = await activity.open("?show=tools")
    rows = page.locator("#table tbody tr")
    await expect(rows).to_have_count(2)

    for name, value in (("protocol_version", "2025-11-25"), ("client_version", "2.1.7")):
        await rows.last.locator("button.when").click()
        await page.locator(f"#details .detail-{name} button").click()
        await expect(rows).to_have_count(1)
        await expect(page.locator(".chip-value")).to_have_text(value)
        await page.locator(".chip").click()
        await expect(rows).to_have_count(2)

    await page.get_by_text("Columns").click()
    await page.get_by_label("MCP version", exact=True).check()
    versions = page.locator("#table tbody td.extra-protocol_version")
    await expect(versions).to_have_text(["2025-06-18", "2025-11-25"])


async def test_calls_of_a_session_appear_when_their_tool_call_is_known(activity: Activity) -> None:
    await activity.store.append_invocations([a_tool_call("list_clusters", **MINE)])
    page = await activity.open(f"?session={SESSION}")
    await expect(page.locator("#agent-session")).to_contain_text("1 tool call (0 failed)")
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")

    call = a_tool_call("deploy", api_calls=1, **MINE)
    await activity.store.append_invocations([call])
    await activity.store.append([*calls_of(call, "/api/v1/workloads"), a_call(path="/alone")])

    rows = page.locator("#table tbody tr")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("/api/v1/workloads")
    await expect(page.locator("#agent-session")).to_contain_text("2 tool calls")
    await page.get_by_role("button", name="Remove filter: session").click()
    await expect(page.locator("#agent-session")).to_be_hidden()
    await expect(rows).to_have_count(2)


async def test_sessions_are_listed_and_lead_to_their_tool_calls(activity: Activity) -> None:
    older = a_tool_call(
        "list_hosts", client_name="cursor", session=uuid4(), created_at=ago(hours=1)
    )
    await activity.store.append_invocations([older, a_tool_call("list_clusters", **MINE)])
    page = await activity.blank()
    await page.clock.install()
    await activity.sign_in(page)
    await page.goto(f"{activity.url}?show=tools")
    await expect(page.locator("#table tbody tr")).to_have_count(2)
    await page.locator("#sessions summary").click()
    rows = page.locator("#sessions-table tbody tr")
    await expect(rows).to_have_text(
        [
            re.compile(r"^claude-code.*2.1.7.*claude-desktop1 call.0 calls$"),
            re.compile("^cursor1 h"),
        ]
    )

    await activity.store.append_invocations([replace(older, id=new_record_id(), created_at=ago())])
    await page.clock.fast_forward(PULSE_MS)
    await expect(rows).to_have_text([re.compile("^cursor.*2 calls"), re.compile("^claude-code")])
    await rows.get_by_role("button", name="cursor").click()
    await expect(page.locator("#table tbody tr")).to_have_count(2)
    await expect(page.locator("#agent-session")).to_contain_text("Session of cursor")
    await expect(page.locator("#sessions")).to_be_hidden()

    await page.goto(f"{activity.url}?show=tools&tool=list_clusters")
    await page.locator("#sessions summary").click()
    await expect(rows).to_have_count(1)
    await page.get_by_role("button", name="API calls", exact=True).click()
    await expect(page.locator("#sessions")).to_be_hidden()


async def test_the_details_of_a_call_tell_who_has_its_token(activity: Activity) -> None:
    token, _ = await activity.tokens.create("laptop", "operator", 90, "anna", "her laptop")
    call = a_call(token_id=token.id, token_name="laptop")
    await activity.store.append([call, a_call(path="/of/another")])
    page = await activity.open(f"?entry={call.id}")

    details = page.locator("#details")
    await expect(details.locator(".token-owner")).to_have_text("anna")
    await expect(details.locator(".token-description")).to_have_text("her laptop")
    await expect(details.locator(".token-role")).to_have_text("operator")
    await expect(details.locator(".token-expires_at")).to_be_visible()
    await page.locator("tr", has_text="/of/another").locator("button.when").click()
    await expect(details).to_contain_text("/of/another")
    await expect(details.locator(".detail-token")).to_have_count(0)

"""The filter in use as a rule: what to paste, and how often it would have fired."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from audit_api.client.audit_client import TOOL_CALLS
from audit_api.rules.rule import Rule
from audit_api.rules.rules_file import read_rules
from tests.browser.activity import NARROW, Activity
from tests.browser.test_page_for_everyone import complaints_of_axe
from tests.browser.trails import a_call, a_tool_call, ago

pytestmark = pytest.mark.asyncio(loop_scope="session")


def panel(page: Page) -> Locator:
    return page.locator("#rule")


async def rule_of(page: Page, folder: Path) -> Rule:
    """Return the rule that the page shows, as the push would read it."""
    path = folder / "rules.toml"
    path.write_text(await page.get_by_label("The rule in TOML").input_value())
    [rule] = read_rules(path)
    return rule


async def test_the_filter_in_use_is_a_rule_with_how_often_it_would_have_fired(
    activity: Activity, tmp_path: Path
) -> None:
    deletion = {"method": "DELETE", "path": "/api/v1/clusters/12"}
    await activity.store.append(
        [
            *(a_call(created_at=ago(days=days), **deletion) for days in (1, 2, 6, 8)),
            a_call(method="DELETE", path="/api/v1/hosts/1"),
            a_call(path='/odd "path" \\ here'),
        ]
    )
    await activity.store.append_invocations([a_tool_call("deploy"), a_tool_call("list_hosts")])
    page = await activity.open()
    await expect(page.locator("#table tbody tr").first).to_be_visible()
    await expect(panel(page)).to_be_hidden()

    await page.goto(f"{activity.url}?since=2026-01-01T00:00:00Z&method=DELETE&object=clusters/12")
    await panel(page).get_by_text("As a rule").click()
    verdict = panel(page).get_by_role("status")
    await expect(verdict).to_have_text("It would have fired 3 times in the last 7 days.")
    rule = await rule_of(page, tmp_path)
    assert (rule.name, rule.of) == ("delete-clusters-12", "")
    assert rule.filters == {"method": "DELETE", "object": "clusters/12"}

    await page.get_by_role("button", name="Remove filter: object clusters/12").click()
    await expect(verdict).to_have_text("It would have fired 4 times in the last 7 days.")
    assert (await rule_of(page, tmp_path)).filters == {"method": "DELETE"}

    await page.goto(f"{activity.url}?show=tools&tool=deploy&duration_ms>=0")
    await panel(page).get_by_text("As a rule").click()
    await expect(verdict).to_have_text("It would have fired 1 time in the last 7 days.")
    rule = await rule_of(page, tmp_path)
    assert (rule.of, rule.filters) == (TOOL_CALLS, {"tool": "deploy", "duration_ms>": "0"})

    await page.goto(f'{activity.url}?path=/odd "path" \\ here')
    await panel(page).get_by_text("As a rule").click()
    await expect(verdict).to_have_text("It would have fired 1 time in the last 7 days.")
    assert (await rule_of(page, tmp_path)).filters == {"path": '/odd "path" \\ here'}


async def test_calls_by_agent_make_no_rule_and_the_page_says_which_do(activity: Activity) -> None:
    await activity.store.append([a_call()])
    page = await activity.open("?client_name=claude-code")

    await panel(page).get_by_text("As a rule").click()

    await expect(panel(page).get_by_role("status")).to_have_text(
        "Rules by the agent are about tool calls: show those to make one."
    )
    await expect(page.get_by_label("The rule in TOML")).to_be_hidden()


async def test_a_rule_is_copied_and_fits_a_telephone(activity: Activity) -> None:
    await activity.store.append([a_call(method="POST")])
    page = await activity.open(
        "?method=POST&refused=false", viewport=NARROW, permissions=["clipboard-write"]
    )

    await panel(page).get_by_text("As a rule").click()
    await expect(panel(page).get_by_role("status")).to_contain_text("1 time")
    await expect(page.get_by_label("The rule in TOML")).to_have_value(
        re.compile("post-not-refused")
    )
    await panel(page).get_by_role("button", name="Copy").click()

    await expect(panel(page).get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    assert await complaints_of_axe(page) == []

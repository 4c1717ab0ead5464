"""What the page shows of the audit log."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import expect

from audit_log.record import Outcome
from tests.browser.activity import Activity
from tests.browser.trails import CI, CLAUDE, a_call, a_gap, ago

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_shows_the_documented_fields_of_a_call(activity: Activity) -> None:
    await activity.store.append([a_call(created_at=ago(minutes=5), method="POST")])

    page = await activity.open()
    row = page.locator("#table tbody tr[data-id]")

    await expect(row).to_have_count(1)
    await expect(row.locator("td.time time")).to_have_text("5 min ago")
    await expect(row.locator("td.token")).to_have_text("claude-desktop")
    await expect(row.locator("td.method")).to_have_text("POST")
    await expect(row.locator("td.path")).to_have_text("/api/v1/clusters")
    await expect(row.locator("td.status .badge")).to_have_text("200")


async def test_the_exact_time_is_a_hover_away(activity: Activity) -> None:
    moment = datetime(2026, 2, 28, 3, 42, 7, 250_000, tzinfo=UTC)
    await activity.store.append([a_call(created_at=moment)])

    time = (await activity.open()).locator("td.time time")

    await expect(time).to_have_attribute("datetime", moment.isoformat())
    await expect(time).to_have_attribute("title", "28 Feb 2026, 03:42:07.250 GMT+0")


async def test_a_status_has_its_colour_and_words(activity: Activity) -> None:
    expected = [
        (204, Outcome.COMPLETED, "2xx", "no content"),
        (401, Outcome.REFUSED, "4xx", "refused by the sidecar"),
        (404, Outcome.COMPLETED, "4xx", "not found"),
        (502, Outcome.UPSTREAM_UNREACHABLE, "5xx", "API unreachable"),
        (304, Outcome.COMPLETED, "3xx", "not modified"),
        (0, Outcome.INTERRUPTED, "other", "result unknown"),
    ]
    await activity.store.append(
        [a_call(status_code=status, outcome=outcome) for status, outcome, *_ in expected]
    )

    page = await activity.open()

    for status, _, name, words in expected:
        badge = page.locator(f"#table .badge.is-{name}").get_by_text(str(status), exact=True)
        await expect(badge).to_be_visible()
        await expect(badge.locator("xpath=..")).to_contain_text(words)


async def test_success_is_green_refusal_yellow_failure_red_and_all_else_grey(
    activity: Activity,
) -> None:
    statuses = (200, 304, 404, 502, 0)
    await activity.store.append([a_call(status_code=status) for status in statuses])

    page = await activity.open()
    hues = {}
    for status in statuses:
        badge = page.get_by_role("button", name=str(status), exact=True)
        colour = await badge.evaluate("badge => getComputedStyle(badge).backgroundColor")
        red, green, blue = (int(part) for part in colour.strip("rgb()").split(","))
        hues[status] = (green > red > 0 and green > blue, red > blue, red - green > 15)

    assert hues[200] == (True, False, False)
    assert hues[404] == (False, True, False)
    assert hues[502][2]
    assert hues[304] == hues[0] == (False, False, False)


async def test_the_token_is_a_question_only_when_there_are_several(activity: Activity) -> None:
    await activity.store.append([a_call(**CLAUDE), a_call(**CLAUDE)])
    page = await activity.open()
    tokens = page.get_by_label("Token", exact=True)
    await expect(page.locator("#table tbody tr")).to_have_count(2)
    await expect(page.locator("#chart")).to_be_visible()
    await expect(tokens).to_be_hidden()

    await activity.store.append([a_call(**CI)])

    await expect(tokens).to_be_visible()
    await expect(tokens.locator("option")).to_have_text(
        ["All tokens", "ci-pipeline", "claude-desktop"]
    )


async def test_a_gap_is_shown_where_the_records_are_missing(activity: Activity) -> None:
    await activity.store.append([a_call(path="/later"), a_call(created_at=ago(hours=1))])
    starts = (ago(minutes=20), ago(minutes=30), ago(hours=3))
    await activity.store.append_gaps(
        [
            a_gap(start, start + timedelta(seconds=9), count=count)
            for start, count in zip(starts, (37, None, 1), strict=True)
        ]
    )

    rows = (await activity.open()).locator("#table tbody tr")

    await expect(rows).to_have_text(
        [
            re.compile("/later"),
            re.compile("37 records missing between .* and .*journal full, sidecar-1"),
            re.compile("^Records missing between"),
            re.compile("/api/v1/clusters"),
            re.compile("1 record missing between"),
        ]
    )


async def test_an_empty_log_says_how_to_make_the_first_entry(activity: Activity) -> None:
    page = await activity.open()

    await expect(page.get_by_role("heading", name="No calls yet")).to_be_visible()
    await expect(page.locator(".command code")).to_contain_text('curl -H "Authorization: Bearer')


async def test_older_calls_come_page_by_page(activity: Activity) -> None:
    await activity.store.append([a_call(created_at=ago(seconds=number)) for number in range(130)])
    page = await activity.open()
    rows = page.locator("#table tbody tr")
    await expect(rows).to_have_count(100)

    await page.get_by_role("button", name="Show older calls").click()

    await expect(rows).to_have_count(130)
    await expect(page.get_by_role("button", name="Show older calls")).to_be_hidden()


async def test_the_chart_says_in_words_and_numbers_what_it_draws(activity: Activity) -> None:
    await activity.store.append([a_call(), a_call(), a_call(status_code=404)])

    page = await activity.open()
    chart = page.get_by_role("img")

    await expect(chart).to_have_attribute(
        "aria-label", re.compile("2 success .2xx., 1 client error")
    )
    await page.get_by_text("Show as table").click()
    cells = page.locator(".chart-numbers tbody tr").first.locator("td")
    await expect(cells).to_have_text(["2", "0", "1", "0", "0"])


async def test_details_tell_all_that_is_known(activity: Activity) -> None:
    call = a_call(user_agent="curl/8", request_id="req-7", client_ip="2001:db8::7")
    await activity.store.append([call])
    page = await activity.open()

    await page.locator("td.duration").click()
    details = page.get_by_role("dialog", name="API call")

    for words in ("curl/8", "req-7", "2001:db8::7", str(call.id), str(call.token_id), "sidecar-1"):
        await expect(details).to_contain_text(words)
    await page.get_by_role("button", name="Close details").click()
    await expect(details).to_be_hidden()


async def test_a_call_can_be_copied_as_text(activity: Activity) -> None:
    await activity.store.append([a_call(path="/api/v1/hosts")])
    page = await activity.open(permissions=["clipboard-read", "clipboard-write"])

    await page.locator("td.duration").click()
    await page.get_by_role("button", name="Copy as text").click()

    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    text = await page.evaluate("navigator.clipboard.readText()")
    assert "Path: /api/v1/hosts\n" in text
    assert "Status: 200\n" in text


async def test_calls_that_are_dated_in_the_future_are_counted_and_shown_when_asked_for(
    activity: Activity,
) -> None:
    in_2040 = datetime(2040, 1, 1, tzinfo=UTC)
    await activity.store.append([a_call(path="/ahead", created_at=in_2040), a_call(path="/now")])
    page = await activity.open()
    paths, future = page.locator("#table tbody td.path"), page.locator("#future")

    await expect(paths).to_have_text(["/now"])
    await expect(future).to_contain_text(
        "1 call is dated in the future: its sidecar's clock was ahead."
    )
    await page.get_by_role("button", name="Show them").click()
    await expect(paths).to_have_text(["/ahead"])
    await expect(future).to_be_hidden()
    await expect(page.locator("#chips")).to_contain_text("clock ahead true")

    await page.locator("td.duration").click()
    details = page.get_by_role("dialog", name="API call")
    await expect(details.locator(".detail-created_at .mark")).to_have_text(
        re.compile(r"^The sidecar's clock was ahead by [0-9,]+ days or more$")
    )
    await expect(details.locator(".detail-arrived_at")).to_contain_text(f"{datetime.now(UTC):%Y}")


async def test_details_of_a_call_of_a_right_clock_tell_its_arrival_alone(
    activity: Activity,
) -> None:
    await activity.store.append([a_call()])
    page = await activity.open()

    await page.locator("td.duration").click()
    details = page.get_by_role("dialog", name="API call")
    await expect(details.locator(".detail-arrived_at time")).to_be_visible()
    await expect(details.locator(".mark")).to_have_count(0)

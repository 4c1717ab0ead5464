"""How a reader narrows what the page shows, and shares it."""

import re

import pytest
from playwright.async_api import expect

from audit_log.record import Outcome
from tests.browser.activity import Activity
from tests.browser.trails import CI, CLAUDE, a_call, ago

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_pressing_a_value_shows_only_calls_that_have_it(activity: Activity) -> None:
    await activity.store.append(
        [
            a_call(created_at=ago(seconds=3), method="POST", path="/a", **CLAUDE),
            a_call(created_at=ago(seconds=2), method="POST", path="/b", **CI),
            a_call(created_at=ago(seconds=1), method="GET", path="/c", **CI),
        ]
    )
    page = await activity.open()

    await page.locator("#table tbody").get_by_role("button", name="ci-pipeline").first.click()
    await expect(page.locator("#table tbody td.path")).to_have_text(["/c", "/b"])
    await page.locator("#table tbody").get_by_role("button", name="POST", exact=True).click()

    await expect(page.locator("#table tbody td.path")).to_have_text(["/b"])
    await expect(page).to_have_url(re.compile(f"token_id={CI['token_id']}.*method=POST"))


async def test_a_view_is_shared_by_its_address(activity: Activity) -> None:
    expected = {
        "?method=DELETE": "/api/v1/hosts/9",
        "?status=5xx": "/api/v1/slow",
        "?status=404": "/api/v1/lost",
        "?path=/api/v1/hosts": "/api/v1/hosts/9",
        "?path=*slow": "/api/v1/slow",
        "?outcome=upstream_timed_out": "/api/v1/slow",
        "?tool=list_clusters": "/api/v1/tooled",
        "?client_ip=192.0.2.0/24": "/api/v1/far",
        "?span=15m&method=PATCH": "/api/v1/recent",
    }
    await activity.store.append(
        [
            a_call(method="DELETE", path="/api/v1/hosts/9"),
            a_call(path="/api/v1/slow", status_code=504, outcome=Outcome.UPSTREAM_TIMED_OUT),
            a_call(path="/api/v1/lost", status_code=404),
            a_call(path="/api/v1/tooled", tool="list_clusters"),
            a_call(path="/api/v1/far", client_ip="192.0.2.77"),
            a_call(path="/api/v1/recent", method="PATCH"),
            a_call(path="/api/v1/old", method="PATCH", created_at=ago(hours=2)),
        ]
    )
    page = await activity.open()

    for search, path in expected.items():
        await page.goto(f"{activity.url}{search}")
        await expect(page.locator("#table tbody td.path")).to_have_text([path])


async def test_the_controls_set_filters_and_chips_take_them_away(activity: Activity) -> None:
    await activity.store.append([a_call(path="/a"), a_call(path="/b", status_code=403)])
    page = await activity.open()

    await page.get_by_label("Status", exact=True).select_option("4xx")
    await expect(page.locator("#table tbody td.path")).to_have_text(["/b"])
    await page.get_by_label("Path", exact=True).fill("/nowhere")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="No calls match these filters")).to_be_visible()
    await page.get_by_role("button", name="Remove filter: path /nowhere").click()
    await expect(page.locator("#table tbody td.path")).to_have_text(["/b"])
    await page.get_by_role("button", name="Remove filter: status 4xx").click()

    await expect(page.locator("#table tbody td.path")).to_have_count(2)
    await expect(page).to_have_url(activity.url)


async def test_unknown_tokens_are_offered_as_one_beside_every_known_one(
    activity: Activity,
) -> None:
    await activity.store.append(
        [
            a_call(created_at=ago(hours=1), path="/old", **CLAUDE),
            a_call(created_at=ago(minutes=50), path="/ci", **CI),
            *(
                a_call(
                    token_id=None,
                    token_name=f"Unknown token ({number:08x})",
                    path="/guess",
                    status_code=401,
                    outcome=Outcome.REFUSED,
                )
                for number in range(2_500)
            ),
        ]
    )
    page = await activity.open()
    tokens = page.get_by_label("Token", exact=True)
    await expect(tokens.locator("option")).to_have_text(
        ["All tokens", "Unknown tokens (2,500)", "ci-pipeline", "claude-desktop"]
    )

    await tokens.select_option("Unknown tokens (2,500)")
    await expect(page).to_have_url(re.compile(r"\?unknown_tokens=true$"))
    await expect(page.locator("#table tbody td.path").first).to_have_text("/guess")
    await tokens.select_option("claude-desktop")
    await expect(page.locator("#table tbody td.path")).to_have_text(["/old"])
    await page.goto(f"{activity.url}?unknown_tokens=false")
    await expect(page.locator("#table tbody td.path")).to_have_text(["/ci", "/old"])
    await page.get_by_role("button", name="Remove filter: token all but unknown tokens").click()

    await expect(page.locator("#table tbody td.path").first).to_have_text("/guess")


async def test_an_unknown_token_that_arrives_joins_the_others(activity: Activity) -> None:
    await activity.store.append([a_call(created_at=ago(minutes=1), path="/known", **CLAUDE)])
    page = await activity.open()
    await expect(page.locator("#table tbody td.path")).to_have_text(["/known"])
    for number in range(2):
        guess = {"token_id": None, "token_name": f"Unknown token (0000000{number})"}
        await activity.store.append([a_call(path=f"/guess/{number}", **guess)])
        await expect(page.locator("#table tbody td.path").first).to_have_text(f"/guess/{number}")

    # With their number or without it: that is known once the tokens are asked for again.
    await expect(page.get_by_label("Token", exact=True).locator("option")).to_have_text(
        ["All tokens", re.compile(r"^Unknown tokens( \(\d\))?$"), "claude-desktop"]
    )


async def test_back_and_forward_go_through_the_views(activity: Activity) -> None:
    await activity.store.append([a_call(method="PUT", path="/a"), a_call(path="/b")])
    page = await activity.open()
    await page.locator("#table tbody").get_by_role("button", name="PUT", exact=True).click()
    await expect(page.locator("#table tbody td.path")).to_have_text(["/a"])

    await page.go_back()
    await expect(page.locator("#table tbody td.path")).to_have_count(2)
    await expect(page.get_by_label("Method", exact=True)).to_have_value("")
    await page.go_forward()

    await expect(page.locator("#table tbody td.path")).to_have_text(["/a"])
    await expect(page.get_by_label("Method", exact=True)).to_have_value("PUT")


async def test_dragging_over_the_chart_narrows_the_time(activity: Activity) -> None:
    await activity.store.append(
        [a_call(path="/new"), a_call(path="/old", created_at=ago(hours=9))]
    )
    page = await activity.open()
    chart = page.get_by_role("img", name=re.compile("Calls per hour"))
    await expect(chart).to_be_visible()
    box = await chart.bounding_box()
    assert box is not None

    await page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 40)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 40)
    await page.mouse.up()

    await expect(page.locator("#table tbody td.path")).to_have_text(["/new"])
    await expect(page).to_have_url(re.compile("since=.*until="))


async def test_the_legend_of_the_chart_narrows_by_status(activity: Activity) -> None:
    await activity.store.append([a_call(path="/a"), a_call(path="/b", status_code=502)])
    page = await activity.open()

    await page.get_by_role("button", name=re.compile("5xx")).click()

    await expect(page.locator("#table tbody td.path")).to_have_text(["/b"])


async def test_downloads_hold_what_is_shown(activity: Activity) -> None:
    await activity.store.append([a_call(path="/a", method="PUT"), a_call(path="/b")])
    page = await activity.open("?method=PUT")
    await expect(page.locator("#table tbody td.path")).to_have_text(["/a"])

    for name in ("CSV", "NDJSON"):
        async with page.expect_download() as download:
            await page.get_by_role("link", name=f"Download these calls as {name}").click()
        text = (await (await download.value).path()).read_text()
        assert "/a" in text
        assert "/b" not in text


async def test_a_filter_that_means_nothing_is_named_not_ignored(activity: Activity) -> None:
    await activity.store.append([a_call()])
    page = await activity.open("?stauts=4xx")

    await expect(page.locator(".trouble")).to_contain_text("stauts")
    await page.get_by_role("button", name="Clear all filters").click()

    await expect(page.locator("#table tbody tr")).to_have_count(1)


async def test_details_have_an_address_and_back_closes_them(activity: Activity) -> None:
    call = a_call(request_id="req-1")
    await activity.store.append([call])
    page = await activity.open()
    await page.locator("td.duration").click()
    details = page.get_by_role("dialog")
    await expect(details).to_contain_text("req-1")
    await expect(page).to_have_url(re.compile(f"entry={call.id}"))

    other = await activity.open(f"?entry={call.id}")
    await expect(other.get_by_role("dialog")).to_contain_text("req-1")
    await page.go_back()

    await expect(details).to_be_hidden()

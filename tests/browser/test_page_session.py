"""Signing in and out."""

import pytest
from playwright.async_api import expect

from audit_api.client.audit_client import open_client
from tests.browser.activity import Activity
from tests.browser.trails import a_call

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_stranger_signs_in_with_a_token_and_sees_the_log(activity: Activity) -> None:
    await activity.store.append([a_call()])
    page = await activity.blank()
    await page.goto(activity.url)
    token = page.get_by_label("MCP token")
    await expect(token).to_be_focused()
    await expect(page.locator("#log")).to_be_hidden()

    await token.fill(await activity.secret())
    await page.get_by_role("button", name="Sign in").click()

    await expect(page.locator("#table tbody tr")).to_have_count(1)
    await expect(page.get_by_text("ops-laptop (admin)")).to_be_visible()
    [cookie] = await page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")


async def test_the_session_outlives_the_page(activity: Activity) -> None:
    await activity.store.append([a_call()])
    page = await activity.open()
    await expect(page.locator("#table tbody tr")).to_have_count(1)

    await page.reload()

    await expect(page.locator("#table tbody tr")).to_have_count(1)


@pytest.mark.parametrize(
    ("role", "words"),
    [(None, "Invalid credentials"), ("viewer", "role may not read the audit log")],
)
async def test_a_token_that_may_not_read_is_told_so(
    activity: Activity, role: str | None, words: str
) -> None:
    page = await activity.blank()
    await page.goto(activity.url)
    token = page.get_by_label("MCP token")

    await token.fill(await activity.secret(role) if role else "pwm_nobody-knows-this")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible()
    await expect(token).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("#log")).to_be_hidden()


async def test_signing_out_ends_the_session_and_shows_nothing_more(activity: Activity) -> None:
    await activity.store.append([a_call()])
    page = await activity.open()
    await expect(page.locator("#table tbody tr")).to_have_count(1)

    await page.get_by_role("button", name="Sign out").click()

    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(page.locator("#table tbody tr")).to_have_count(0)
    assert await page.context.cookies() == []


async def test_a_revoked_token_leads_back_to_the_sign_in_by_itself(activity: Activity) -> None:
    await activity.store.append([a_call()])
    page = await activity.open()
    await expect(page.locator("#table tbody tr")).to_have_count(1)
    for token in await activity.tokens.list():
        await activity.tokens.revoke(token.id)

    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=30_000)
    await expect(page.get_by_text("The session has ended.")).to_be_visible()


async def test_the_address_keeps_its_filters_through_the_sign_in(activity: Activity) -> None:
    await activity.store.append([a_call(path="/a"), a_call(path="/b", method="PUT")])
    page = await activity.blank()
    await page.goto(f"{activity.url}?method=PUT")

    await page.get_by_label("MCP token").fill(await activity.secret())
    await page.keyboard.press("Enter")

    await expect(page.locator("#table tbody td.path")).to_have_text(["/b"])


async def linked(activity: Activity, secret: str) -> str:
    async with open_client(activity.api_url, secret) as client:
        link, _ = await client.sign_in_link()
    return link


async def test_a_link_signs_in_once_and_leaves_the_address_at_once(activity: Activity) -> None:
    await activity.store.append([a_call(path="/a"), a_call(path="/b", method="PUT")])
    link = await linked(activity, await activity.secret())
    code = link.partition("#sign-in=")[2]
    page, other = await activity.blank(), await activity.blank()

    await page.goto(link.replace("#", "?method=PUT#"))
    await expect(page.locator("#table tbody td.path")).to_have_text(["/b"])
    assert page.url == f"{activity.url}?method=PUT"
    await page.reload()
    await expect(page.get_by_text("ops-laptop (admin)")).to_be_visible()
    await other.goto(link)

    await expect(other.get_by_role("alert").filter(has_text="link was used")).to_be_visible()
    await expect(other.get_by_label("MCP token")).to_be_focused()
    assert other.url == activity.url
    assert [url for url in activity.requests if code in url.partition("#")[0]] == []


async def test_a_link_pasted_into_the_open_page_signs_in(activity: Activity) -> None:
    await activity.store.append([a_call()])
    page = await activity.blank()
    await page.goto(activity.url)
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    await page.goto(await linked(activity, await activity.secret()))

    await expect(page.locator("#table tbody tr")).to_have_count(1)
    assert page.url == activity.url


async def test_a_strangers_link_does_not_make_the_reader_somebody_else(
    activity: Activity,
) -> None:
    page = await activity.open()
    await expect(page.get_by_text("ops-laptop (admin)")).to_be_visible()
    link = await linked(activity, await activity.secret(name="stranger"))

    await page.goto("about:blank")
    await page.goto(link)

    await expect(page.get_by_text("ops-laptop (admin)")).to_be_visible()
    assert page.url == activity.url

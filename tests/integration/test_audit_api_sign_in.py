"""Sessions of the Activity Log page: traded for a token, kept in a cookie, ended at will."""

import pytest
from aiohttp import ClientSession, CookieJar
from yarl import URL

from audit_api.access.sessions import COOKIE
from audit_log.postgres.token_table import TokenTable
from tests.neighbours.audit_api import ALL, serving_audit_api

SESSION = "/settings/mcp/activity/session"
LINK = f"{SESSION}/link"
OUR_PAGE = {"X-Requested-With": "activity-log"}


@pytest.fixture(scope="module")
def database_url(module_database_url):
    return module_database_url


@pytest.fixture
async def api(database_url, database):
    async with serving_audit_api(database_url, session_secret="s" * 32) as client:
        yield client


@pytest.fixture
async def browser(api):
    """A browser that keeps cookies."""
    async with ClientSession(api._base_url, cookie_jar=CookieJar(unsafe=True)) as client:
        yield client


@pytest.fixture
async def token(database):
    return await TokenTable(database).create("laptop", "admin", 90)


async def signed_in(browser, secret: str, status: int = 204, **fields: str):
    async with browser.post(
        SESSION, json={"token": secret}, headers=OUR_PAGE | fields
    ) as response:
        assert response.status == status, await response.text()
        return response.cookies.get(COOKIE)


async def status_of(client, path: str = ALL, **options) -> int:
    async with client.get(path, **options) as response:
        return int(response.status)


async def test_a_token_is_traded_for_a_cookie_that_no_script_can_read(browser, token):
    cookie = await signed_in(browser, token[1])
    assert cookie is not None
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == "/"
    assert cookie["max-age"] == "28800"
    assert not cookie["secure"]
    assert token[1] not in cookie.value

    assert await status_of(browser) == 200
    async with browser.get(SESSION) as response:
        assert await response.json() == {"name": "laptop", "role": "admin"}


@pytest.mark.parametrize(
    "fields",
    [
        {"Origin": "https://audit.example", "Host": "audit.example"},
        {"Origin": "https://audit.example", "X-Forwarded-Host": "audit.example"},
        {"X-Forwarded-Proto": "https"},
    ],
)
async def test_behind_https_the_cookie_is_for_https_alone(api, token, fields):
    cookie = await signed_in(api, token[1], **fields)
    assert cookie is not None
    assert cookie["secure"] is True


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("operator", 403)])
async def test_a_token_that_may_not_read_gets_no_cookie(api, database, role, status):
    _, secret = await TokenTable(database).create("other", role, 90)
    assert await signed_in(api, secret, status) is None


async def test_an_unknown_or_revoked_token_gets_no_cookie(api, database, token):
    assert await signed_in(api, "pwm_unknown", 401) is None
    await TokenTable(database).revoke(token[0].id)
    assert await signed_in(api, token[1], 401) is None


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "a", "b": 1}', b"\xff", b"x" * 5_000),
        *(b'{"token": "a", "code": "b"}', b'{"code": null}', b'{"code": 1}'),
    ],
)
async def test_a_body_that_is_no_sign_in_is_refused(api, body):
    async with api.post(SESSION, data=body, headers=OUR_PAGE) as response:
        assert response.status == 422
        [complaint] = (await response.json())["detail"]
        assert complaint["loc"] == ["body", "token"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"X-Requested-With": "XMLHttpRequest"},
        OUR_PAGE | {"Origin": "https://evil.example"},
        OUR_PAGE | {"Origin": "null"},
        OUR_PAGE | {"Origin": "http://127.0.0.1"},
    ],
)
async def test_no_other_site_can_sign_anybody_in_or_out(browser, token, method, fields):
    await signed_in(browser, token[1])
    async with browser.request(
        method, SESSION, json={"token": token[1]}, headers=fields
    ) as response:
        assert response.status == 403
        assert COOKIE not in response.cookies
    assert await status_of(browser) == 200


async def test_our_own_origin_may(browser, api, token):
    origin = str(api._base_url.origin())
    await signed_in(browser, token[1], Origin=origin)
    await signed_in(browser, token[1], Origin=origin.upper().replace("HTTP", "http"))


async def test_signing_out_ends_the_session_also_for_whoever_has_copied_it(browser, api, token):
    cookie = await signed_in(browser, token[1])
    assert cookie is not None
    copy = {"Cookie": f"{COOKIE}={cookie.value}"}
    assert await status_of(api, headers=copy) == 200

    async with browser.delete(SESSION, headers=OUR_PAGE) as response:
        assert response.status == 204
    assert browser.cookie_jar.filter_cookies(URL(api._base_url)) == {}
    assert await status_of(api, headers=copy) == 401
    assert await status_of(browser, SESSION) == 401


async def test_signing_out_without_a_session_is_nothing(api):
    async with api.delete(SESSION, headers=OUR_PAGE) as response:
        assert response.status == 204


async def test_a_session_is_over_with_its_token(browser, database, token):
    await signed_in(browser, token[1])
    await TokenTable(database).revoke(token[0].id)
    assert await status_of(browser) == 401
    assert await status_of(browser, SESSION) == 401


async def test_a_session_survives_a_restart_and_holds_at_every_replica_with_a_secret(
    browser, token, database_url
):
    cookie = await signed_in(browser, token[1])
    assert cookie is not None
    fields = {"Cookie": f"{COOKIE}={cookie.value}"}
    for secret, status in (("s" * 32, 200), ("t" * 32, 401), (None, 401)):
        async with serving_audit_api(database_url, session_secret=secret) as other:
            assert await status_of(other, headers=fields) == status


async def test_the_answer_to_a_sign_in_is_not_kept_anywhere(api, token):
    async with api.post(SESSION, json={"token": token[1]}, headers=OUR_PAGE) as response:
        assert response.headers["Cache-Control"] == "no-store"


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def made_link(client, secret: str) -> str:
    async with client.post(LINK, headers=bearer(secret)) as response:
        assert response.status == 201, await response.text()
        assert response.headers["Cache-Control"] == "no-store"
        return str((await response.json())["code"])


async def by_code(client, code: str, **fields: str) -> int:
    async with client.post(SESSION, json={"code": code}, headers=OUR_PAGE | fields) as response:
        return int(response.status)


async def test_a_link_signs_in_as_its_token_and_works_once(browser, api, token):
    code = await made_link(api, token[1])

    assert await by_code(browser, code) == 204
    async with browser.get(SESSION) as response:
        assert await response.json() == {"name": "laptop", "role": "admin"}
    assert await by_code(api, code) == 401
    assert await status_of(browser) == 200


async def test_a_link_works_at_the_replica_that_made_it_and_at_no_other(api, token, database_url):
    code = await made_link(api, token[1])
    async with serving_audit_api(database_url, session_secret="s" * 32) as other:
        assert await by_code(other, code) == 401
    assert await by_code(api, code) == 204


async def test_a_link_is_nothing_without_its_token(api, database, token):
    code = await made_link(api, token[1])
    await TokenTable(database).revoke(token[0].id)
    assert await by_code(api, code) == 401


async def test_only_the_token_of_a_reader_makes_links(browser, api, database, token):
    _, viewer = await TokenTable(database).create("other", "viewer", 90)
    assert await signed_in(browser, token[1])
    for client, fields, status in (
        (api, {}, 401),
        (api, bearer("pwm_unknown"), 401),
        (api, bearer("of something else"), 401),
        (api, bearer(viewer), 403),
        (browser, OUR_PAGE, 401),  # a session would go on for ever
    ):
        async with client.post(LINK, headers=fields) as response:
            assert response.status == status, fields


async def test_another_site_cannot_use_a_link_and_does_not_use_it_up(api, token):
    code = await made_link(api, token[1])
    assert await by_code(api, code, Origin="https://evil.example") == 403
    assert await by_code(api, code) == 204


async def test_a_link_is_not_used_up_by_a_sign_in_that_was_told_to_come_back(api, database, token):
    code = await made_link(api, token[1])
    await database.execute("ALTER TABLE mcp_audit_read RENAME TO moved_away")
    try:
        assert await by_code(api, code) == 503
    finally:
        await database.execute("ALTER TABLE moved_away RENAME TO mcp_audit_read")

    assert [await by_code(api, code) for _ in range(2)] == [204, 401]

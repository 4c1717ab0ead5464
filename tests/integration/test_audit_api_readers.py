"""Who may read: every caller at every endpoint, with a real token table and a real judge."""

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import pytest

from audit_api.access.sessions import COOKIE, Sessions
from audit_api.access.sign_in import SESSION_PATH
from audit_log.postgres.token_table import TokenTable
from audit_log.tokens import hash_token, new_secret
from tests.neighbours.audit_api import ALL, GAPS, NOBODY, of_token, serving_audit_api
from tests.neighbours.hop import hop_to
from tests.neighbours.podwarden import serving_podwarden
from tests.neighbours.services import refusing_port

ENDPOINTS: Final = {
    ALL: 200,
    of_token(NOBODY): 200,
    f"{ALL}/entries/{NOBODY}": 404,
    f"{ALL}/entries/{NOBODY}/proof": 404,
    f"{ALL}/invocations": 200,
    f"{ALL}/invocations/{NOBODY}": 404,
    f"{ALL}/invocations/stats": 200,
    f"{ALL}/invocations/export": 200,
    f"{ALL}/invocations/stream": 200,
    f"{ALL}/invocations/{NOBODY}/proof": 404,
    f"{ALL}/timeline": 200,
    f"{ALL}/sql": 200,
    f"{ALL}/invocations/sql": 200,
    f"{ALL}/sessions": 200,
    f"{ALL}/sessions/{NOBODY}": 404,
    f"{ALL}/tokens": 200,
    f"{ALL}/tokens/{NOBODY}": 404,
    f"{ALL}/stats": 200,
    f"{ALL}/growth": 200,
    GAPS: 200,
    f"{ALL}/reads": 200,
    f"{ALL}/export": 200,
    f"{ALL}/evidence": 200,
    f"{ALL}/stream": 200,
    f"{ALL}/openapi.json": 200,
    f"{ALL}/docs": 200,
    SESSION_PATH: 200,
}
"""Every endpoint, and what readers get there while the log is empty."""
PATHS: Final = list(ENDPOINTS)
SECRET: Final = "s" * 32


@dataclass(frozen=True)
class Case:
    """A caller, what PodWarden says of it when it is asked, and what comes of it."""

    status: int
    fields: tuple[tuple[str, str], ...] = ()
    podwarden: int | None = None
    """The status of PodWarden's response; None when it is not set up."""
    asked: bool = False
    """Whether PodWarden is asked at all."""
    away: bool = False
    """Whether nobody is at PodWarden's address."""


def bearer(value: str) -> tuple[tuple[str, str], ...]:
    return (("Authorization", f"Bearer {value}"),)


def own_cookie(value: str, *, before: str = "") -> tuple[tuple[str, str], ...]:
    return (("Cookie", f"{before}{COOKIE}={value}"),)


JWT: Final = bearer("eyJhbGciOiJSUzI1NiJ9.e30.c2ln")
SESSION: Final = (("Cookie", "session=abc"),)

CASES: Final = {
    "no credentials": Case(401),
    "no credentials, with PodWarden": Case(401, podwarden=200),
    "empty Authorization": Case(401, (("Authorization", ""),)),
    "scheme alone": Case(401, (("Authorization", "Bearer"),)),
    "token without scheme": Case(401, (("Authorization", "{admin}"),)),
    "token as Basic": Case(401, (("Authorization", "Basic {admin}"),)),
    "token in capitals": Case(401, bearer("PWM_UNKNOWN")),
    "token as cookie": Case(401, (("Cookie", "token={admin}"),)),
    "two Authorization fields": Case(401, bearer("{admin}") * 2),
    "two Authorization fields, with PodWarden": Case(401, bearer("{admin}") * 2, 200),
    "unknown token": Case(401, bearer("pwm_unknown")),
    "token with a letter more": Case(401, bearer("{admin}x")),
    "expired admin": Case(401, bearer("{expired}")),
    "expired admin, with PodWarden": Case(401, bearer("{expired}"), 200),
    "revoked admin": Case(401, bearer("{revoked}")),
    "revoked admin, with PodWarden": Case(401, bearer("{revoked}"), 200),
    "viewer": Case(403, bearer("{viewer}")),
    "viewer, with PodWarden": Case(403, bearer("{viewer}"), 200),
    "operator": Case(403, bearer("{operator}")),
    "operator with an accepted cookie": Case(403, bearer("{operator}") + SESSION, 200),
    "admin": Case(200, bearer("{admin}")),
    "admin, scheme in capitals": Case(200, (("Authorization", "BEARER {admin}"),)),
    "admin whom PodWarden would refuse": Case(200, bearer("{admin}"), 401),
    "JWT, without PodWarden": Case(401, JWT),
    "JWT accepted": Case(200, JWT, 200, asked=True),
    "JWT accepted without content": Case(200, JWT, 204, asked=True),
    "JWT refused": Case(401, JWT, 401, asked=True),
    "JWT without the right": Case(403, JWT, 403, asked=True),
    "JWT, PodWarden lacks the path": Case(503, JWT, 404, asked=True),
    "JWT, PodWarden overloaded": Case(503, JWT, 429, asked=True),
    "JWT, PodWarden fails": Case(503, JWT, 500, asked=True),
    "JWT, PodWarden redirects": Case(503, JWT, 302, asked=True),
    "cookie, without PodWarden": Case(401, SESSION),
    "cookie accepted": Case(200, SESSION, 200, asked=True),
    "cookie refused": Case(401, SESSION, 401, asked=True),
    "cookie, PodWarden redirects to its sign-in": Case(503, SESSION, 307, asked=True),
    "token of PodWarden's own": Case(200, bearer("pwm_elsewhere"), 200, asked=True),
    "unknown token refused": Case(401, bearer("pwm_unknown"), 401, asked=True),
    "Hub API key": Case(401, bearer("pwc_key"), 401, asked=True),
    "JWT, PodWarden unreachable": Case(503, JWT, away=True),
    "cookie, PodWarden unreachable": Case(503, SESSION, away=True),
    "no credentials, PodWarden unreachable": Case(401, away=True),
    "admin, PodWarden unreachable": Case(200, bearer("{admin}"), away=True),
    "own cookie": Case(200, own_cookie("{admin cookie}")),
    "own cookie among others": Case(200, own_cookie("{admin cookie}", before="a=1; ")),
    "own cookie, with PodWarden": Case(200, own_cookie("{admin cookie}"), 401),
    "own cookie, PodWarden unreachable": Case(200, own_cookie("{admin cookie}"), away=True),
    "own cookie of an operator": Case(403, own_cookie("{operator cookie}")),
    "own cookie of an expired token": Case(401, own_cookie("{expired cookie}")),
    "own cookie of a revoked token": Case(401, own_cookie("{revoked cookie}")),
    "own cookie of no token": Case(401, own_cookie("{gone cookie}")),
    "own cookie, expired": Case(401, own_cookie("{old cookie}")),
    "own cookie, forged": Case(401, own_cookie("{forged cookie}")),
    "own cookie, forged, with PodWarden": Case(401, own_cookie("{forged cookie}"), 200),
    "own cookie, cut short": Case(401, own_cookie("x")),
    "own cookie, empty": Case(401, own_cookie("")),
    "own cookie, forged, beside PodWarden's": Case(
        200, own_cookie("{forged cookie}", before="session=abc; "), 200, asked=True
    ),
    "own cookie beside an operator's token": Case(
        403, own_cookie("{admin cookie}") + bearer("{operator}")
    ),
    "token as own cookie": Case(401, own_cookie("{admin}")),
}


@pytest.fixture(scope="module")
def database_url(module_database_url):
    return module_database_url


@pytest.fixture
async def podwarden():
    async with serving_podwarden() as judge:
        yield judge


@pytest.fixture
async def tokens(database):
    """The secret of a token of each role, and of two that no longer count."""
    table = TokenTable(database)
    made = {
        name: await table.create(name, role, 1)
        for name, role in {
            "viewer": "viewer",
            "operator": "operator",
            "admin": "admin",
            "expired": "admin",
            "revoked": "admin",
        }.items()
    }
    await database.execute(
        "UPDATE mcp_tokens SET expires_at = now() - interval '1 minute' WHERE id = $1",
        made["expired"][0].id,
    )
    assert await table.revoke(made["revoked"][0].id)
    return {name: secret for name, (_, secret) in made.items()}


@pytest.fixture
def shown(tokens):
    """What callers show: tokens, and cookies that were traded for them."""
    ours = Sessions(SECRET.encode(), partial(datetime.now, UTC))
    older = Sessions(SECRET.encode(), lambda: datetime.now(UTC) - timedelta(hours=8))
    others = Sessions(b"t" * 32, partial(datetime.now, UTC))
    return {
        **tokens,
        **{f"{name} cookie": ours.issue(hash_token(token)) for name, token in tokens.items()},
        "gone cookie": ours.issue(hash_token("pwm_gone")),
        "old cookie": older.issue(hash_token(tokens["admin"])),
        "forged cookie": others.issue(hash_token(tokens["admin"])),
    }


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_every_endpoint_lets_in_readers_only(database_url, shown, podwarden, case):
    fields = [(name, value.format(**shown)) for name, value in case.fields]
    podwarden.fields = {"Location": "/signed-out", "Set-Cookie": "session=other"}
    podwarden.status = case.podwarden or 200
    with refusing_port() as nobody:
        auth_url = None if case.podwarden is None else podwarden.url
        if case.away:
            auth_url = f"http://127.0.0.1:{nobody}/"
        async with serving_audit_api(
            database_url, auth_url=auth_url, session_secret=SECRET
        ) as api:
            for path, answered in ENDPOINTS.items():
                for method in ("GET", "HEAD"):
                    async with api.request(method, path, headers=fields) as response:
                        expected = answered if case.status == 200 else case.status
                        assert response.status == expected, (method, path)
                        challenge = response.headers.get("WWW-Authenticate")
                        assert challenge == ("Bearer" if expected == 401 else None)
                        assert ("Retry-After" in response.headers) == (expected == 503)
                        if method == "GET" and expected != 200:
                            assert list(await response.json()) == ["detail"]

    assert len(podwarden.asked) == (2 * len(PATHS) if case.asked else 0)
    assert podwarden.strayed == []
    assert not any(COOKIE in asked.get("Cookie", "") for asked in podwarden.asked)


async def test_the_table_names_every_endpoint(database_url, tokens):
    async with (
        serving_audit_api(database_url) as api,
        api.get(f"{ALL}/openapi.json", headers=bearer(tokens["admin"])) as response,
    ):
        described = (await response.json())["paths"]
    answered = {re.sub(r"\{[a-z_]+\}", str(NOBODY), path) for path in described}
    assert answered | {SESSION_PATH} == set(ENDPOINTS)


async def test_podwarden_is_asked_with_the_credentials_and_nothing_else_of_the_caller(
    database_url, database, podwarden
):
    fields = [
        ("Authorization", "Bearer abc"),
        ("Cookie", "session=ä; other=1"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("User-Agent", "caller"),
        ("Accept-Language", "de"),
    ]
    async with (
        serving_audit_api(database_url, auth_url=podwarden.url) as api,
        api.get(ALL, headers=fields) as response,
    ):
        assert response.status == 200

    [asked] = podwarden.asked
    assert asked["Authorization"] == "Bearer abc"
    assert asked["Cookie"] == "session=ä; other=1"
    assert asked["User-Agent"] == "podwarden-audit-api"
    assert set(asked) <= {
        *("Authorization", "Cookie", "User-Agent"),
        *("Host", "Accept", "Accept-Encoding"),
    }


async def test_podwardens_cookies_for_one_caller_never_reach_another(
    database_url, database, podwarden
):
    podwarden.fields = {"Set-Cookie": "session=stolen; Path=/"}
    # By name, because aiohttp's own jar takes no cookies from addresses.
    auth_url = podwarden.url.replace("127.0.0.1", "localhost")
    async with serving_audit_api(database_url, auth_url=auth_url) as api:
        for _ in range(2):
            async with api.get(ALL, headers=JWT) as response:
                assert response.status == 200
                assert "Set-Cookie" not in response.headers

    assert [asked.get("Cookie") for asked in podwarden.asked] == [None, None]


async def test_answers_503_when_podwarden_is_out_of_reach(database_url, database):
    with refusing_port() as port:
        async with (
            serving_audit_api(database_url, auth_url=f"http://127.0.0.1:{port}/") as api,
            api.get(ALL, headers=JWT) as response,
        ):
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
            assert await response.json() == {"detail": "PodWarden is out of reach"}


async def test_answers_503_when_podwarden_is_slow(database_url, database, podwarden):
    podwarden.responding.clear()
    async with serving_audit_api(database_url, auth_url=podwarden.url) as api:

        async def ask(path: str) -> int:
            async with api.get(path, headers=JWT) as response:
                return response.status

        async with asyncio.timeout(15):
            assert await asyncio.gather(*map(ask, PATHS)) == [503] * len(PATHS)


async def test_a_token_revoked_between_two_questions_is_refused_at_the_second(
    database_url, database
):
    table = TokenTable(database)
    token, secret = await table.create("claude", "admin", 90)
    headers = {"Authorization": f"Bearer {secret}"}
    async with serving_audit_api(database_url) as api:
        async with api.get(ALL, headers=headers) as response:
            assert response.status == 200
        await table.revoke(token.id)
        async with api.get(ALL, headers=headers) as response:
            assert response.status == 401


async def test_the_roles_that_may_read_are_a_setting(database_url, tokens):
    async with serving_audit_api(database_url, reader_roles="viewer, operator") as api:
        for role, status in {"viewer": 200, "operator": 200, "admin": 403}.items():
            async with api.get(ALL, headers=bearer(tokens[role])) as response:
                assert response.status == status, role


async def test_a_token_table_may_live_elsewhere_and_look_different(database_url, database):
    secret = "key_of_another_table"
    query = "SELECT gen_random_uuid() AS id, 'theirs' AS name, 'admin' AS role WHERE $1 <> ''"
    async with serving_audit_api(
        database_url, token_database_url=database_url, token_query=query, token_prefix="key_"
    ) as api:
        async with api.get(ALL, headers=bearer(secret)) as response:
            assert response.status == 200
        async with api.get(ALL, headers=bearer("pwm_x")) as response:
            assert response.status == 401


async def test_a_database_role_that_may_select_and_record_reads_is_enough(
    database_url, database, tokens
):
    await database.execute(
        "DROP ROLE IF EXISTS selecting; CREATE ROLE selecting LOGIN PASSWORD 's';"
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO selecting;"
        "GRANT INSERT ON mcp_audit_read TO selecting"
    )
    url = database_url.replace(database_url.split("@")[0], "postgresql://selecting:s")
    try:
        async with serving_audit_api(url) as api:
            for path, status in (ENDPOINTS | {"/readyz": 200}).items():
                async with api.get(path, headers=bearer(tokens["admin"])) as response:
                    assert response.status == status, path
        await database.execute("REVOKE INSERT ON mcp_audit_read FROM selecting")
        async with serving_audit_api(url) as api:
            async with api.get("/readyz") as response:
                assert "run deploy/roles.sql again" in await response.text()
                assert response.status == 503
            async with api.get(ALL, headers=bearer(tokens["admin"])) as response:
                assert response.status == 503
                assert "cannot be recorded" in await response.text()
    finally:
        await database.execute("DROP OWNED BY selecting; DROP ROLE selecting")


async def test_a_flood_of_invented_tokens_is_looked_up_together(database, database_url):
    async with hop_to(database_url) as hop, serving_audit_api(hop.url) as api:

        async def refused():
            fields = {"Authorization": f"Bearer {new_secret()}"}
            async with api.get(ALL, headers=fields) as response:
                return response.status

        assert await refused() == 401
        hop.seconds_away = 0.005
        pieces = hop.pieces
        assert set(await asyncio.gather(*(refused() for _ in range(100)))) == {401}
        # Each for itself would take two round trips or more, and readers would wait for all.
        assert hop.pieces - pieces < 100

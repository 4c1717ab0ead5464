"""What the audit API says when a request is none of its questions, or none at all."""

import asyncio
import json
import logging

import pytest
import pytest_asyncio

from audit_log.postgres.database import open_database
from audit_log.postgres.token_table import TokenTable
from tests.neighbours.audit_api import ALL, of_token, serving_audit_api
from tests.neighbours.services import refusing_port

# One service and one database for all tests here: none of them depends on a row.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_database_url):
    async with serving_audit_api(module_database_url) as client:
        yield client


async def sent(api, raw: bytes) -> tuple[bytes, bytes]:
    """Send *raw* and return head and body of everything that comes back until the end."""
    url = api._base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(raw)
        async with asyncio.timeout(10):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    return head, body


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v1/settings",
        ALL + "/",
        ALL + "/entries",
        ALL.replace("/v1/", "//v1/"),
        "/API/v1/settings/mcp-audit",
        "/%00",
        "/%ff",
        of_token("1/2"),
        of_token(""),
        "/api/v1/settings/../settings/mcp-audit%2F",
    ],
)
async def test_what_is_not_there_is_not_found_whoever_asks(api, path):
    async with api.get(path) as response:
        assert response.status == 404
        assert await response.json() == {"detail": "Not Found"}
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", [ALL, of_token("x"), "/healthz"])
@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
)
async def test_other_methods_are_refused_and_the_right_ones_named(api, path, method):
    async with api.request(method, path) as response:
        assert response.status == 405
        assert await response.json() == {"detail": "Method Not Allowed"}
        assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD"}


async def test_head_answers_like_get_without_the_body(api, module_database_url):
    async with open_database(module_database_url, application="test") as database:
        _, secret = await TokenTable(database).create("reader", "admin", 90)
    fields = {"Authorization": f"Bearer {secret}"}
    for path in (ALL, ALL + "?limit=0", "/nowhere", "/healthz"):
        async with api.get(path, headers=fields) as full, api.head(path, headers=fields) as bare:
            assert bare.status == full.status
            assert bare.headers["Content-Length"] == full.headers["Content-Length"]
            assert bare.headers["Content-Type"] == full.headers["Content-Type"]
            assert await bare.read() == b""


async def test_an_expectation_that_nobody_can_meet_is_refused_in_json(api):
    async with api.get(ALL, headers={"Expect": "miracles"}) as response:
        assert response.status == 417
        assert await response.json() == {"detail": "Expectation Failed"}


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer pwm_" + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_in_json_and_leaves_no_traceback(api, caplog, raw):
    caplog.set_level(logging.INFO)
    head, body = await sent(api, raw)

    status_line, *fields = head.split(b"\r\n")
    assert status_line.endswith(b" 400 Bad Request")
    assert b"Content-Type: application/json" in fields
    assert json.loads(body) == {"detail": "The request is malformed or too large"}
    assert caplog.records == []


@pytest.mark.parametrize(
    "rest",
    [
        b"Transfer-Encoding: chunked\r\n\r\nnot a chunk\r\n",
        b"Content-Length: 10\r\n\r\nshort",
        b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain",
    ],
)
async def test_a_broken_body_that_nobody_wants_leaves_no_traceback(api, caplog, rest):
    caplog.set_level(logging.INFO)
    url = api._base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + rest)
    async with asyncio.timeout(10):
        status_line = await reader.readline()
        writer.write_eof()
        await reader.read()
    writer.close()
    await writer.wait_closed()

    assert status_line.split()[1] in (b"200", b"400")
    assert caplog.records == []


async def test_health_is_told_without_credentials(api):
    async with api.get("/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "alive"})
    async with api.get("/readyz") as response:
        assert (response.status, await response.json()) == (
            200,
            {"status": "ready", "reasons": []},
        )


async def test_not_ready_while_the_database_is_out_of_reach():
    with refusing_port() as port:
        async with serving_audit_api(f"postgresql://nobody@127.0.0.1:{port}/none") as api:
            async with api.get("/healthz") as response:
                assert response.status == 200
            async with api.get("/readyz") as response:
                assert response.status == 503
                assert await response.json() == {
                    "status": "not ready",
                    "reasons": ["the database is out of reach: connection refused"],
                }
            async with api.get(ALL, headers={"Authorization": "Bearer pwm_x"}) as response:
                assert response.status == 503
                assert int(response.headers["Retry-After"]) > 0
                assert await response.json() == {"detail": "The audit log is out of reach"}


async def test_not_ready_while_the_token_database_is_out_of_reach(module_database_url):
    with refusing_port() as port:
        away = f"postgresql://nobody@127.0.0.1:{port}/none"
        async with (
            serving_audit_api(module_database_url, token_database_url=away) as api,
            api.get("/readyz") as response,
        ):
            assert response.status == 503
            [reason] = (await response.json())["reasons"]
            assert reason == "the token database is out of reach: connection refused"


async def test_a_caller_without_credentials_is_refused_even_while_the_database_is_away():
    with refusing_port() as port:
        away = f"postgresql://nobody@127.0.0.1:{port}/none"
        async with serving_audit_api(away) as api, api.get(ALL) as response:
            assert response.status == 401


async def test_a_caller_that_hangs_up_ends_its_query(api, module_database_url):
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'audit_api' AND wait_event_type = 'Lock'"
    )
    head = f"GET {ALL} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer pwm_x\r\n\r\n"
    url = api._base_url
    async with (
        open_database(module_database_url, application="test") as database,
        database.transaction() as lock,
    ):
        await lock.execute("LOCK TABLE mcp_tokens")
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(head.encode())
        await until(database, waiting, 1)
        writer.close()
        await until(database, waiting, 0)


async def until(database, query: str, count: int) -> None:
    """Ask *query* until it counts *count*: PostgreSQL announces no waiting."""
    async with asyncio.timeout(10):
        while True:
            [counted] = await database.fetch_row(query)
            if counted == count:
                return
            await asyncio.sleep(0.02)

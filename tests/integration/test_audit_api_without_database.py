"""The audit API says why its database cannot be used: in its log at the start, and in /readyz."""

import asyncio
import json

import pytest
from aiohttp import ClientSession
from yarl import URL

from audit_api.app import serving
from audit_api.settings import AuditApiSettings
from audit_log.process.settings import AuditLogSettings
from tests.neighbours.in_loop import overhearing
from tests.neighbours.patience import eventually
from tests.neighbours.services import refusing_port

SECRET = "s3cret"


async def told(url, **settings):
    """Return the reasons in /readyz and in the log, with a database at *url*."""
    shared = AuditLogSettings(database_url=str(url))
    async with (
        overhearing() as log,
        serving(shared, AuditApiSettings(port=0, **settings)) as address,
        ClientSession(f"http://127.0.0.1:{address.port}") as client,
    ):
        async with client.get("/readyz") as response:
            assert response.status == 503
            reasons = (await response.json())["reasons"]

        async def logged():
            return [line["reason"] for line in log if line["event"] == "service.not_ready"]

        at_start = await eventually(logged)
        assert SECRET not in json.dumps([reasons, log])
    return reasons, at_start


@pytest.fixture
def right(database_url):
    return URL(database_url)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda url: url.with_password(SECRET), "the database refuses the password"),
        (lambda url: url.with_path("/elsewhere"), "the database does not exist"),
        (
            lambda url: url.with_host("nowhere.invalid"),
            "the database is out of reach: its host name has no address",
        ),
        (
            lambda url: url.with_query(target_session_attrs="standby"),
            "the database is not the kind of server that the URL asks for",
        ),
    ],
)
async def test_the_audit_api_says_why_it_cannot_use_its_database(right, wrong, reason):
    assert await told(wrong(right)) == ([reason], [reason])


async def test_a_port_where_nothing_listens_is_told_for_each_database(right):
    with refusing_port() as port:
        refusing = f"postgresql://nobody@localhost:{port}/none"
        reason = "the database is out of reach: connection refused"
        assert await told(refusing) == ([reason], [reason])
        reason = "the token database is out of reach: connection refused"
        assert await told(right, token_database_url=refusing) == ([reason], [reason])
        reason = "the replica is out of reach: connection refused"
        assert await told(right, database_url=refusing) == ([reason], [reason])


async def _no_tls(reader, writer):
    await reader.readexactly(8)  # SSLRequest
    writer.write(b"N")
    await reader.read()
    writer.close()


async def test_a_server_without_tls_is_told():
    server = await asyncio.start_server(_no_tls, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reason = "the database is out of reach: it speaks no TLS"
        url = f"postgresql://nobody@127.0.0.1:{port}/none?sslmode=require"
        assert await told(url) == ([reason], [reason])


async def test_a_user_who_may_not_connect_is_told(right, database):
    name = right.path.removeprefix("/")
    await database.execute(f"CREATE ROLE stranger LOGIN PASSWORD '{SECRET}'")
    await database.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    try:
        reason = "the database does not give this user the rights it needs"
        assert await told(right.with_user("stranger").with_password(SECRET)) == (
            [reason],
            [reason],
        )
    finally:
        await database.execute("DROP ROLE stranger")

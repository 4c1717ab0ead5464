"""Each port ends those who say nothing or stop in the middle. Takes a minute and a half."""

import asyncio

import pytest

from tests.neighbours.client import Client, connected
from tests.neighbours.services import (
    refusing_port,
    running_audit_api,
    running_ingest,
    running_sidecar,
)
from tests.neighbours.upstream import OK, responding

PATIENCE_SECONDS = 120
HEAD = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
BEGUN = {
    "nothing": b"",
    "half a head": HEAD + b"X-A: ",
    "one request": HEAD + b"\r\n",
    "half a body": HEAD + b"Content-Length: 9\r\n\r\nhalf",
}
SIGN_IN = (
    b"POST /settings/mcp/activity/session HTTP/1.1\r\nHost: a\r\n"
    b"X-Requested-With: activity-log\r\nContent-Length: 99\r\n\r\n{"
)


async def ends(client: Client) -> bytes:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await client.reader.read()


async def all_end(port: int) -> None:
    """Stop in the middle of everything at once; each connection must come to its end."""

    async def one(begun: bytes) -> None:
        async with connected(port) as client:
            await client.send(begun)
            await ends(client)

    await asyncio.gather(*(one(begun) for begun in BEGUN.values()))


@pytest.mark.parametrize("service", ["sidecar", "audit API", "ingest"])
async def test_whoever_stops_sending_is_let_go(service, upstream, database_url):
    upstream.plan(responding(OK))
    body = {"PROXY_BODY_TIMEOUT_SECONDS": "20"}
    with refusing_port() as nobody:
        nats = {"AUDIT_LOG_NATS_URLS": f"nats://127.0.0.1:{nobody}"}
        running = {
            "sidecar": lambda: running_sidecar(upstream.url, database_url, **body),
            "audit API": lambda: running_audit_api(database_url),
            "ingest": lambda: running_ingest(database_url, **nats),
        }[service]
        async with running() as process:
            names = {"port", "ops_port"} & process.started.keys()
            await asyncio.gather(*(all_end(int(process.started[name])) for name in names))


async def test_half_a_sign_in_is_refused(database_url):
    async with running_audit_api(database_url) as api, connected(api.port) as client:
        await client.send(SIGN_IN)
        assert b" 408 " in await ends(client)

"""A flood of invented tokens before a healthy database: no way past the policy, no long wait."""

import asyncio
from collections import Counter

import pytest
from aiohttp import ClientSession

from audit_log.postgres.token_table import TokenTable
from audit_log.tokens import new_secret
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.client import connected
from tests.neighbours.corpus import request
from tests.neighbours.hop import hop_to
from tests.neighbours.patience import eventually
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.upstream import OK, responding

CONNECTIONS = 100
CALLS_EACH = 4
FLOOD = CONNECTIONS * CALLS_EACH
SECONDS_AWAY = 0.005


@pytest.fixture
async def far(database_url):
    """The database, healthy and 5 ms away."""
    async with hop_to(database_url) as hop:
        hop.seconds_away = SECONDS_AWAY
        yield hop


@pytest.fixture
async def secret(database, upstream):
    upstream.plan(responding(OK))
    return await prepare_audit_log(database)


def call(secret):
    return request(b"GET /api/v1/hosts/0/", b"Authorization: Bearer " + secret.encode())


async def flood(port, met):
    """Make calls with invented tokens over many connections, each token once."""

    async def one_connection():
        async with connected(port) as client:
            for _ in range(CALLS_EACH):
                met[(await client.ask(call(new_secret()))).status] += 1

    await asyncio.gather(*(one_connection() for _ in range(CONNECTIONS)))


async def of_metrics(sidecar, name):
    async with ClientSession(sidecar.ops_url) as client, client.get("/metrics") as response:
        text = await response.text()
    values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)]
    return sum(map(float, values))


async def written(database, count):
    async def all_of_them():
        [row] = await database.fetch("SELECT count(*) FROM mcp_audit_log")
        return row["count"] == count

    assert await eventually(all_of_them)


async def test_no_invented_token_passes_while_the_database_is_healthy(
    upstream, database, far, secret
):
    met: Counter[int] = Counter()
    async with serving_sidecar(upstream.url, far.url) as sidecar:
        await sidecar.logged("token_cache.became_available")
        flooding = asyncio.create_task(flood(sidecar.port, met))
        async with connected(sidecar.port) as client:
            assert (await client.ask(call(secret))).status == 200
        await flooding

        assert met[401] + met[503] == FLOOD
        assert len(upstream.calls) == 1
        refusals = await of_metrics(sidecar, "podwarden_audit_refused_tokens_total")
        assert refusals == FLOOD
        await written(database, FLOOD + 1)
    [honest] = await database.fetch(
        "SELECT token_name FROM mcp_audit_log WHERE token_id IS NOT NULL"
    )
    assert honest["token_name"] == "laptop"


async def test_names_of_a_flood_do_not_hold_up_an_honest_record(upstream, database, far, secret):
    met: Counter[int] = Counter()
    async with serving_sidecar(upstream.url, far.url, token_policy="observe") as sidecar:
        # Not judged before they are forwarded: the writer has to find every name.
        far.black_hole()
        await flood(sidecar.port, met)
        assert met[200] == FLOOD
        assert await of_metrics(sidecar, 'podwarden_audit_oddities_total{kind="token_not_judged"}')
        async with connected(sidecar.port) as client:
            assert (await client.ask(call(secret))).status == 200
        pieces = far.pieces
        far.restore()
        await written(database, FLOOD + 1)
        # Each name for itself would take three round trips.
        assert far.pieces - pieces < FLOOD


async def test_callers_that_all_come_at_once_are_served_by_a_database_far_away(
    upstream, database, far, secret
):
    far.seconds_away = 4 * SECONDS_AWAY
    tokens = TokenTable(database)
    secrets = [(await tokens.create(f"token {n}", "viewer", 90))[1] for n in range(60)]
    async with serving_sidecar(upstream.url, far.url) as sidecar:
        await sidecar.logged("token_cache.became_available")

        async def first_call(secret):
            async with connected(sidecar.port) as client:
                return (await client.ask(call(secret))).status

        statuses = await asyncio.gather(*map(first_call, secrets))
        assert Counter(statuses) == {200: 60}
        await written(database, 60)

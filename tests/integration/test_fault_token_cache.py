"""A token database that is out of reach adds no waiting to the calls."""

import time

import pytest

from audit_log.postgres.token_table import TokenTable
from proxy.tokens.cache import TokenCacheLimits
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import Callers, responding_by_path
from tests.neighbours.hop import hop_to
from tests.neighbours.ops import degraded, recovered

LONGEST_WAIT = TokenCacheLimits().lookup_seconds
CALLS = 40


@pytest.fixture
async def secrets(database, upstream):
    """Two tokens; the sidecar will meet one while all is well, and one when it is not."""
    upstream.plan(responding_by_path)
    _, second = await TokenTable(database).create("nightly", "viewer", 90)
    return await prepare_audit_log(database), second


async def test_one_call_alone_waits_for_a_token_database_that_a_network_has_swallowed(
    home, upstream, database, database_url, secrets
):
    known, unknown = Callers(secrets[0]), Callers(secrets[1])
    async with (
        hop_to(database_url) as hop,
        home.sidecar(upstream.url, hop.url) as sidecar,
    ):
        await known.make(sidecar.port, 1)
        await arrived(database, 1)
        hop.black_hole()
        began = time.monotonic()
        await known.make(sidecar.port, CALLS)
        await unknown.make(sidecar.port, CALLS)
        # The first waits, and nobody else; the rest of the time is what so many calls take.
        assert time.monotonic() - began < LONGEST_WAIT * CALLS / 4
        await degraded(sidecar, "the token cache cannot reach the token database")

        hop.restore()
        entries = await arrived(database, 1 + 2 * CALLS)
        await recovered(sidecar)
    names = [entry.token_name for entry in entries]
    assert names == ["laptop"] * (1 + CALLS) + ["nightly"] * CALLS


async def test_nobody_waits_for_a_token_database_that_refuses(home, upstream, secrets):
    unknown = Callers(secrets[1])
    async with home.sidecar(upstream.url) as sidecar:
        began = time.monotonic()
        await unknown.make(sidecar.port, CALLS)
        assert time.monotonic() - began < LONGEST_WAIT * CALLS / 4
        assert await sidecar.logged("token_cache.became_unavailable")


async def test_a_sidecar_takes_two_connections_and_no_more(
    home, upstream, database, database_url, secrets
):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        for secret in secrets:
            await Callers(secret).make(sidecar.port, CALLS)
        await arrived(database, 2 * CALLS)
        [row] = await database.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'podwarden-audit-proxy'"
        )
    assert row["count"] == 2

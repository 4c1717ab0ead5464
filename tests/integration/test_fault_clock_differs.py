"""A sidecar whose clock is an hour wrong: the difference is told, and tokens are judged well."""

import math
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from audit_log.clock import DatabaseClock
from audit_log.postgres.token_table import TokenTable
from audit_log.process.clock_watch import ClockWatch
from tests.neighbours.audit_api import ALL, serving_audit_api
from tests.neighbours.client import connected
from tests.neighbours.clocks import shift_clock
from tests.neighbours.ops import degraded, metric, readiness
from tests.neighbours.patience import eventually
from tests.neighbours.services import running_sidecar
from tests.neighbours.sidecar import serving_sidecar

HOUR = timedelta(hours=1)
HALF = HOUR / 2


async def token_that_expires(database, *, within):
    """Return a token that expires that much after the real time."""
    token, secret = await TokenTable(database).create("laptop", "operator", 90)
    await database.execute(
        "UPDATE mcp_tokens SET expires_at = now() + $2 WHERE id = $1", token.id, within
    )
    return secret


async def status_of_a_call(sidecar, secret, path=b"/api/v1/hosts"):
    async with connected(sidecar.port) as client:
        request = b"GET %b HTTP/1.1\r\nHost: podwarden\r\nAuthorization: Bearer %b\r\n\r\n"
        return (await client.ask(request % (path, secret.encode()))).status


@pytest.mark.parametrize(
    ("ahead", "expires", "status"), [(HOUR, -HALF, 200), (-HOUR, HALF, 401)], ids=["fast", "slow"]
)
async def test_tokens_expire_by_the_clock_of_postgresql(
    upstream, database, database_url, ahead, expires, status
):
    """*ahead* is how fast the sidecar's clock is; the token is valid there the other way round."""
    secret = await token_that_expires(database, within=expires)
    await shift_clock(database, -ahead)
    async with serving_sidecar(upstream.url, database_url) as sidecar:
        await degraded(sidecar, "PostgreSQL's")

        assert await status_of_a_call(sidecar, secret) == status
        again = [await status_of_a_call(sidecar, secret) for _ in range(2)]  # now it is cached
        assert again == [status, status]


async def test_a_clock_that_differs_is_told_in_readyz_metrics_and_the_log(
    upstream, database, database_url
):
    await shift_clock(database, -HOUR)
    async with serving_sidecar(upstream.url, database_url) as sidecar:
        await degraded(sidecar, "the clock here is 3600 s ahead of PostgreSQL's")

        assert await metric(sidecar, "clock_offset_seconds") == pytest.approx(3_600, abs=2)
        assert "set the one that is wrong" in (await readiness(sidecar))["reasons"][0]
        assert "3600 s ahead" in (await sidecar.logged("clock.began_to_differ"))["reason"]


async def test_a_clock_that_agrees_is_nothing_to_tell(upstream, database_url):
    async with serving_sidecar(upstream.url, database_url) as sidecar:

        async def is_measured():
            return not math.isnan(await metric(sidecar, "clock_offset_seconds"))

        assert await eventually(is_measured, sidecar.report)
        assert await metric(sidecar, "clock_offset_seconds") == pytest.approx(0, abs=2)
        assert (await readiness(sidecar))["status"] == "ready"


async def test_a_sidecar_before_nats_tells_it_too(upstream, database, database_url):
    await shift_clock(database, HOUR)
    nats = {"PROXY_SINK": "nats", "AUDIT_LOG_NATS_URLS": "nats://127.0.0.1:1"}
    async with running_sidecar(upstream.url, database_url, **nats) as sidecar:
        await degraded(sidecar, "the clock here is 3600 s behind PostgreSQL's")
        assert await metric(sidecar, "clock_offset_seconds") == pytest.approx(-3_600, abs=2)


@pytest.mark.parametrize(
    ("ahead", "expires", "status"), [(HOUR, -HALF, 200), (-HOUR, HALF, 401)], ids=["fast", "slow"]
)
async def test_readers_of_the_audit_api_expire_by_the_clock_of_postgresql_too(
    database, database_url, ahead, expires, status
):
    secret = await token_that_expires(database, within=expires)
    await shift_clock(database, -ahead)
    async with serving_audit_api(database_url, reader_roles={"operator"}) as client:

        async def told():
            async with client.get("/readyz") as response:
                said = await response.json()
                return said if said["status"] == "degraded" else None

        said = await eventually(told)
        async with client.get(ALL, headers={"Authorization": f"Bearer {secret}"}) as response:
            assert response.status == status
    assert "3600 s" in said["reasons"][0]


async def test_a_clock_is_measured_each_minute_and_after_an_outage(database):
    seconds = [0.0]
    clock = DatabaseClock(elapsed=lambda: seconds[-1])
    watch = ClockWatch(database, clock)

    def differs():
        return clock.problem is not None

    with capture_logs() as log:
        await watch.look()
        assert clock.offset_seconds == pytest.approx(0, abs=2)

        seconds.append(59)  # PostgreSQL's clock stood still meanwhile, as this count says
        await watch.look()
        assert differs()
        seconds.append(61)
        await watch.look()
        assert not differs()

        seconds.append(90)
        await watch.look(is_reachable=False)
        assert differs()
        await watch.look()
        assert not differs()
    assert [line["event"] for line in log] == ["clock.began_to_differ", "clock.agrees_again"] * 2

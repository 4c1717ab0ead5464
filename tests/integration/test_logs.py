"""What the sidecar logs: events an operator can act on, once each, and no secrets."""

from collections import Counter

from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import nobody_let_in, prepare_audit_log
from tests.neighbours.client import connected
from tests.neighbours.ops import degraded, recovered
from tests.neighbours.services import running_sidecar

CALLS = 30


async def call(port, secret, count, target="/api/v1/hosts"):
    async with connected(port) as client:
        for _ in range(count):
            await client.ask(
                f"GET {target} HTTP/1.1\r\nHost: podwarden\r\n"
                f"Authorization: Bearer {secret}\r\n\r\n".encode()
            )


async def test_from_start_to_stop_each_change_is_one_line_of_json_without_a_token(
    postgres, database, database_url, upstream
):
    secret = await prepare_audit_log(database)
    async with running_sidecar(upstream.url, database_url) as sidecar:
        await call(sidecar.port, secret, CALLS)
        await arrived(database, CALLS)
        async with nobody_let_in(postgres, database_url):
            await call(sidecar.port, secret, CALLS)
            await call(sidecar.port, "pwm_invented", CALLS)
            await degraded(sidecar, "records wait in the journal")
        await arrived(database, 3 * CALLS)
        assert await sidecar.stop() == 0
        events = Counter(line["event"] for line in sidecar.log)

    assert sidecar.noise == []
    assert secret not in sidecar.report()
    assert "pwm_" not in sidecar.report()
    assert {"event", "level", "timestamp"} <= set.intersection(*map(set, sidecar.log))
    # The token cache notices by its own questions, and may not have asked again before the stop.
    became_available = events.pop("token_cache.became_available", 0)
    assert 0 <= became_available - events.pop("token_cache.became_unavailable", 0) <= 1
    # Partitions are looked at once in a while, which may be within the outage.
    assert events.pop("partitions.not_made", 0) <= 1
    assert events == Counter(
        {
            "seal.anchored_beside_the_journal": 1,
            "seal.key_made": 1,
            "service.started": 1,
            "audit.store_unavailable": 1,
            "audit.store_recovered": 1,
            "service.stopped": 1,
        }
    )


async def test_calls_are_logged_one_line_each_when_that_is_asked_for(
    database, database_url, upstream
):
    secret = await prepare_audit_log(database)
    async with running_sidecar(upstream.url, database_url, PROXY_LOG_REQUESTS="on") as sidecar:
        await recovered(sidecar)  # a call is named where its token is found in time
        await call(sidecar.port, secret, 2, "/api/v1/hosts?key=hidden")
        await call(sidecar.port, secret, 1, "/elsewhere")
        await sidecar.stop()

    lines = [line for line in sidecar.log if line["event"] == "call.ended"]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("GET", "/api/v1/hosts", 200)
    ] * 2
    assert {line["token_name"] for line in lines} == {"laptop"}
    assert secret not in sidecar.report()
    assert "hidden" not in sidecar.report()

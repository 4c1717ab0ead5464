"""The webhook: a real receiver that fails, dawdles, is dead, or is somebody else."""

import os
from ipaddress import ip_address

import pytest
from cryptography import x509

from audit_log.postgres.token_table import TokenTable
from proxy.telemetry.observers import SEEN_TOKENS_FILE
from tests.neighbours.arrivals import arrived, number_arrivals
from tests.neighbours.certificates import self_signed
from tests.neighbours.client import connected
from tests.neighbours.ops import metric, metric_becomes
from tests.neighbours.patience import eventually
from tests.neighbours.receiver import receiving
from tests.neighbours.services import refusing_port
from tests.neighbours.webhook_signature import verified

SECRET = "whsec_Q0hBTkdFLU1FLVRPLTMyLVJBTkRPTS1CWVRFUy1OT1c="
BURST = 20


@pytest.fixture
async def receiver():
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def laptop(database):
    token, secret = await TokenTable(database).create("laptop", "operator", 90)
    return token.id, secret


async def call(sidecar, secret, count=1):
    """Make *count* calls; return the status of the last."""
    status = 0
    async with connected(sidecar.port) as client:
        for _ in range(count):
            response = await client.ask(
                b"GET /api/v1/hosts HTTP/1.1\r\nHost: podwarden\r\n"
                b"Authorization: Bearer " + secret.encode() + b"\r\n\r\n"
            )
            status = response.status
    return status


def hooked(home, upstream, database_url, url, **environment):
    hook = {"PROXY_WEBHOOK_URL": url, "PROXY_WEBHOOK_SECRET": SECRET}
    return home.sidecar(upstream.url, database_url, **hook | environment)


async def fate(sidecar, fate):
    async def is_counted():
        return await metric(sidecar, "webhook_events_total", fate=fate)

    return await eventually(is_counted, sidecar.report)


async def test_the_first_use_of_a_token_is_told_once_signed_and_without_the_token(
    home, upstream, database_url, receiver, laptop
):
    token_id, secret = laptop
    async with hooked(home, upstream, database_url, receiver.url) as sidecar:
        assert await call(sidecar, secret, 3) == 200
        [sent] = await receiver.received(1)
        await fate(sidecar, "delivered")
    # The next run remembers it.
    async with hooked(home, upstream, database_url, receiver.url) as sidecar:
        await call(sidecar, secret)

    assert len(receiver.sent) == 1
    assert sent.event["type"] == "token.first_use"
    assert sent.event["data"]["token_id"] == str(token_id)
    assert sent.event["data"]["token_name"] == "laptop"
    assert sent.event["data"]["instance"] == home.instance
    assert secret.encode() not in sent.body
    # As the documents tell receivers to do.
    assert verified(SECRET, sent.fields, sent.body)
    assert not verified(SECRET, sent.fields, sent.body + b" ")
    assert not verified(SECRET, {**sent.fields, "webhook-timestamp": "1"}, sent.body)


async def test_records_are_written_while_the_file_of_seen_tokens_hangs(
    home, upstream, database, database_url, receiver, laptop
):
    home.journal.mkdir()
    # Opening a pipe to read waits until somebody opens it to write.
    os.mkfifo(home.journal / SEEN_TOKENS_FILE)
    await number_arrivals(database)
    async with hooked(home, upstream, database_url, receiver.url) as sidecar:
        await call(sidecar, laptop[1], 3)
        assert len(await arrived(database, 3)) == 3


async def test_an_event_is_sent_again_under_its_id_until_the_receiver_has_it(
    home, upstream, database_url, receiver, laptop
):
    receiver.statuses.extendleft([429, 503])
    async with hooked(home, upstream, database_url, receiver.url) as sidecar:
        await call(sidecar, laptop[1])
        sent = await receiver.received(3)
        await fate(sidecar, "delivered")
        await sidecar.logged("webhook.became_reachable")

    assert len({each.id for each in sent}) == 1
    assert sent[0].body == sent[2].body
    lines = [line for line in sidecar.log if line["event"] == "webhook.became_unreachable"]
    assert [line["reason"] for line in lines] == ["the receiver answered 503"]


async def test_a_burst_of_refused_tokens_is_told_once_and_no_call_waits_for_a_slow_receiver(
    home, upstream, database_url, receiver, laptop
):
    receiver.responding.clear()
    async with hooked(home, upstream, database_url, receiver.url) as sidecar:
        await call(sidecar, laptop[1])
        await receiver.received(1)  # which now waits for its response
        assert await call(sidecar, "pwm_invented", 2 * BURST) == 401
        await metric_becomes(sidecar, 2 * BURST, "refused_tokens_total", reason="unknown token")
        receiver.responding.set()
        _, burst = await receiver.received(2)

    assert len(receiver.sent) == 2
    assert burst.event["type"] == "tokens.refused_burst"
    assert burst.event["data"]["count"] == BURST
    assert burst.event["data"]["last_token_name"].startswith("Unknown token (")
    assert b"pwm_invented" not in burst.body


async def test_a_gap_is_told_when_it_is_written(home, upstream, database_url, database, receiver):
    async with hooked(home, upstream, database_url, receiver.url) as sidecar:
        await sidecar.kill()
    for ring in home.ring.rglob("*.head"):
        ring.unlink()
    async with hooked(home, upstream, database_url, receiver.url) as sidecar:
        [sent] = await receiver.received(1)
        await metric_becomes(sidecar, 1, "gaps_total")

    row = await database.fetch_row("SELECT id::text, reason FROM mcp_audit_gap")
    assert row is not None
    assert sent.id == row["id"]
    assert sent.event["type"] == "gap.found"
    assert sent.event["data"]["reason"] == row["reason"] == "head_lost"


async def test_a_dead_receiver_is_named_once_and_what_was_not_told_is_told_by_the_next_run(
    home, upstream, database_url, receiver, laptop
):
    with refusing_port() as nobody:
        dead = f"http://127.0.0.1:{nobody}/hook?key=hidden"
        async with hooked(home, upstream, database_url, dead) as sidecar:
            assert await call(sidecar, laptop[1]) == 200
            reason = (await sidecar.logged("webhook.became_unreachable"))["reason"]
            assert await sidecar.stop() == 0
    assert "hidden" not in sidecar.report()
    assert reason.startswith("Connect call failed")
    async with hooked(home, upstream, database_url, receiver.url) as sidecar:
        await call(sidecar, laptop[1])
        [sent] = await receiver.received(1)

    assert sent.event["type"] == "token.first_use"


async def test_no_redirect_is_followed_and_a_refused_event_holds_up_no_other(
    home, upstream, database_url, receiver, laptop
):
    receiver.statuses.extendleft([400, 302])
    async with hooked(home, upstream, database_url, receiver.url) as sidecar:
        await call(sidecar, laptop[1])
        assert (await sidecar.logged("webhook.event_refused"))["status"] == 302
        await call(sidecar, "pwm_invented", BURST)
        sent = await receiver.received(2)

        async def are_counted():
            return await metric(sidecar, "webhook_events_total", fate="refused") == 2

        assert await eventually(are_counted, sidecar.report)

    assert [each.path for each in sent] == ["/hook", "/hook"]


async def test_a_receiver_whose_certificate_nobody_vouches_for_is_told_nothing(
    home, upstream, database_url, laptop, tmp_path
):
    tls, certificate = self_signed(x509.IPAddress(ip_address("127.0.0.1")), tmp_path)
    async with receiving(tls) as receiver:
        async with hooked(home, upstream, database_url, receiver.url) as sidecar:
            await call(sidecar, laptop[1])
            await sidecar.logged("webhook.became_unreachable")
        assert receiver.sent == []
        async with hooked(
            home, upstream, database_url, receiver.url, SSL_CERT_FILE=str(certificate)
        ) as sidecar:
            await call(sidecar, laptop[1])
            await receiver.received(1)

"""What is told of and how it is signed, without a network."""

from collections import Counter
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest
from aiohttp import ClientSession
from pydantic import ValidationError

from audit_log.process.disk_thread import DiskThread
from audit_log.webhooks import signed_fields, signing_key
from proxy.settings import ProxySettings
from proxy.telemetry.health import Health
from proxy.telemetry.outbox import DELIVERED, DROPPED, Outbox, emptied
from proxy.telemetry.webhook.announcer import Announcer
from proxy.telemetry.webhook.burst import COUNT, QUIET_SECONDS, SECONDS, Burst
from proxy.telemetry.webhook.event import Event, EventType
from proxy.telemetry.webhook.seen_tokens import SeenTokens
from proxy.telemetry.webhook.sender import PATIENCE_SECONDS, REFUSED, Sender
from tests.neighbours.receiver import receiving

TOKEN = UUID("01a01234-89ab-7def-8123-456789abcdef")
OTHER = UUID("01a01234-89ab-7def-8123-456789abcdee")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_burst_is_told_with_its_last_call_and_again_only_when_it_goes_on_for_long():
    burst = Burst()
    first = COUNT - 1

    told = [second for second in range(2 * int(QUIET_SECONDS)) if burst.begins(float(second))]

    assert told == [first, first + QUIET_SECONDS]


def test_a_trickle_after_a_burst_does_not_hide_the_next_burst():
    burst = Burst()
    moments = [*range(COUNT), *range(COUNT, 1000, 30), *range(1000, 1000 + COUNT)]

    assert sum(burst.begins(float(moment)) for moment in moments) == 2


def test_what_trickles_is_no_burst():
    burst = Burst()
    pace = SECONDS / (COUNT - 2)

    assert not any(burst.begins(n * pace) for n in range(5 * COUNT))


def test_a_seen_token_is_known_to_the_next_run_and_a_torn_line_costs_that_token_only(tmp_path):
    path = tmp_path / "seen-tokens"
    seen = SeenTokens(path)
    assert seen.is_new(TOKEN)
    assert not seen.is_new(TOKEN)
    seen.keep(TOKEN)
    with path.open("a") as file:
        file.write(str(OTHER)[:20])

    again = SeenTokens(path)
    again.load()

    assert not again.is_new(TOKEN)
    assert again.is_new(OTHER)


def test_the_signature_is_that_of_the_standards_own_libraries():
    at = 1_700_000_000
    event = Event("an-id", EventType.GAP, datetime.fromtimestamp(at, UTC), {"count": None})

    fields = signed_fields(event.id, event.body, signing_key(SECRET), at)

    assert event.body == (
        b'{"type":"gap.found","timestamp":"2023-11-14T22:13:20+00:00","data":{"count":null}}'
    )
    # Computed by standardwebhooks 1.1.0 (PyPI).
    assert fields["webhook-signature"] == "v1,1bczdwQgE4zDGTOm0AQ8436uYMv/WBwRtN82UoTCm/Y="


@pytest.mark.parametrize("secret", ["", "hunter2", SECRET[6:], "whsec_YWJj", "whsec_%%%%"])
def test_a_secret_that_is_no_key_is_refused_without_being_quoted(secret):
    with pytest.raises(ValueError, match="must be whsec_") as refusal:
        signing_key(secret)

    assert not secret or secret not in str(refusal.value)


@pytest.mark.parametrize(
    "given",
    [
        {"webhook_url": "https://alerts.example"},
        {"webhook_secret": SECRET},
        {"webhook_url": "ftp://alerts.example", "webhook_secret": SECRET},
        {"webhook_url": "http://[", "webhook_secret": SECRET},
    ],
)
def test_a_webhook_needs_an_address_and_a_secret(given):
    with pytest.raises(ValidationError):
        ProxySettings(upstream_url="http://127.0.0.1:8000", **given)


async def test_the_oldest_gives_way_when_nobody_takes():
    outbox: Outbox[int] = Outbox(3, Counter())
    for number in range(5):
        outbox.offer(number)

    assert await outbox.take(10) == [2, 3, 4]
    assert outbox.fates[DROPPED] == 2
    # What was taken is not dealt with until more is asked for.
    assert await outbox.drain(0) == 3
    assert outbox.fates[DROPPED] == 5


async def test_a_budget_that_nears_is_told(tmp_path):
    outbox: Outbox[Event] = Outbox(3, Counter())
    announcer = Announcer(outbox, "sidecar-7", SeenTokens(tmp_path / "seen-tokens"))

    announcer.budget_nears(used_bytes=90, max_bytes=100, days_left=3.5)

    [event] = await outbox.take(1)
    assert event.type is EventType.BUDGET
    assert event.data == {
        "used_bytes": 90,
        "max_bytes": 100,
        "days_left": 3.5,
        "instance": "sidecar-7",
    }


async def test_credentials_in_the_address_are_sent_as_basic(tmp_path):
    outbox: Outbox[Event] = Outbox(3, Counter())
    disk = DiskThread("disk")
    async with receiving() as receiver, ClientSession() as session:
        url = receiver.url.replace("//", "//user:p%40w@")
        delivery = Sender(outbox, session, url, b"key", SeenTokens(tmp_path / "seen"), disk)
        outbox.offer(Event("an-id", EventType.GAP, datetime.now(UTC), {}))
        async with emptied(outbox, delivery.run, "webhook", health=Health(), drain_seconds=5):
            [sent] = await receiver.received(1)
    disk.end()

    assert sent.fields["Authorization"] == "Basic dXNlcjpwQHc="


async def test_an_event_that_always_meets_an_error_is_refused_after_an_hour_of_answers(tmp_path):
    outbox: Outbox[Event] = Outbox(3, Counter())
    clock = count(step=PATIENCE_SECONDS)
    disk = DiskThread("disk")
    async with receiving() as receiver, ClientSession() as session:
        receiver.statuses.extendleft([500, 500])
        seen = SeenTokens(tmp_path / "seen-tokens")
        delivery = Sender(
            outbox, session, receiver.url, b"key", seen, disk, lambda: float(next(clock))
        )
        for name in ("bad", "good"):
            outbox.offer(Event(name, EventType.GAP, datetime.now(UTC), {}))
        async with emptied(outbox, delivery.run, "webhook", health=Health(), drain_seconds=5):
            sent = await receiver.received(3)
    disk.end()

    assert [each.id for each in sent] == ["bad", "bad", "good"]
    assert +outbox.fates == {REFUSED: 1, DELIVERED: 1}

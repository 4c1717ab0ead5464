"""The delivery loop by itself: what is tried again, what is halved, what is quarantined."""

import asyncio

import pytest

from audit_log.delivery import DeliveryLoop, NamingSink
from audit_log.errors import RecordRefusedError, StoreUnavailableError
from audit_log.record import Gap, new_record_id
from tests.neighbours.journal import BEGINNING, a_record


class Store:
    """Away for the attempts that a test names, and refuses the records that it names."""

    def __init__(self, away=(), poison=()):
        self.away, self.poison = set(away), set(poison)
        self.attempts = 0
        self.kept = []

    async def append(self, records):
        self.attempts += 1
        if self.attempts in self.away:
            raise StoreUnavailableError("away")
        if any(record.id in self.poison for record in records):
            raise RecordRefusedError("poison")
        self.kept += records

    append_invocations = append_gaps = append


class Owner:
    """What the loop tells its owner, and what it does without waiting."""

    def __init__(self, *, gives_up=False):
        self.delays, self.quarantined, self.recoveries = [], [], 0
        self.gives_up = gives_up
        self.loop = DeliveryLoop(
            wait=self.wait, recovered=self.recovered, quarantine=self.quarantine
        )

    async def wait(self, error, seconds):
        self.delays.append(seconds)
        if self.gives_up:
            raise error

    def recovered(self):
        self.recoveries += 1

    async def quarantine(self, item, error):
        self.quarantined.append((item, str(error)))


async def test_an_outage_in_the_midst_of_halving_costs_neither_order_nor_a_second_quarantine():
    records = [a_record(number) for number in range(16)]
    poison = records[5]
    store, owner = Store(away={2, 3, 5, 8}, poison={poison.id}), Owner()
    await owner.loop.deliver(records, store.append)
    assert store.kept == [record for record in records if record is not poison]
    assert owner.quarantined == [(poison, "poison")]
    assert len(owner.delays) == 4


async def test_delays_double_up_to_a_limit_with_jitter():
    store, owner = Store(away=range(1, 11)), Owner()
    await owner.loop.deliver([a_record()], store.append)
    longest = [min(0.1 * 2**n, 5.0) for n in range(10)]
    pairs = list(zip(owner.delays, longest, strict=True))
    assert all(most / 2 <= delay <= most for delay, most in pairs)
    assert owner.recoveries == 1


async def test_an_owner_that_gives_up_ends_the_delivery():
    store, owner = Store(away={1}), Owner(gives_up=True)
    with pytest.raises(StoreUnavailableError):
        await owner.loop.deliver([a_record()], store.append)
    assert store.attempts == 1


async def test_nothing_is_appended_of_nothing():
    store = Store()
    await Owner().loop.deliver([], store.append)
    assert store.attempts == 0


async def test_a_cancellation_that_the_store_swallows_ends_the_loop_all_the_same():
    entered = asyncio.Event()

    async def attempt():
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise StoreUnavailableError("the connection is closed") from None

    async with asyncio.timeout(5):
        task = asyncio.create_task(Owner().loop.patiently(attempt))
        await entered.wait()
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()


async def test_an_outage_of_the_store_starts_the_patience_with_names_over(monkeypatch):
    now = 0.0
    monkeypatch.setattr("audit_log.naming.monotonic", lambda: now)

    async def find(_token_hash):
        raise StoreUnavailableError("no tokens")

    gap = Gap(
        id=new_record_id(),
        started_at=BEGINNING,
        ended_at=BEGINNING,
        count=1,
        reason="damaged",
        instance="a",
    )
    store = Store(away={1})
    sink = NamingSink(store, find)
    unnamed = [a_record(token_name=None, token_hash="a" * 64)]
    with pytest.raises(StoreUnavailableError, match="no tokens"):
        await sink.append(unnamed)
    with pytest.raises(StoreUnavailableError, match="away"):
        await sink.append_gaps([gap])
    now = 301.0
    with pytest.raises(StoreUnavailableError, match="no tokens"):
        await sink.append(unnamed)
    now = 602.0
    await sink.append(unnamed)
    [record] = store.kept
    assert record.token_name == "Unknown token (aaaaaaaa)"

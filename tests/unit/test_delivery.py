"""The delivery loop by itself: what is tried again, what is halved, what is quarantined."""

import asyncio

import pytest

from audit_log.delivery_loop import ALONE_SECONDS, DeliveryLoop, NamingSink
from audit_log.errors import RecordRefusedError, StoreAwayError, StoreUnavailableError
from audit_log.record import Gap, new_record_id
from tests.neighbours.journal import BEGINNING, a_record


class Store:
    """Away for the attempts that a test names, and refuses the records that it names.

    It fails "not now" for what is in *doubtful*, and for more than *most* at once.
    """

    def __init__(self, away=(), poison=(), doubtful=(), most=1_000):
        self.away, self.poison, self.doubtful = set(away), set(poison), set(doubtful)
        self.most = most
        self.attempts = 0
        self.failed = []
        self.kept = []

    async def append(self, records):
        self.attempts += 1
        if self.attempts in self.away:
            raise StoreAwayError("away")
        if len(records) > self.most or any(record.id in self.doubtful for record in records):
            self.failed.append(len(records))
            raise StoreUnavailableError("odd")
        if any(record.id in self.poison for record in records):
            raise RecordRefusedError("poison")
        self.kept += records

    append_invocations = append_gaps = append


class Owner:
    """What the loop tells its owner, and what it does without waiting. The clock is a test's."""

    def __init__(self, *, gives_up=False):
        self.now = 0.0
        self.delays, self.quarantined, self.recoveries = [], [], 0
        self.gives_up = gives_up
        self.loop = DeliveryLoop(
            wait=self.wait,
            recovered=self.recovered,
            quarantine=self.quarantine,
            clock=lambda: self.now,
        )

    async def wait(self, error, seconds):
        self.delays.append(seconds)
        await asyncio.sleep(0)
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


async def test_what_fails_is_sent_in_smaller_pieces_that_grow_again():
    records = [a_record(number) for number in range(400)]
    store, owner = Store(most=30), Owner()
    await owner.loop.deliver(records, store.append)
    assert store.kept == records
    assert store.failed[:4] == [400, 200, 100, 50]
    store.most = 1_000
    later = [a_record(number) for number in range(2_000)]
    store.kept, attempts = [], store.attempts
    await owner.loop.deliver(later, store.append)
    assert store.kept == later
    assert store.attempts - attempts < 25


async def test_a_store_that_is_away_does_not_make_pieces_smaller():
    records = [a_record(number) for number in range(400)]
    store, owner = Store(away=range(1, 6)), Owner()
    await owner.loop.deliver(records, store.append)
    assert store.attempts == 6


async def settle(owner):
    """Let time pass until nothing is held any more; return the seconds."""
    began = owner.now
    async with asyncio.timeout(20):
        while (seconds := owner.loop.seconds_to_retry) is not None:
            owner.now += seconds
            await owner.loop.retry_held()
    return owner.now - began


async def test_an_item_that_alone_fails_waits_apart_and_is_quarantined_in_the_end():
    records = [a_record(number) for number in range(16)]
    odd = records[5]
    store, owner = Store(doubtful={odd.id}), Owner()
    await owner.loop.deliver(records, store.append)
    assert store.kept == [record for record in records if record is not odd]
    assert not owner.loop.has_settled(owner.loop.holds)
    assert owner.quarantined == []
    assert await settle(owner) >= 6
    [(item, reason)] = owner.quarantined
    assert item is odd
    assert "while others were written: odd" in reason
    assert owner.loop.has_settled(owner.loop.holds)
    assert owner.loop.problem is None


async def test_an_item_that_failed_for_a_while_is_appended_when_it_can_be():
    records = [a_record(number) for number in range(3)]
    store, owner = Store(doubtful={records[0].id}), Owner()
    await owner.loop.deliver(records, store.append)
    await owner.loop.retry_held()
    store.doubtful.clear()
    await settle(owner)
    assert store.kept == [records[1], records[2], records[0]]
    assert owner.quarantined == []


@pytest.mark.parametrize("in_a_row", [2, 60])
async def test_items_in_a_row_that_fail_hold_up_no_other(in_a_row):
    records = [a_record(number) for number in range(100)]
    odd = records[:in_a_row]
    store, owner = Store(doubtful={record.id for record in odd}), Owner()
    async with asyncio.timeout(10):
        await owner.loop.deliver(odd, store.append)
        await owner.loop.deliver(records[in_a_row:], store.append)
    assert store.kept == records[in_a_row:]
    assert len(owner.delays) < 30
    assert owner.quarantined == []
    assert not owner.loop.has_settled(1)


async def test_a_store_that_fails_each_statement_is_not_asked_for_each_held_item():
    records = [a_record(number) for number in range(40)]
    store, owner = Store(most=0), Owner()
    await owner.loop.deliver(records, store.append)
    attempts = store.attempts
    for _ in range(10):
        await owner.loop.retry_held()
    assert store.attempts - attempts <= 10
    assert owner.quarantined == []
    assert owner.loop.problem == "40 wait and fail: odd"


async def test_while_nothing_passes_no_item_is_blamed_and_the_order_is_kept():
    records = [a_record(number) for number in range(400)]
    store, owner = Store(most=0), Owner()

    async def wait(_error, _seconds):
        if len(store.failed) > 100:
            store.most = 1_000

    owner.loop = DeliveryLoop(wait=wait, recovered=owner.recovered, quarantine=owner.quarantine)
    await owner.loop.deliver(records, store.append)
    assert store.kept == records
    assert owner.quarantined == []


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


async def test_while_every_record_is_refused_the_store_is_to_blame_and_nothing_is_quarantined():
    records = [a_record(number) for number in range(40)]
    store, owner = Store(poison={record.id for record in records}), Owner()
    await owner.loop.deliver(records, store.append)
    for _ in range(10):
        await owner.loop.retry_held()
    assert owner.quarantined == []
    assert owner.loop.problem == "40 wait and fail: poison"
    store.poison.clear()
    await settle(owner)
    assert store.kept == records
    assert owner.quarantined == []


async def test_a_store_that_refuses_more_records_than_may_be_held_is_waited_for():
    records = [a_record(number) for number in range(1_500)]
    store, owner = Store(poison={record.id for record in records}, most=2_000), Owner()

    async def wait(error, _seconds):
        assert "every record is refused: poison" in str(error)
        store.poison.clear()

    owner.loop = DeliveryLoop(wait=wait, recovered=owner.recovered, quarantine=owner.quarantine)
    await owner.loop.deliver(records, store.append)
    assert store.kept == records
    assert owner.quarantined == []


async def test_refused_records_are_quarantined_as_soon_as_another_passes():
    records = [a_record(number) for number in range(40)]
    poison = records[:30]
    store, owner = Store(poison={record.id for record in poison}), Owner()
    await owner.loop.deliver(poison, store.append)
    assert owner.quarantined == []
    await owner.loop.deliver(records[30:], store.append)
    assert [item for item, _ in owner.quarantined] == poison
    assert store.kept == records[30:]
    assert owner.delays == []


@pytest.mark.parametrize("number", [1, 2, 10])
async def test_a_few_refused_records_with_no_other_are_quarantined_after_a_long_time(number):
    records = [a_record(each) for each in range(number)]
    store, owner = Store(poison={record.id for record in records}), Owner()
    await owner.loop.deliver(records[:-1], store.append)
    owner.now = 100.0
    await owner.loop.deliver(records[-1:], store.append)
    owner.now += ALONE_SECONDS - 1
    await owner.loop.retry_held()
    assert owner.quarantined == []
    for _ in records:
        owner.now += 6
        await owner.loop.retry_held()
    assert owner.quarantined == [(record, "poison") for record in records]
    assert owner.loop.problem is None


async def test_many_refused_records_with_no_other_are_not_quarantined_however_long_it_takes():
    records = [a_record(each) for each in range(11)]
    store, owner = Store(poison={record.id for record in records}), Owner()
    await owner.loop.deliver(records, store.append)
    for _ in records:
        owner.now += ALONE_SECONDS
        await owner.loop.retry_held()
    assert owner.quarantined == []
    assert owner.loop.problem == "11 wait and fail: poison"


async def test_an_item_that_fails_as_one_held_beside_others_is_held_at_once():
    records = [a_record(number) for number in range(100)]
    odd = records[::10]
    store, owner = Store(doubtful={record.id for record in odd}), Owner()
    await owner.loop.deliver(records[:10], store.append)
    while "while others are written" not in str(owner.loop.problem):
        owner.now += owner.loop.seconds_to_retry or 0
        await owner.loop.retry_held()
    owner.delays.clear()
    await owner.loop.deliver(records[10:], store.append)
    assert owner.delays == []
    assert store.kept == [record for record in records if record not in odd]

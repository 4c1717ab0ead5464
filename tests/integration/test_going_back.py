"""Confirmed records are read again: each that is not there any more is counted."""

from functools import partial

import pytest

from audit_log.postgres.store import Store
from audit_log.process.background import BackgroundTasks
from proxy.delivery.replaced_store import ReplacedStore
from proxy.delivery.writer import Writer, writing
from proxy.journal import Limits, open_journal
from proxy.seal.checkpoints import sealing
from tests.neighbours.fleet import Fleet
from tests.neighbours.journal import a_record, everything, shared_memory, until
from tests.neighbours.patience import eventually

KEPT, LATER = 600, 40
SOME = 50
"""They fit into the ring while none is written."""
LARGER_THAN_DISK = Limits(ring_bytes=256 * 1024, segment_bytes=32 * 1024, max_bytes=1024 * 1024)
"""No segment stays after the store has it, so the ring alone has the oldest lines."""
ANOTHER_STORE = 7


@pytest.fixture
def ring():
    with shared_memory() as memory:
        yield memory / "ring"


async def at_once(look):
    await look()


async def test_what_calls_overwrite_after_the_gap_was_told_is_counted_as_well(
    tmp_path, ring, store
):
    async with open_journal(
        tmp_path / "journal", instance="sidecar-1", ring_directory=ring, limits=LARGER_THAN_DISK
    ) as (intake, journal):
        numbers = iter(range(10_000))
        for _ in range(KEPT):
            intake.offer(a_record(next(numbers), path="/" + "x" * 500))
            await everything(journal)
        await until(lambda: journal.going_back.is_possible)
        journal.going_back.store_id = ANOTHER_STORE
        [told] = await ReplacedStore(store, journal).go_back(at_once) or []
        for _ in range(LATER):
            intake.offer(a_record(next(numbers), path="/" + "x" * 500))
        records, gaps = await everything(journal)
    first = next(n for n in range(10_000) if a_record(n).created_at == told.ended_at)
    assert told.reason == "store_lost"
    assert len(records) + sum(gap.count or 0 for gap in gaps) == KEPT + LATER - first


class BusyStore(Store):
    """A store; when it is asked for a record, calls come before it says."""

    def __init__(self, database, calls):
        super().__init__(database)
        self._calls = calls

    async def has(self, record):
        self._calls()
        return await super().has(record)


async def has_last(database, number):
    path = f"/{number}/%"
    return await database.fetch("SELECT FROM mcp_audit_log WHERE path LIKE $1", path)


@pytest.mark.parametrize(
    ("lacks_from", "kinds"),
    [(500, set()), (100, {"deleted"})],
    ids=["the store has what is overwritten", "the store lacks it"],
)
async def test_what_calls_overwrite_is_no_forgery_to_the_seal(
    tmp_path, ring, database, database_url, capsys, lacks_from, kinds
):
    fleet = Fleet(database_url, database, [], tmp_path / "policy", tmp_path / "anchor", capsys)
    numbers, tasks = iter(range(10_000)), BackgroundTasks()

    def call(times):
        for number in (next(numbers) for _ in range(times)):
            intake.offer(a_record(number, path=f"/{number}/" + "x" * 500))

    async with open_journal(
        tmp_path / "journal",
        instance="sidecar-1",
        ring_directory=ring,
        limits=LARGER_THAN_DISK,
        key_file=tmp_path / "key",
    ) as (intake, journal):
        store = BusyStore(database, partial(call, LATER))
        replaced = ReplacedStore(store, journal, look_seconds=0.1)
        async with sealing(journal.log, store, "sidecar-1", tasks) as checkpoints:
            assert checkpoints is not None
            writer = Writer(journal, store, None, replaced=replaced, seal=checkpoints.seal)
            async with writing(writer, tasks, drain_seconds=10):
                for _ in range(KEPT // SOME):
                    call(SOME)
                    await until(lambda: not journal.has_unwritten)
                await fleet.has_signed(KEPT)
                await until(lambda: journal.going_back.is_possible)
                await database.execute("DELETE FROM mcp_audit_log WHERE seq >= $1", lacks_from)
                journal.going_back.store_id = ANOTHER_STORE
                await eventually(partial(has_last, database, KEPT + LATER - 1))
                await until(lambda: not journal.has_unwritten)
    await fleet.trust()
    found = await fleet.verify()
    gaps = await database.fetch("SELECT reason, count, log FROM mcp_audit_gap ORDER BY count")
    assert found.kinds == kinds
    assert tuple(gaps[0]) == ("store_lost", LATER, None)

"""Confirmed records are read again: each that is not there any more is counted."""

import pytest

from proxy.delivery.replaced_store import ReplacedStore
from proxy.journal import Limits, open_journal
from tests.neighbours.journal import a_record, everything, shared_memory, until

KEPT, LATER = 600, 40
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

"""A damaged journal: the sidecar starts, and says exactly how much it could not recover."""

from functools import partial

import pytest

from tests.neighbours.arrivals import entries_in
from tests.neighbours.journal import segments
from tests.neighbours.ops import records
from tests.neighbours.patience import eventually

CALLS = 300
"""Less than three quarters of the journal: their tokens cannot be looked up."""
PADDING = 1_900
SEGMENTED = {"PROXY_JOURNAL_MAX_BYTES": str(1024 * 1024)}
"""Segments of a quarter of that."""


@pytest.fixture
async def kept(home, upstream, callers):
    """The segments of a journal of which nothing is in the database yet."""
    async with home.sidecar(upstream.url, **SEGMENTED) as sidecar:
        await callers.make(sidecar.port, CALLS)
    found = segments(home.journal)
    assert len(found) >= 3
    assert b"".join(path.read_bytes() for path in found).count(b'"record":') == CALLS
    return found


async def has_begun(home):
    """Say whether a record is on disk."""
    return any(b'"record":' in path.read_bytes() for path in segments(home.journal))


def cut_short(segment):
    """Cut the last line off in the middle."""
    segment.write_bytes(segment.read_bytes()[:-1_000])
    return 1


def flipped(segment):
    """Turn one bit of one byte in the middle."""
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    return 1


def unreadable(segment):
    """Have something there that cannot be read, whoever asks."""
    lines = segment.read_bytes().count(b"\n")
    segment.unlink()
    segment.mkdir()
    return lines


@pytest.mark.parametrize("damage", [cut_short, flipped, unreadable])
async def test_what_is_sound_is_recovered_and_the_rest_is_a_gap(
    home, upstream, callers, kept, database, database_url, store, damage
):
    missing = damage(kept[1])
    async with home.sidecar(upstream.url, database_url, **SEGMENTED) as sidecar:
        await callers.make(sidecar.port, 10)

        async def all_is_told():
            # Counted as lost when the batch is committed, which is after PostgreSQL shows the gap.
            counts = await records(sidecar, "written"), await records(sidecar, "lost")
            return await store.gaps() and counts == (CALLS + 10 - missing, missing)

        assert await eventually(all_is_told, sidecar.report)

    [gap] = await store.gaps()
    assert (gap.count, gap.reason, gap.instance) == (missing, "journal_damaged", home.instance)
    entries = await entries_in(database)
    paths = [entry.path for entry in entries]
    assert paths == [path for path in callers.sent if path in set(paths)]
    assert len(paths) == CALLS + 10 - missing
    assert all(entry.tells_the_truth for entry in entries)
    assert list((home.journal / "damaged").iterdir()) != []


async def test_a_last_line_that_was_torn_off_is_missed(
    home, upstream, callers, kept, database, database_url, store
):
    missing = cut_short(kept[-1]) + 1  # and the line behind it, which tells of the stop
    async with home.sidecar(upstream.url, database_url, **SEGMENTED) as sidecar:
        await callers.make(sidecar.port, 10)

        async def gap_is_told():
            return await store.gaps() and await records(sidecar, "lost") == missing

        assert await eventually(gap_is_told, sidecar.report)

    [gap] = await store.gaps()
    assert (gap.count, gap.reason) == (missing, "journal_damaged")
    assert [entry.path for entry in await entries_in(database)] == [
        path for path in callers.sent if path != callers.sent[CALLS - 1]
    ]


async def test_after_a_kill_memory_makes_up_for_a_torn_file(
    home, upstream, callers, database, database_url, store
):
    async with home.sidecar(upstream.url, **SEGMENTED) as sidecar:
        await callers.make(sidecar.port, CALLS)
        await eventually(partial(has_begun, home))
        await sidecar.kill()
    cut_short(segments(home.journal)[-1])
    async with home.sidecar(upstream.url, database_url, **SEGMENTED):
        pass

    assert [entry.path for entry in await entries_in(database)] == callers.sent
    assert await store.gaps() == []


async def test_a_lost_memory_is_a_gap_of_unknown_size(
    home, upstream, callers, database, database_url, store
):
    async with home.sidecar(upstream.url) as sidecar:
        await callers.make(sidecar.port, CALLS)
        await eventually(partial(has_begun, home))
        await sidecar.kill()
    # What a power cut does to a tmpfs.
    for path in home.ring.iterdir():
        path.unlink()
    async with home.sidecar(upstream.url, database_url) as sidecar:
        assert await eventually(store.gaps, sidecar.report)
        await callers.make(sidecar.port, 1)

    [gap] = await store.gaps()
    assert (gap.count, gap.reason) == (None, "head_lost")
    paths = [entry.path for entry in await entries_in(database)]
    on_disk, last = paths[:-1], paths[-1]
    assert on_disk == callers.sent[: len(on_disk)]
    assert len(on_disk) > 0
    assert last == callers.sent[-1]

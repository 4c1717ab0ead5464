"""Retention lets go of the seal too, and keeps what proves that it let go what was old enough."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import pytest

from audit_log.errors import StoreError
from audit_log.postgres.database import Database
from audit_log.postgres.purge import apply_retention, pruning
from audit_log.postgres.store import Store
from audit_log.retention import Retention
from audit_log.seal.times import times_leaf
from audit_log.seal.tree import subtree_hash
from audit_log.verify.roots import root_by_path
from tests.neighbours.records import a_record

NOW: Final = datetime.now(UTC)
LOG: Final = -7


def some_hashes(number: int) -> list[bytes]:
    return [Random(f"{number} {at}").randbytes(32) for at in range(256)]


async def fill(database: Database, days: list[int]) -> None:
    """Have a tile for each of *days*: so long ago its newest line was made."""
    await database.execute(
        "INSERT INTO mcp_audit_seal_log VALUES ($1, 'origin', 'key', 'here', 1)", LOG
    )
    for number, age in enumerate(days):
        newest = int((NOW - timedelta(days=age)).timestamp())
        times = times_leaf([newest - at for at in range(254)] + [newest - 1000])
        for level, hashes in ((0, some_hashes(number)), (1, [b"x" * 32] * 256)):
            await database.execute(
                "INSERT INTO mcp_audit_seal_tile VALUES ($1, $2, $3, $4)",
                *(LOG, level, number, b"".join(hashes)),
            )
        for place, data in (
            (255, times.decode()),
            (3, '["entry","an id"]'),
            (4, '["event","an id"]'),
        ):
            await database.execute(
                "INSERT INTO mcp_audit_seal_note VALUES ($1, $2, 1, $3)",
                *(LOG, 256 * number + place, data),
            )


async def tiles(database: Database) -> list[bytes]:
    rows = await database.fetch(
        "SELECT hashes FROM mcp_audit_seal_tile WHERE level = 0 ORDER BY number"
    )
    return [row[0] for row in rows]


async def pruned(database: Database) -> dict[str, int]:
    gone: dict[str, int] = {}
    async for removed in pruning(database):
        gone[removed.name] = gone.get(removed.name, 0) + removed.records
    return gone


async def test_a_tile_of_lines_that_were_let_go_keeps_the_way_from_its_times_to_its_root(database):
    await fill(database, [200, 91, 89, 1])
    await apply_retention(database, Retention(days=90))

    assert await pruned(database) == {"mcp_audit_seal_tile": 2}
    for number, stored in enumerate(await tiles(database)):
        hashes = some_hashes(number)
        if number >= 2:
            assert stored == b"".join(hashes)
        else:
            assert len(stored) == 256
            assert root_by_path(hashes[255], stored) == subtree_hash(hashes)
    rows = await database.fetch("SELECT seq, data FROM mcp_audit_seal_note ORDER BY seq")
    kept = [(row["seq"] % 256, row["data"].split('"')[1]) for row in rows]
    old, young = [(4, "event"), (255, "times")], [(3, "entry"), (4, "event"), (255, "times")]
    assert kept == old + old + young + young
    assert await pruned(database) == {}


@pytest.mark.parametrize("row_days", [None, 100])
async def test_nothing_goes_without_a_retention_or_beside_older_rows(database, row_days):
    await fill(database, [200, 91])
    if row_days is not None:
        await apply_retention(database, Retention(days=90))
        await Store(database).append([a_record(created_at=NOW - timedelta(days=250))])

    assert await pruned(database) == {}
    assert {len(hashes) for hashes in await tiles(database)} == {8192}


async def test_a_budget_lets_tiles_go_that_are_older_than_every_row(database):
    await fill(database, [30, 20, 10])
    await apply_retention(database, Retention(max_bytes=1_000_000))
    await database.execute("UPDATE mcp_audit_retention SET budget_reached_at = now()")
    await Store(database).append([a_record(created_at=NOW - timedelta(days=15))])

    assert await pruned(database) == {"mcp_audit_seal_tile": 2}


@pytest.mark.parametrize("data", ["[]", "no", '["times",1,"!"]', '["times",1,""]'])
async def test_a_tile_stays_whose_times_cannot_be_read(database, data):
    await fill(database, [200])
    await database.execute("INSERT INTO mcp_audit_seal_note VALUES ($1, 255, 1, $2)", LOG, data)
    await apply_retention(database, Retention(days=90))

    assert await pruned(database) == {}


async def test_what_was_stored_of_an_open_tile_goes_when_it_is_full(database):
    await fill(database, [1])
    for width in (8, 100):
        await database.execute(
            "INSERT INTO mcp_audit_seal_tile VALUES ($1, 0, 0, $2), ($1, 0, 1, $2)",
            *(LOG, b"".join(some_hashes(0)[:width])),
        )

    assert await pruned(database) == {"mcp_audit_seal_tile": 2}
    assert [len(hashes) // 32 for hashes in await tiles(database)] == [256, 8, 100]


@pytest.mark.parametrize(("days", "kept"), [(None, range(24, 27)), (1, range(1, 4))])
async def test_one_checkpoint_an_hour_stays_and_later_one_a_day(database, days, kept):
    """Of the day before the last 24 hours."""
    await apply_retention(database, Retention(days=days))
    await database.execute("""
INSERT INTO mcp_audit_seal_checkpoint (log, size, note, arrived_at)
SELECT 1, 1000 - minutes, '', date_trunc('hour', now()) - minutes * interval '10 minutes'
FROM generate_series(1, 6 * 48) AS minutes""")
    await database.execute(
        "INSERT INTO mcp_audit_seal_anchor (log, size, anchor, receipt, anchored_at, arrived_at)"
        " SELECT log, size, 'one', '', arrived_at, arrived_at FROM mcp_audit_seal_checkpoint"
    )
    gone = await pruned(database)

    assert gone["mcp_audit_seal_checkpoint"] == gone["mcp_audit_seal_anchor"]
    [row] = await database.fetch(
        "SELECT count(*) FILTER (WHERE arrived_at < now() - interval '1 day'),"
        " max(size) FROM mcp_audit_seal_checkpoint"
    )
    assert row[0] in kept
    assert row[1] == 999


async def test_pruning_takes_no_batch_that_would_hold_others_up(database):
    with pytest.raises(StoreError, match="batch"):
        await database.fetch("SELECT * FROM mcp_audit_seal_prune(100000)")

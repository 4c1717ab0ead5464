"""The seal through kills of either process, stops and power cuts, often without a database.

`SEAL_ROUNDS` says how often, three times over. Each checkpoint that was ever published is kept,
and each is checked: in the store, and where an anchor has them on another volume. By the word of
that anchor `verify` finds the log genuine.
"""

import asyncio
import os
from contextlib import suppress
from random import SystemRandom
from signal import SIGKILL

import pytest

from tests.neighbours.arrivals import entries_in
from tests.neighbours.callers import received
from tests.neighbours.fleet import Fleet
from tests.neighbours.journal_files import empty
from tests.neighbours.ops import metric
from tests.neighbours.patience import eventually
from tests.neighbours.processes import recorder_of
from tests.neighbours.sealed_trail import opened, sealed_logs

ROUNDS = int(os.environ.get("SEAL_ROUNDS", "100"))
CHECKED_EVERY = 25
CLIENTS = 4
LONGEST_LIFE_SECONDS = 2.5
POWER_CUTS = 0.05
chance = SystemRandom()


async def kill_the_recorder(sidecar):
    """Kill it at a random moment of each of its lives, until cancelled."""
    killed = 0
    with suppress(asyncio.CancelledError):
        while True:
            killed = await recorder_of(sidecar, besides=killed)
            await asyncio.sleep(chance.uniform(0, LONGEST_LIFE_SECONDS / 2))
            os.kill(killed, SIGKILL)


async def lived(sidecar, callers):
    """Load *sidecar* for a while; say whether its power was cut."""
    load = [asyncio.create_task(callers.keep_on(sidecar.port)) for _ in range(CLIENTS)]
    load.append(asyncio.create_task(callers.hold(sidecar.port)))  # a kill interrupts it
    kills = asyncio.create_task(kill_the_recorder(sidecar)) if chance.random() < 0.5 else None
    await asyncio.wait(load, timeout=chance.uniform(0, LONGEST_LIFE_SECONDS))
    if kills is not None:
        kills.cancel()
        await kills
    if chance.random() < 0.25:
        await sidecar.stop()
    else:
        await sidecar.kill()
    await asyncio.gather(*load)


async def all_is_signed(sidecar):
    """Wait until everything is written, and a checkpoint covers it."""

    async def is_signed():
        if await metric(sidecar, "journal_unwritten_bytes"):
            return False
        leaves = await metric(sidecar, "seal_leaves")
        return 0 < leaves == await metric(sidecar, "seal_signed_leaves")

    await eventually(is_signed, sidecar.report)


async def nothing_contradicts(fleet):
    """Check the log in the database, and each checkpoint that an anchor has; return it."""
    database, anchored = fleet.database, fleet.anchor
    [log] = await sealed_logs(database)
    [row] = await database.fetch("SELECT DISTINCT key FROM mcp_audit_seal_log")
    kept = [
        opened(path.read_text(), log.origin, row["key"])
        for path in anchored.rglob("*")
        if path.is_file() and path.read_text().startswith(f"{log.origin}\n")
    ]
    roots = {checkpoint.size: checkpoint.root for checkpoint in log.signed}
    assert all(roots.get(known.size, known.root) == known.root for known in kept)
    fleet.policy.write_text(f"log {row['key']}\nquorum none\n")
    found = await fleet.verify("--silent-minutes", "0")
    assert (found.status, found.findings) == (0, [])
    assert found.told["logs"][0]["words"]
    return log


@pytest.mark.parametrize("_log", ["one", "two", "three"])
async def test_no_two_checkpoints_contradict_each_other_whatever_ends(
    _log, upstream, home, callers, database, database_url, tmp_path, capsys
):
    anchored, cuts = tmp_path / "anchored", 0
    anchored.mkdir()
    fleet = Fleet(database_url, database, [], tmp_path / "policy", anchored, capsys)
    anchors = {"PROXY_SEAL_ANCHORS": f"file://{anchored}#every=1"}
    for number in range(1, ROUNDS + 1):
        # Two lives of three are spent without a database, so that the journal is left full.
        url = database_url if number % 3 == 0 else None
        async with home.sidecar(upstream.url, url, PROXY_STOP_SECONDS="1", **anchors) as sidecar:
            await lived(sidecar, callers)
            assert sidecar.noise == []
        if chance.random() < POWER_CUTS:
            empty(home.ring)
            cuts += 1
        if number % CHECKED_EVERY == 0:
            async with home.sidecar(upstream.url, database_url, **anchors) as sidecar:
                await all_is_signed(sidecar)
            log = await nothing_contradicts(fleet)
            assert cuts or log.unsealed_rows == []
    async with home.sidecar(upstream.url, database_url, **anchors) as sidecar:
        await all_is_signed(sidecar)

    log = await nothing_contradicts(fleet)
    entries = await entries_in(database)
    assert len({entry.path for entry in entries}) == len(entries)
    assert log.count("entry") + len(log.unsealed_rows) >= len(entries)
    assert cuts or set(received(upstream)) <= {entry.path for entry in entries}

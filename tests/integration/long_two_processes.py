"""What docs/reliability.md promises, for each of the two processes, in states that take long.

`OLD_BUILD` names the revision that is updated from, `UPDATE_ROUNDS` and `START_ROUNDS` how often.
"""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from random import SystemRandom

import pytest

from tests.neighbours.archives import unpacked
from tests.neighbours.arrivals import arrived, entries_in
from tests.neighbours.callers import received
from tests.neighbours.patience import eventually
from tests.neighbours.processes import is_alive, recorder_of
from tests.neighbours.program import CHECKOUT

OLD_BUILD = os.environ.get("OLD_BUILD", "b1612d3")
UPDATE_ROUNDS = int(os.environ.get("UPDATE_ROUNDS", "12"))
START_ROUNDS = int(os.environ.get("START_ROUNDS", "60"))
CLIENTS = 4
LONGEST_LIFE_SECONDS = 1.0
LONGEST_START_SECONDS = 2.5
"""A start takes about a second and a half here."""
CALLS = 300
PADDING = 1_900
"""Records are long enough for several segments and turns of the ring."""
ROOM_BYTES = 512 * 1024
chance = SystemRandom()


@pytest.fixture
def old_build(tmp_path: Path) -> Path:
    """The packages of `OLD_BUILD`."""
    archive = subprocess.run(
        ["git", "archive", OLD_BUILD, "audit_log", "proxy"],
        cwd=CHECKOUT,
        check=True,
        stdout=subprocess.PIPE,
    )
    return unpacked(archive.stdout, tmp_path)


def give_no_memory(pid):
    """Let the process have hardly more memory than it has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM_BYTES
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


async def each_once(database, upstream, callers):
    """Check that each call that the upstream received has one entry, and that nothing was lost."""
    entries = await entries_in(database)
    by_path = {entry.path: entry for entry in entries}
    assert len(entries) == len(by_path)
    assert set(received(upstream)) - set(by_path) == set()
    assert await database.fetch("SELECT * FROM mcp_audit_gap") == []
    assert [path for path in callers.responses if not by_path[path].tells_the_truth] == []


async def lived(sidecar, callers, how):
    """Load *sidecar* for a while, and end it as *how* says."""
    load = [asyncio.create_task(callers.keep_on(sidecar.port)) for _ in range(CLIENTS)]
    await asyncio.wait(load, timeout=chance.uniform(0.2, LONGEST_LIFE_SECONDS))
    if how == "kill":
        await sidecar.kill()
    else:
        assert await sidecar.stop() == 0, sidecar.report()
    await asyncio.gather(*load)


async def test_an_update_and_a_way_back_under_load_lose_nothing(
    old_build, upstream, home, callers, database, database_url
):
    """The old and the new build take turns with one journal; each life ends under load."""
    for number in range(UPDATE_ROUNDS):
        url = database_url if number % 3 else None
        how = "kill" if number % 4 < 2 else "stop"
        # The old build knows the directory of the ring by its former name.
        was = {"PYTHONPATH": str(old_build), "PROXY_JOURNAL_HEAD_DIR": str(home.ring)}
        async with home.sidecar(upstream.url, url, **was) as old:
            await lived(old, callers, how)
        async with home.sidecar(upstream.url, url, PROXY_STOP_SECONDS="1") as new:
            await lived(new, callers, how)
        # The way back is by an orderly stop: the old build cannot read what a kill leaves.
        async with home.sidecar(upstream.url, database_url):
            pass

    await each_once(database, upstream, callers)


async def test_a_start_that_is_killed_again_and_again_loses_nothing(
    upstream, home, callers, database, database_url
):
    async with home.sidecar(upstream.url) as sidecar:
        await callers.make(sidecar.port, CALLS)
        await sidecar.kill()
    environment = {
        **home.environment,
        "PATH": os.environ["PATH"],
        "AUDIT_LOG_DATABASE_URL": database_url,
        "PROXY_UPSTREAM_URL": upstream.url,
        "PROXY_PORT": "0",
        "PROXY_OPS_PORT": "0",
    }
    for _ in range(START_ROUNDS):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy"),
            cwd=CHECKOUT,
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
        )
        await asyncio.sleep(chance.uniform(0, LONGEST_START_SECONDS))
        process.send_signal(signal.SIGKILL)
        await process.wait()
    async with home.sidecar(upstream.url, database_url):
        await arrived(database, CALLS)

    await each_once(database, upstream, callers)


async def test_a_recorder_without_memory_costs_no_call_and_no_record(
    upstream, home, callers, database, database_url
):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 1)
        recorder = await recorder_of(sidecar)
        give_no_memory(recorder)
        await callers.make(sidecar.port, 10 * CALLS)
        if is_alive(recorder):
            os.kill(recorder, signal.SIGKILL)  # as the kernel does

        async def is_another():
            return await recorder_of(sidecar) != recorder

        await eventually(is_another, sidecar.report)
        await arrived(database, len(callers.sent))
    assert sidecar.noise == []

    await each_once(database, upstream, callers)

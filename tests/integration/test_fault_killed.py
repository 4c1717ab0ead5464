"""A stopped or killed sidecar: each call that the upstream received has one entry, a true one.

Either of its processes is killed, or both.
"""

import asyncio
import logging
import os
from contextlib import suppress
from enum import StrEnum
from random import SystemRandom
from signal import SIGKILL

import pytest

from tests.neighbours.arrivals import arrived, entries_in
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import HELD, Callers, received, responding_by_path
from tests.neighbours.processes import recorder_of
from tests.neighbours.sealed_trail import sealed_logs

ROUNDS = int(os.environ.get("FAULT_KILL_ROUNDS", "6"))
"""Six: each end with and without a database. `make test-long` asks for many more."""
CLIENTS = 8
LONGEST_LIFE_SECONDS = 0.6
STOP_SECONDS = 0.2
"""The longest that a stop waits for calls, then for the writer, then for the journal."""
chance = SystemRandom()
said = logging.getLogger(__name__)


class End(StrEnum):
    """How a life of the sidecar ends."""

    KILL = "kill"
    STOP = "stop"
    KILL_IN_STOP = "kill while it stops"


@pytest.fixture
async def secret(database):
    return await prepare_audit_log(database)


async def kill_the_recorder(sidecar):
    """Kill it at a random moment of each of its lives, until cancelled; it is started again."""
    killed = 0
    with suppress(asyncio.CancelledError):
        while True:
            killed = await recorder_of(sidecar, besides=killed)
            await asyncio.sleep(chance.uniform(0, LONGEST_LIFE_SECONDS / 2))
            os.kill(killed, SIGKILL)


async def end(sidecar, how):
    if how is End.KILL:
        await sidecar.kill()
        return
    stop = asyncio.create_task(sidecar.stop())
    if how is End.KILL_IN_STOP:
        # Not longer than the whole stop takes.
        await asyncio.wait({stop}, timeout=chance.uniform(0, 3 * STOP_SECONDS))
        await sidecar.kill()
    assert await stop in {0, -SIGKILL}, sidecar.report()


async def ended_under_load(running, callers, how):
    """Load a sidecar, end it at a random moment, and let every client find out."""
    async with running as sidecar:
        load = [asyncio.create_task(callers.keep_on(sidecar.port)) for _ in range(CLIENTS)]
        load.append(asyncio.create_task(callers.hold(sidecar.port)))
        kills = asyncio.create_task(kill_the_recorder(sidecar)) if chance.random() < 0.5 else None
        await asyncio.wait(load, timeout=chance.uniform(0, LONGEST_LIFE_SECONDS))
        if kills is not None:
            # In some lives the last one right before the end: both are killed at once.
            kills.cancel()
            await kills
        await end(sidecar, how)
        assert sidecar.noise == []
        await asyncio.gather(*load)


async def test_every_call_the_upstream_received_has_one_entry_after_kills_at_random_moments(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers = Callers(secret)
    ends = list(End)
    for number in range(ROUNDS):
        # Every other life is spent without a database, so that the journal is left full.
        url = database_url if number % 2 else None
        life = home.sidecar(upstream.url, url, PROXY_STOP_SECONDS=str(STOP_SECONDS))
        await ended_under_load(life, callers, ends[number % len(ends)])
    async with home.sidecar(upstream.url, database_url):
        pass  # It stops only when everything is written.

    entries = await entries_in(database)
    by_path = {entry.path: entry for entry in entries}
    log = received(upstream)
    missing, double = set(log) - set(by_path), len(entries) - len(by_path)
    said.info(
        "%d ends, %d calls received, %d answered, %d interrupted, %d missing, %d double",
        ROUNDS, len(log), len(callers.responses), sum(entry.is_interrupted for entry in entries),
        len(missing), double,
    )  # fmt: skip
    assert len(set(log)) == len(log)
    assert double == 0
    assert missing == set()
    assert set(by_path) <= set(callers.sent), "invented"
    assert await database.fetch("SELECT * FROM mcp_audit_gap") == [], "nothing was lost"
    assert {entry.token_name for entry in entries} == {"laptop"}
    [sealed] = await sealed_logs(database)
    assert sealed.unsealed_rows == []
    assert sealed.count("entry") >= len(entries)

    assert [path for path in callers.responses if not by_path[path].tells_the_truth] == []
    unanswered = [entry for entry in entries if entry.path not in callers.responses]
    early = [entry for entry in unanswered if not entry.is_interrupted]
    # A record is made right before the last bytes of the response are sent, so that a call whose
    # caller has been answered is never without one. A kill between these two steps leaves the
    # upstream's true answer in the log of a call that its caller got no answer to.
    assert [entry for entry in early if not entry.tells_the_truth] == []
    assert len(early) <= CLIENTS * ROUNDS
    held = [entry for entry in entries if entry.path.startswith(HELD)]
    assert all(entry.is_interrupted for entry in held)


async def test_a_sidecar_killed_before_it_wrote_anything_is_made_up_for_by_the_next_alone(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers = Callers(secret)
    async with home.sidecar(upstream.url) as sidecar:
        await callers.make(sidecar.port, 100)
        held = asyncio.create_task(callers.hold(sidecar.port))
        async with asyncio.timeout(10):
            while len(upstream.calls) < 101:
                await asyncio.sleep(0.01)
        await sidecar.kill()
        await held
    async with home.sidecar(upstream.url, database_url):
        entries = await arrived(database, 101)

    assert [entry.path for entry in entries] == callers.sent
    assert all(entry.tells_the_truth for entry in entries[:-1])
    assert entries[-1].is_interrupted
    assert entries[-1].token_name == "laptop"

"""A killed sidecar: every call that the upstream received has one entry, and a true one."""

import asyncio
import logging
import os
from random import SystemRandom

import pytest

from tests.neighbours.arrivals import arrived, entries_in
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import HELD, Callers, answering_by_path, received

ROUNDS = int(os.environ.get("FAULT_KILL_ROUNDS", "5"))
"""`make test-long` asks for many more."""
CLIENTS = 8
LONGEST_LIFE_SECONDS = 0.6
said = logging.getLogger(__name__)


@pytest.fixture
async def secret(database):
    return await prepare_audit_log(database)


async def killed_under_load(running, callers):
    """Load a sidecar, kill it at a random moment, and let every client find out."""
    async with running as sidecar:
        load = [asyncio.create_task(callers.keep_on(sidecar.port)) for _ in range(CLIENTS)]
        load.append(asyncio.create_task(callers.hold(sidecar.port)))
        await asyncio.wait(load, timeout=SystemRandom().uniform(0, LONGEST_LIFE_SECONDS))
        assert sidecar.noise == []
        await sidecar.kill()
        await asyncio.gather(*load)


async def test_every_call_the_upstream_received_has_one_entry_after_kills_at_random_moments(
    upstream, home, database, database_url, secret
):
    upstream.plan(answering_by_path)
    callers = Callers(secret)
    for number in range(ROUNDS):
        # Every other life is spent without a database, so that the journal is left full.
        url = database_url if number % 2 else None
        await killed_under_load(home.sidecar(upstream.url, url), callers)
    async with home.sidecar(upstream.url, database_url):
        pass  # It stops only when everything is written.

    entries = await entries_in(database)
    by_path = {entry.path: entry for entry in entries}
    assert len(by_path) == len(entries), "duplicates"
    log = received(upstream)
    assert len(set(log)) == len(log)
    assert set(log) <= set(by_path), "missing"
    assert set(by_path) <= set(callers.sent), "invented"
    assert {entry.token_name for entry in entries} == {"laptop"}

    assert [path for path in callers.answered if not by_path[path].tells_the_truth] == []
    unanswered = [entry for entry in entries if entry.path not in callers.answered]
    early = [entry for entry in unanswered if not entry.is_interrupted]
    # A record is made right before the last bytes of the answer are sent, so that a call whose
    # caller has been answered is never without one. A kill between these two steps leaves the
    # upstream's true answer in the log of a call that its caller got no answer to.
    assert [entry for entry in early if not entry.tells_the_truth] == []
    assert len(early) <= CLIENTS * ROUNDS
    held = [entry for entry in entries if entry.path.startswith(HELD)]
    assert all(entry.is_interrupted for entry in held)
    said.info(
        "%d kills, %d calls received, %d answered, %d interrupted, %d recorded and not yet sent",
        ROUNDS, len(log), len(callers.answered), len(unanswered) - len(early), len(early),
    )  # fmt: skip


async def test_a_sidecar_killed_before_it_wrote_anything_is_made_up_for_by_the_next_alone(
    upstream, home, database, database_url, secret
):
    upstream.plan(answering_by_path)
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

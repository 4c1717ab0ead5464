"""The kernel kills for want of memory: it takes the recorder, and nothing is lost."""

import asyncio
import os
import signal
from functools import partial

import pytest

from tests.neighbours.arrivals import arrived, entries_in
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import Callers, received, responding_by_path
from tests.neighbours.journal_home import journal_home
from tests.neighbours.patience import eventually
from tests.neighbours.processes import recorder_of
from tests.system.memory_group import memory_group

ROUNDS = 3


@pytest.mark.skipif(os.geteuid() != 0, reason="control groups are root's")
async def test_the_recorder_goes_first_and_each_call_is_recorded_once(
    upstream, database, database_url
):
    secret = await prepare_audit_log(database)
    upstream.plan(responding_by_path)
    callers, enough = Callers(secret), asyncio.Event()
    with memory_group() as group, journal_home() as home:
        settings = {
            "AUDIT_LOG_LOG_FORMAT": "json",
            "AUDIT_LOG_DATABASE_URL": database_url,
            "PROXY_UPSTREAM_URL": upstream.url,
            "PROXY_PORT": "0",
            "PROXY_OPS_PORT": "0",
            **home.environment,
        }
        async with group.running("proxy", settings) as sidecar:
            load = [
                asyncio.create_task(callers.roam(lambda: sidecar.port, enough)) for _ in range(4)
            ]
            recorder = 0
            for _ in range(ROUNDS):
                recorder = await recorder_of(sidecar, besides=recorder)
                # It gives back what it took for its work.
                await eventually(partial(more_rows, database, len(callers.responses)))
                await asyncio.to_thread(group.run_short)
            await recorder_of(sidecar, besides=recorder)
            enough.set()
            await asyncio.gather(*load)
            entries = await arrived(database, len(callers.sent))
        ends = [line["code"] for line in sidecar.log if line["event"] == "recorder.ended_early"]
        assert group.kills == ROUNDS

    assert ends == [-signal.SIGKILL] * ROUNDS
    assert sorted(entry.path for entry in entries) == sorted(received(upstream))
    assert all(entry.tells_the_truth for entry in entries)
    assert await database.fetch("SELECT FROM mcp_audit_gap") == []


async def more_rows(database, count):
    return len(await entries_in(database)) > count

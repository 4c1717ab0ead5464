"""A link of 50 kB/s to PostgreSQL: what waits takes longer than a statement may, and passes."""

import asyncio

from tests.neighbours.arrivals import entries_in
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import Callers, responding_by_path
from tests.neighbours.hop import hop_to
from tests.neighbours.ops import records
from tests.neighbours.sidecar import serving_sidecar

CALLS = 1_000
PADDING = 2_000
"""Together more than 2 MB: 40 s at this rate, where a statement has 30."""


async def test_records_pass_over_a_slow_link_in_smaller_batches(upstream, database, database_url):
    upstream.plan(responding_by_path)
    callers = Callers(await prepare_audit_log(database), padding=PADDING)
    async with hop_to(database_url) as hop, serving_sidecar(upstream.url, hop.url) as sidecar:
        await callers.make(sidecar.port, 1)
        hop.black_hole()
        await callers.make(sidecar.port, CALLS - 1)
        hop.seconds_per_byte = 1 / 50_000
        hop.cut()
        hop.restore()
        async with asyncio.timeout(300):
            while len(await entries_in(database)) < CALLS:
                await asyncio.sleep(1)
        assert [entry.path for entry in await entries_in(database)] == callers.sent
        assert await records(sidecar, "quarantined") == 0

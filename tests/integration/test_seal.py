"""What a sidecar seals: each line of its journal, and nothing that is not stored."""

import asyncio
import os
from collections import Counter
from functools import partial

import pytest

from tests.neighbours.arrivals import arrived
from tests.neighbours.callers import responding_by_path
from tests.neighbours.patience import eventually
from tests.neighbours.sealed_trail import sealed_logs
from tests.neighbours.sidecar import serving_sidecar


async def the_log(database):
    [log] = await sealed_logs(database)
    return log


async def test_each_call_and_start_and_stop_have_a_leaf(upstream, callers, database, database_url):
    async with serving_sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 300)
        await arrived(database, 300)

    log = await the_log(database)
    kinds = Counter(data.split(b'"')[1].decode() for data in log.leaves)
    assert kinds == {"entry": 300, "event": 2, "times": 1}
    assert [b'"start"' in log.leaves[0], b'"stop"' in log.leaves[-1]] == [True, True]
    assert (log.unsealed_rows, len(log.rows)) == ([], 300)

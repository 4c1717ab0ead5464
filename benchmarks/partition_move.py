"""`python -m benchmarks.partition_move`: how long others wait while a month is moved.

Rows wait in the default partition, as after a month whose partition could not be made. They are
moved into their month while one writer appends and one reader asks for the newest page.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Final

from audit_log.errors import LockTimeoutError
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.search import RecordQuery, search
from audit_log.postgres.store import Store
from audit_log.record import AuditRecord, Outcome, new_record_id
from audit_log.schema.migrate import migrate
from audit_log.schema.partitions import PartitionUpkeep
from deploy.local.postgres import running_postgres

_ROWS: Final = 6_000_000
_FILLED_AT_ONCE: Final = 100_000
_BATCH_RECORDS: Final = 100
_PAUSE_SECONDS: Final = 0.05
_FILL: Final = """
INSERT INTO mcp_audit_log (
    id, token_name, method, path, status_code, created_at, outcome, instance, client_ip)
SELECT gen_random_uuid(), 'token ' || n % 50, 'GET', '/api/v1/hosts/' || n, 200,
    date_trunc('month', now()) + n * interval '100 milliseconds', 'completed', 'benchmark',
    '10.0.0.1'
FROM generate_series($1::integer, $2::integer) AS n
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=_ROWS)
    chosen = options.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="partition-move-") as directory,
        running_postgres(Path(directory) / "data") as server,
    ):
        asyncio.run(_measure(server.url(), chosen.rows))


async def _measure(url: str, rows: int) -> None:
    async with (
        open_database(url, application="move") as moving,
        open_database(url, application="writer") as writing,
        open_database(url, application="reader") as reading,
    ):
        await migrate(moving)
        for first in range(1, rows + 1, _FILLED_AT_ONCE):
            await moving.execute(_FILL, first, min(first + _FILLED_AT_ONCE - 1, rows))
        await moving.execute("ANALYZE mcp_audit_log")
        is_over = asyncio.Event()
        began = monotonic()
        store = Store(writing)
        waits = [
            asyncio.create_task(_longest(lambda: store.append(_batch()), is_over)),
            asyncio.create_task(_longest(lambda: search(reading, RecordQuery()), is_over)),
        ]
        steps = await _move(moving)
        is_over.set()
        writer, page = [await wait for wait in waits]
        print(f"{rows} rows in {monotonic() - began:.0f} s, longest step {steps:.3f} s")
        print(f"longest wait: writer {writer:.3f} s, page {page:.3f} s")


async def _move(database: Database) -> float:
    """Move all rows, as the upkeep does; return the seconds of the longest step."""
    upkeep = PartitionUpkeep(database)
    longest, is_over = 0.0, False
    while not is_over:
        began = monotonic()
        with suppress(LockTimeoutError):
            await upkeep.step(datetime.now(UTC))
            is_over = upkeep.move is None
        took = monotonic() - began
        longest = max(longest, took)
        await asyncio.sleep(max(took, _PAUSE_SECONDS))
    return longest


async def _longest(work: Callable[[], Awaitable[object]], is_over: asyncio.Event) -> float:
    """Do *work* again and again until *is_over*; return the seconds of the longest time."""
    longest = 0.0
    while not is_over.is_set():
        began = monotonic()
        await work()
        longest = max(longest, monotonic() - began)
        await asyncio.sleep(_PAUSE_SECONDS)
    return longest


def _batch() -> list[AuditRecord]:
    now = datetime.now(UTC)
    return [
        AuditRecord(
            id=new_record_id(),
            created_at=now,
            method="GET",
            path="/api/v1/hosts",
            status_code=200,
            outcome=Outcome.COMPLETED,
            instance="benchmark",
            token_name="writer",
        )
        for _ in range(_BATCH_RECORDS)
    ]


if __name__ == "__main__":
    main()

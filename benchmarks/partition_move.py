"""`python -m benchmarks.partition_move`: how long others wait while a month is moved.

Rows wait in the default partition, as after a month whose partition could not be made. They are
moved into their month while one writer appends and one reader asks for the newest page. Printed
are how long a batch and a page took at most, and how much of that was waiting for a lock; the
rest is work, and waiting for processor and disk (write-ahead log, checkpoints).
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
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
_BATCH_RECORDS: Final = 100
_PAUSE_SECONDS: Final = 0.05
_SAY_SECONDS: Final = 60.0
_PREPARING_SECONDS: Final = 3_600.0
_LOOK_SECONDS: Final = 0.005
# Filled without indexes, which are built when the table becomes the default partition.
_EMPTY: Final = """
SET LOCAL maintenance_work_mem = '512MB';
DROP TABLE mcp_audit_log_default;
CREATE TABLE mcp_audit_log_default (LIKE mcp_audit_log INCLUDING DEFAULTS INCLUDING GENERATED);
"""
_ATTACH: Final = "ALTER TABLE mcp_audit_log ATTACH PARTITION mcp_audit_log_default DEFAULT"
_FILL: Final = """
INSERT INTO mcp_audit_log_default (
    id, token_name, method, path, status_code, created_at, outcome, instance, client_ip)
SELECT gen_random_uuid(), 'token ' || n % 50, 'GET', '/api/v1/hosts/' || n, 200,
    date_trunc('month', now()) + n * interval '100 milliseconds', 'completed', 'benchmark',
    '10.0.0.1'
FROM generate_series(1, $1::integer) AS n
"""

_WAITING: Final = """
SELECT application_name, extract(epoch FROM clock_timestamp() - waitstart)::float AS seconds
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE waitstart IS NOT NULL AND application_name = ANY ($1)
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
        open_database(url, application="looking") as looking,
    ):
        await migrate(moving)
        await _prepare(moving, rows)
        is_over = asyncio.Event()
        began = monotonic()
        store = Store(writing)
        writer = Longest(lambda: store.append(_batch()))
        page = Longest(lambda: search(reading, RecordQuery()))
        locks = LockWaits(looking, ("writer", "reader"))
        waiting = [asyncio.create_task(each.until(is_over)) for each in (writer, page, locks)]

        def say(so_far: str) -> None:
            took = f"batch {writer.seconds:.3f} s, page {page.seconds:.3f} s"
            held = ", ".join(f"{who} {seconds:.3f} s" for who, seconds in locks.seconds.items())
            print(
                f"{so_far} after {monotonic() - began:.0f} s; longest: {took}; for a lock: {held}",
                flush=True,
            )

        longest_step = await _move(moving, say)
        is_over.set()
        await asyncio.gather(*waiting)
        say(f"all are moved, longest step {longest_step:.3f} s,")


async def _prepare(database: Database, rows: int) -> None:
    """Put *rows* into the default partition."""
    began = monotonic()
    async with database.transaction(statement_seconds=_PREPARING_SECONDS) as transaction:
        await transaction.execute(_EMPTY)
        await transaction.execute(_FILL, rows)
        await transaction.execute(_ATTACH)
        await transaction.execute("ANALYZE mcp_audit_log")
    print(f"{rows} rows are ready after {monotonic() - began:.0f} s", flush=True)


async def _move(database: Database, say: Callable[[str], None]) -> float:
    """Move all rows, as the upkeep does; return the seconds of the longest step."""
    upkeep = PartitionUpkeep(database)
    longest, is_over, said_at = 0.0, False, monotonic()
    while not is_over:
        began = monotonic()
        with suppress(LockTimeoutError):
            await upkeep.step(datetime.now(UTC))
            is_over = upkeep.move is None
        took = monotonic() - began
        longest = max(longest, took)
        if upkeep.move is not None and monotonic() - said_at > _SAY_SECONDS:
            said_at = monotonic()
            say(f"{upkeep.move.copied} rows are copied")
        await asyncio.sleep(max(took, _PAUSE_SECONDS))
    return longest


class Longest:
    """How long some work takes at most, while it is done again and again."""

    def __init__(self, work: Callable[[], Awaitable[object]]) -> None:
        self._work = work
        self.seconds = 0.0

    async def until(self, is_over: asyncio.Event) -> None:
        """Do the work until *is_over*."""
        while not is_over.is_set():
            began = monotonic()
            await self._work()
            self.seconds = max(self.seconds, monotonic() - began)
            await asyncio.sleep(_PAUSE_SECONDS)


class LockWaits:
    """How long sessions wait for a lock at most, as PostgreSQL says every few milliseconds."""

    def __init__(self, database: Database, applications: Sequence[str]) -> None:
        self._database = database
        self.seconds = dict.fromkeys(applications, 0.0)

    async def until(self, is_over: asyncio.Event) -> None:
        """Look until *is_over*."""
        while not is_over.is_set():
            for row in await self._database.fetch(_WAITING, list(self.seconds)):
                who = row["application_name"]
                self.seconds[who] = max(self.seconds[who], row["seconds"])
            await asyncio.sleep(_LOOK_SECONDS)


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

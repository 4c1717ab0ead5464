"""Makes partitions in advance, so that there is always one for new records."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import structlog

from audit_log.errors import StoreError
from audit_log.postgres.database import Database
from audit_log.process.changes import LoggedState
from audit_log.schema.migrate import Move, ensure_partitions

INTERVAL_SECONDS: Final = 6 * 3_600.0
"""Partitions are made months ahead, so a day without PostgreSQL is harmless."""
RETRY_SECONDS: Final = 60.0
_MOVE_RETRY_SECONDS: Final = 5.0
_LEAST_PAUSE_SECONDS: Final = 0.05
_FAILURES_TOLD: Final = 3
"""One failure is no news: PostgreSQL may be away, which the writer tells."""
log = structlog.get_logger(__name__)


class PartitionUpkeep:
    """Makes the partitions of this month and the next three, again and again.

    Records of a month without a partition are in the default partition. Many of them are moved in
    small steps (migration 0011), with pauses as long as the steps, so that the writer, which may
    share the connection, waits for one step at most.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._made = LoggedState(log, fails="partitions.not_made")
        self._failures = 0
        self.move: Move | None = None
        """How far records have been moved out of the default partition, or None."""

    @property
    def problem(self) -> str | None:
        """What the operator should know, or None."""
        if self._failures >= _FAILURES_TOLD:
            return f"the partitions of the coming months cannot be made: {self._made.reason}"
        if self.move is not None:
            return (
                f"records are being moved from the default partition into their months: "
                f"{self.move.copied} of about {self.move.total} are copied"
            )
        return None

    def gauges(self) -> Iterator[tuple[str, str, float]]:
        """Yield name, help and value of each metric."""
        move = self.move or Move(0, 0)
        yield "moved_records", "Records copied out of the default partition", move.copied
        yield "moving_records", "Records that are to be moved, estimated; 0 if none", move.total

    async def run(self) -> None:
        """Repeat `step` until cancelled."""
        while True:
            began = monotonic()
            try:
                await self.step(datetime.now(UTC))
            except StoreError as error:
                self._failures += 1
                self._made.note(str(error))
                await asyncio.sleep(RETRY_SECONDS if self.move is None else _MOVE_RETRY_SECONDS)
                continue
            self._failures = 0
            self._made.note(None)
            if self.move is None:
                await asyncio.sleep(INTERVAL_SECONDS)
            else:
                await asyncio.sleep(max(monotonic() - began, _LEAST_PAUSE_SECONDS))

    async def step(self, now: datetime) -> None:
        """Make what is missing at *now*, or take one step of a move."""
        before, self.move = self.move, await ensure_partitions(self._database, now)
        if before is None and self.move is not None:
            log.info("partitions.move_began", records=self.move.total)
        elif before is not None and self.move is None:
            log.info("partitions.move_ended", records=before.copied)

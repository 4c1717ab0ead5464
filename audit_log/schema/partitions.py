"""What has to be done now and then so that records always find a place."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from audit_log.errors import StoreError
from audit_log.postgres.database import Database
from audit_log.process.changes import LoggedState
from audit_log.schema.migrate import ensure_partitions

INTERVAL_SECONDS: Final = 6 * 3_600.0
"""Partitions are made months ahead, so a day without PostgreSQL does not matter."""
RETRY_SECONDS: Final = 60.0
log = structlog.get_logger(__name__)


async def keep_partitions(database: Database) -> None:
    """Have the partitions of this month and the next ones made, for ever.

    Until one is there its records wait in the default partition, and are moved out of it.
    """
    made = LoggedState(log, fails="partitions.not_made")
    while True:
        try:
            await ensure_partitions(database, datetime.now(UTC))
        except StoreError as error:
            made.note(str(error))
            await asyncio.sleep(RETRY_SECONDS)
        else:
            made.note(None)
            await asyncio.sleep(INTERVAL_SECONDS)

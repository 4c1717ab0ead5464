"""Makes partitions in advance, so that there is always one for new records."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from audit_log.errors import StoreError
from audit_log.postgres.database import Database
from audit_log.process.changes import LoggedState
from audit_log.schema.migrate import ensure_partitions

INTERVAL_SECONDS: Final = 6 * 3_600.0
"""Partitions are made months ahead, so a day without PostgreSQL is harmless."""
RETRY_SECONDS: Final = 60.0
log = structlog.get_logger(__name__)


async def keep_partitions(database: Database) -> None:
    """Make the partitions of this month and the next three, again and again, until cancelled.

    Records of a month without a partition are in the default partition; making one moves them.
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

"""`python -m audit_log convert`: partition an adopted table while it is in use."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

from audit_log.cli.terminal import CommandError, say
from audit_log.errors import StoreUnavailableError
from audit_log.plurals import counted
from audit_log.postgres.database import Database
from audit_log.postgres.measurement import measure
from audit_log.postgres.purge import applied_retention
from audit_log.schema.conversion import BATCH_RECORDS, Conversion, Stage

_ATTEMPTS: Final = 100
_PAUSE_SECONDS: Final = 0.5
_BATCHES_A_LINE: Final = 4
Result = TypeVar("Result")


async def convert(database: Database) -> None:
    """Convert the table, or go on with an interrupted conversion."""
    conversion = Conversion(database)
    stage = await conversion.stage()
    if stage is Stage.DONE:
        say("mcp_audit_log is partitioned already")
        return
    if stage is not Stage.SWITCHED:
        await _retried(conversion.begin)
        say("going on with the copy" if stage is Stage.COPYING else "begun")
        await _copy(conversion, (await measure(database)).records)
        await verify(database)
        await _retried(conversion.switch)
        say("switched: mcp_audit_log is partitioned")
    say("the old table is kept as mcp_audit_log_adopted; drop it with: convert --drop-old")


async def verify(database: Database) -> None:
    """Compare the old table with the new one; raise `CommandError` if a record is missing."""
    conversion = Conversion(database)
    stage = await conversion.stage()
    if stage in (Stage.NOT_BEGUN, Stage.DONE):
        raise CommandError("there is no old table to compare with")
    records = wrong = 0
    async for month in conversion.compare(await _kept_since(database)):
        is_whole = stage is Stage.SWITCHED or month.copies == month.records
        say(
            f"{month.month:%Y-%m}  {counted(month.records, 'record')}, {month.copies:,} in the new"
            " table, "
            f"{month.missing:,} missing"
        )
        records += month.records
        wrong += month.missing or int(not is_whole)
    if wrong:
        raise CommandError(
            f"{counted(wrong, 'record')} of the old table"
            f" {'is' if wrong == 1 else 'are'} not in the new one as before"
            " (those that you deleted since the switch count too); the old table stays"
        )
    say(f"verified: {counted(records, 'record')}, none missing")


async def drop_old(database: Database) -> None:
    """Drop the old table, if the new one has all its records."""
    conversion = Conversion(database)
    if await conversion.stage() is not Stage.SWITCHED:
        raise CommandError("there is no old table to drop: it is kept from the switch on")
    await verify(database)
    await _retried(conversion.drop_old)
    say("dropped mcp_audit_log_adopted")


async def _copy(conversion: Conversion, expected: int) -> None:
    batches = 0
    while records := await _retried(conversion.copy):
        batches += 1
        if batches % _BATCHES_A_LINE == 0 or records < BATCH_RECORDS:
            progress = await conversion.progress()
            share = min(100, 100 * progress.copied // max(expected, 1))
            say(f"copied {progress.copied} ({share} %), up to {progress.up_to:%Y-%m-%d %H:%M}")


async def _kept_since(database: Database) -> datetime | None:
    """Return the time from which records must be there: older ones may have been purged."""
    retention = (await applied_retention(database)).retention
    return retention.keeps_from(await measure(database), datetime.now(UTC))


async def _retried(step: Callable[[], Awaitable[Result]]) -> Result:
    """Do *step*; retry while another session holds the lock it needs."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return await step()
        except StoreUnavailableError:
            await asyncio.sleep(_PAUSE_SECONDS)
    return await step()

"""`python -m audit_log purge`: preview, apply the retention, remove what it does not keep."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from audit_log.cli.terminal import CommandError, say
from audit_log.errors import StoreUnavailableError
from audit_log.log_size import Kind, LogSize, Part
from audit_log.plurals import counted
from audit_log.postgres.database import Database
from audit_log.postgres.measurement import measure
from audit_log.postgres.purge import applied_retention, apply_retention, pruning, purging
from audit_log.retention import Retention

_ATTEMPTS: Final = 10
_PAUSE_SECONDS: Final = 3.0


async def purge(
    database: Database, retention: Retention, *, is_dry_run: bool, is_confirmed: bool
) -> None:
    """Apply *retention* and remove what it does not keep; with *is_dry_run* only preview it.

    Raises `CommandError` if more than half of the log would go and that is not confirmed.
    """
    now = datetime.now(UTC)
    applied = (await applied_retention(database)).retention
    log_size = await measure(database)
    moment = retention.keeps_from(log_size, now)
    is_cut_short = retention.is_cut_short(applied, log_size, now)
    if is_dry_run:
        _preview(log_size, moment)
        if is_cut_short:
            say("it cuts the log short by more than half: purge will ask for --yes")
        return
    if is_cut_short and not is_confirmed:
        raise CommandError(
            "this cuts the log short by more than half; look at it with --dry-run, "
            "then confirm it with --yes"
        )
    if retention != applied:
        await apply_retention(database, retention)
        say(f"applied: {_in_words(retention)}")
    if moment is None:
        say("nothing has to go")
    else:
        await _remove(database, moment)
    async for pruned in pruning(database):
        say(f"pruned {counted(pruned.records, 'row')} of {pruned.name}")


def _preview(log_size: LogSize, moment: datetime | None) -> None:
    """Say which partitions go as a whole, and how much of the other tables."""
    going = [part for part in log_size.parts if _share_before(part, moment)]
    if moment is None or not going:
        say("nothing would go")
        return
    for part in going:
        say(_line(part, moment, _share_before(part, moment)))
    records = sum(round(part.records * _share_before(part, moment)) for part in going)
    used = sum(round(part.used_bytes * _share_before(part, moment)) for part in going)
    size = f"about {counted(records, 'row')}, {counted(used, 'byte')}"
    say(f"would go: all before {moment:%Y-%m-%d %H:%M} UTC, {size}")


def _line(part: Part, moment: datetime, share: float) -> str:
    until = min(moment, part.ends) if part.ends else moment
    how = "dropped" if share == 1 and part.kind is Kind.PARTITION else "cleaned"
    return (
        f"{part.name:24}  {how}  from {part.oldest:%Y-%m-%d} to {until:%Y-%m-%d %H:%M}  "
        f"about {counted(round(part.records * share), 'row')},"
        f" {counted(round(part.used_bytes * share), 'byte')}"
    )


def _share_before(part: Part, moment: datetime | None) -> float:
    """Return the share of *part* that arrived before *moment*, if it arrived evenly."""
    if moment is None or part.oldest is None or part.oldest >= moment:
        return 0.0
    now = datetime.now(UTC)
    ends = min(part.ends or now, now)
    if ends <= moment:
        return 1.0
    return (moment - part.oldest) / max(ends - part.oldest, timedelta(seconds=1))


async def _remove(database: Database, moment: datetime) -> None:
    deleted: dict[str, int] = {}
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            async for removed in purging(database, moment):
                if removed.is_whole:
                    say(
                        f"dropped {removed.name}: "
                        f"about {counted(removed.records, 'row')},"
                        f" {counted(removed.bytes, 'byte')}"
                    )
                else:
                    deleted[removed.name] = deleted.get(removed.name, 0) + removed.records
            break
        except StoreUnavailableError:
            # A reader holds the partition. Waiting for it would block later queries, so retry.
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
    for table, records in deleted.items():
        say(f"deleted {counted(records, 'row')} of {table}")
    say(f"kept: everything since {moment:%Y-%m-%d %H:%M} UTC")


def _in_words(retention: Retention) -> str:
    days = counted(retention.days, "day") if retention.days else None
    size = counted(retention.max_bytes, "byte") if retention.max_bytes else None
    return " and at most ".join(filter(None, (days, size))) or "for ever"

"""Retention: purges old records as the settings say, and forecasts when the budget is reached."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from audit_log.errors import StoreError
from audit_log.forecast import Forecast
from audit_log.log_size import LogSize
from audit_log.postgres.database import Database
from audit_log.postgres.measurement import measure
from audit_log.postgres.purge import Applied, applied_retention, apply_retention, pruning, purging
from audit_log.process.changes import LoggedState
from audit_log.retention import Retention

INTERVAL_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 60.0
BudgetNears = Callable[[int, int, float | None], object]
"""Is called with the bytes used, the budget in bytes, and the days left, or None if not known."""
log = structlog.get_logger(__name__)


class RetentionUpkeep:
    """Applies the sidecar's retention at its start, and purges by it. Several may do so at once.

    It removes nothing while another retention is applied in the database: the operator has to
    decide which one holds.
    """

    def __init__(
        self,
        database: Database,
        retention: Retention,
        *,
        may_cut_short: bool = False,
        budget_nears: BudgetNears | None = None,
    ) -> None:
        """Keep to *retention*; refuse one that removes more than half, unless *may_cut_short*."""
        self._database = database
        self._retention = retention
        self._may_cut_short = may_cut_short
        self._budget_nears = budget_nears
        self._was_applied = False
        self._has_warned = False
        self._state = LoggedState(log, fails="retention.in_danger")
        self.problem: str | None = None
        """What the operator should look at, or None."""
        self.forecast: Forecast | None = None
        """Of the last measurement; None before the first."""

    async def run(self) -> None:
        """Repeat `look_after` until cancelled."""
        while True:
            try:
                self._note(await self.look_after(datetime.now(UTC)))
            except StoreError as error:
                # Without a retention there was nothing to do.
                if self._retention != Retention():
                    self._note(f"the retention cannot be kept now: {error}")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.sleep(INTERVAL_SECONDS)

    async def look_after(self, now: datetime) -> str | None:
        """Apply, purge and forecast; return what the operator should look at, or None."""
        applied = await applied_retention(self._database)
        log_size = await measure(self._database)
        self.forecast = Forecast.of(log_size, self._retention, now)
        if applied.retention != self._retention:
            complaint = await self._apply(applied, log_size, now)
            if complaint is not None:
                return complaint
        self._was_applied = True
        moment = self._retention.keeps_from(log_size, now)
        if moment is not None:
            await self._purge(moment)
            log_size = await measure(self._database)
            self.forecast = Forecast.of(log_size, self._retention, now)
        async for pruned in pruning(self._database):
            log.info("retention.seal_pruned", table=pruned.name, rows=pruned.records)
        warning = self.forecast.warning(self._retention, has_met_budget=applied.has_met_budget)
        self._warn(self.forecast, is_near=warning is not None)
        return warning

    def _warn(self, forecast: Forecast, *, is_near: bool) -> None:
        """Call `budget_nears` once, and again only after the budget was far in between."""
        if is_near and not self._has_warned and self._budget_nears is not None:
            budget, left = self._retention.max_bytes, forecast.days_until_budget
            self._budget_nears(forecast.bytes, budget or 0, left)
        self._has_warned = is_near

    async def _apply(self, applied: Applied, log_size: LogSize, now: datetime) -> str | None:
        if self._was_applied:
            return (
                "another retention has been applied since this sidecar started: "
                "give all the same settings, and restart those that had others"
            )
        if not self._may_cut_short and self._retention.is_cut_short(
            applied.retention, log_size, now
        ):
            return (
                "the new retention makes more than half of the log go: confirm it with "
                "AUDIT_LOG_SHORTEN_RETENTION=true or `podwarden-audit purge --yes`"
            )
        try:
            await apply_retention(self._database, self._retention)
        except StoreError as error:
            return (
                f"the retention cannot be changed ({error}): run `podwarden-audit purge` "
                "with the same settings as the owner of the audit log"
            )
        log.info(
            "retention.applied", days=self._retention.days, max_bytes=self._retention.max_bytes
        )
        return None

    async def _purge(self, moment: datetime) -> None:
        deleted: dict[str, int] = {}
        try:
            async for removed in purging(self._database, moment):
                if removed.is_whole:
                    log.info(
                        "retention.partition_dropped",
                        partition=removed.name,
                        records=removed.records,
                        bytes=removed.bytes,
                    )
                else:
                    deleted[removed.name] = deleted.get(removed.name, 0) + removed.records
        finally:
            for table, records in deleted.items():
                log.info(
                    "retention.records_deleted",
                    table=table,
                    records=records,
                    before=moment.isoformat(),
                )

    def _note(self, problem: str | None) -> None:
        # Its numbers change with each measurement; that alone is not logged.
        self._state.note(problem, kind=re.sub(r"\d+", "", problem or ""))
        self.problem = problem

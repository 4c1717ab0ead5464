"""How large the log is, how it grows, and how long it is kept: as callers get it."""

from datetime import datetime
from typing import Self

import msgspec

from audit_api.formats.entries import Moment, timestamp
from audit_log.forecast import Forecast
from audit_log.postgres.database import Database
from audit_log.postgres.measurement import measure
from audit_log.postgres.purge import applied_retention
from audit_log.retention import Retention


class Growth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The log's size by PostgreSQL's statistics, and what is to be expected; unknown is null."""

    records: int
    bytes: int
    oldest: Moment | None
    records_per_day: float | None
    bytes_per_day: float | None
    retention_days: int | None
    """Null where entries are kept for ever."""
    max_bytes: int | None
    days_until_budget: float | None
    """Until the oldest entries go for it; null where that is not to be expected."""

    @classmethod
    def of(cls, forecast: Forecast, retention: Retention) -> Self:
        """Return what callers may see."""
        return cls(
            records=forecast.records,
            bytes=forecast.bytes,
            oldest=timestamp(forecast.oldest) if forecast.oldest else None,
            records_per_day=_rounded(forecast.records_per_day),
            bytes_per_day=_rounded(forecast.bytes_per_day),
            retention_days=retention.days,
            max_bytes=retention.max_bytes,
            days_until_budget=_rounded(forecast.days_until_budget),
        )


async def growth_of(database: Database, now: datetime) -> Growth:
    """Return how the log in *database* grows, under the retention that is applied there."""
    retention = (await applied_retention(database)).retention
    return Growth.of(Forecast.of(await measure(database), retention, now), retention)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)

"""The size of the log, its growth and its retention, as callers get them."""

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
    """The log's size by PostgreSQL's statistics, and a forecast; unknown values are null."""

    records: int
    bytes: int
    oldest: Moment | None
    records_per_day: float | None
    bytes_per_day: float | None
    retention_days: int | None
    """Null if entries are kept without limit."""
    max_bytes: int | None
    days_until_budget: float | None
    """Days until the oldest entries are purged for it; null if that is not expected."""

    @classmethod
    def of(cls, forecast: Forecast, retention: Retention) -> Self:
        """Return *forecast* and *retention* as callers get them."""
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
    """Return the growth of the log in *database* under the retention that is applied there."""
    retention = (await applied_retention(database)).retention
    return Growth.of(Forecast.of(await measure(database), retention, now), retention)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)

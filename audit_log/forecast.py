"""How fast the audit log grows, and when it reaches its budget: decisions, no I/O."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audit_log.log_size import LogSize, Part
from audit_log.retention import NEVER_PURGED, Retention

LOOKED_AT: Final = timedelta(days=7)
"""Growth is measured over the youngest partitions that together cover this time."""
WARNING_DAYS: Final = 14.0
_DAY: Final = timedelta(days=1)
_LEAST_OBSERVED: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Forecast:
    """How the audit log develops if it grows as it does now."""

    records: int
    bytes: int
    """Of all files, now."""
    lasting_bytes: int
    """Of `bytes`, without the free space in past months: that goes when they are dropped."""
    oldest: datetime | None
    records_per_day: float | None
    """None until there is an hour of records."""
    bytes_per_day: float | None
    days_until_budget: float | None
    """None if there is no budget, or if it is never reached."""

    @classmethod
    def of(cls, log_size: LogSize, retention: Retention, now: datetime) -> "Forecast":
        """Return the forecast for *log_size* and *retention* at *now*."""
        records, used_bytes, seen = _youngest(log_size, now)
        is_known = seen >= _LEAST_OBSERVED
        bytes_per_day = used_bytes / (seen / _DAY) if is_known else None
        return cls(
            records=log_size.records,
            bytes=log_size.bytes,
            lasting_bytes=sum(_lasting_bytes(part, now) for part in log_size.parts),
            oldest=log_size.oldest,
            records_per_day=records / (seen / _DAY) if is_known else None,
            bytes_per_day=bytes_per_day,
            days_until_budget=_days_left(log_size, retention, bytes_per_day),
        )

    def warning(self, retention: Retention, *, has_met_budget: bool) -> str | None:
        """Return a warning for the operator, or None.

        A log that has reached its budget before is meant to stay within it, so that is no reason
        to warn; unless records should be kept for some days, and the budget removes them earlier.
        """
        budget = retention.max_bytes
        if budget is None:
            return None
        if self._is_over(budget):
            return (
                f"the audit log takes {self.bytes} bytes, and AUDIT_LOG_MAX_BYTES is {budget}: "
                "raise it, or see docs/operate.md"
            )
        left = self.days_until_budget
        if left is None or left >= WARNING_DAYS or (has_met_budget and retention.days is None):
            return None
        return (
            f"the audit log reaches AUDIT_LOG_MAX_BYTES in {left:.0f} days,"
            " then its oldest records go"
        )

    def _is_over(self, budget: int) -> bool:
        # Between two purges the log may exceed the budget by a day of growth.
        slack = (self.bytes_per_day or 0) * (NEVER_PURGED / _DAY)
        return self.lasting_bytes > budget + max(slack, budget / 10)


def _lasting_bytes(part: Part, now: datetime) -> int:
    return part.used_bytes if part.ends is not None and part.ends <= now else part.bytes


def _youngest(log_size: LogSize, now: datetime) -> tuple[int, int, timedelta]:
    """Return the records and bytes of the youngest parts, and how much time they cover."""
    records = used_bytes = 0
    seen = timedelta()
    for part in reversed(log_size.by_time):
        if part.oldest is None or part.oldest > now:
            continue  # its records have times in the future, from a wrong clock
        records += part.records
        used_bytes += part.used_bytes
        seen = now - part.oldest
        if seen >= LOOKED_AT:
            break
    return records, used_bytes, seen


def _days_left(
    log_size: LogSize, retention: Retention, bytes_per_day: float | None
) -> float | None:
    if retention.max_bytes is None or not bytes_per_day:
        return None
    if retention.days is not None and retention.days * bytes_per_day <= retention.max_bytes:
        return None  # records reach their age limit before the budget
    return max(0.0, (retention.max_bytes - log_size.used_bytes) / bytes_per_day)

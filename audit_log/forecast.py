"""How fast the audit log grows, and when its budget is reached. Does no I/O."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audit_log.extent import Extent, Part
from audit_log.retention import NEVER_PURGED, Retention

LOOKED_AT: Final = timedelta(days=7)
"""Growth is that of the youngest partitions that cover so much time."""
WARNING_DAYS: Final = 14.0
_DAY: Final = timedelta(days=1)
_LEAST_OBSERVED: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to be expected if things go on as they are."""

    records: int
    bytes: int
    """Of all files, as they are now."""
    lasting_bytes: int
    """Of them; room in the partitions of past months goes with these, and does not count."""
    oldest: datetime | None
    records_per_day: float | None
    """None until an hour has been seen."""
    bytes_per_day: float | None
    days_until_budget: float | None
    """None when there is no budget, or when it is never reached."""

    @classmethod
    def of(cls, extent: Extent, retention: Retention, now: datetime) -> "Forecast":
        """Return what *extent* and *retention* lead to."""
        records, used_bytes, seen = _youngest(extent, now)
        is_known = seen >= _LEAST_OBSERVED
        bytes_per_day = used_bytes / (seen / _DAY) if is_known else None
        return cls(
            records=extent.records,
            bytes=extent.bytes,
            lasting_bytes=sum(_lasting_bytes(part, now) for part in extent.parts),
            oldest=extent.oldest,
            records_per_day=records / (seen / _DAY) if is_known else None,
            bytes_per_day=bytes_per_day,
            days_until_budget=_days_left(extent, retention, bytes_per_day),
        )

    def warning(self, retention: Retention, *, has_met_budget: bool) -> str | None:
        """Return what the operator should know in time, or None.

        A log that has met its budget before goes round in it, as was wanted; but not when it was
        to be kept for some days, and the budget lets them go earlier.
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
        # A day's worth more than the budget is how it goes on between two purges.
        slack = (self.bytes_per_day or 0) * (NEVER_PURGED / _DAY)
        return self.lasting_bytes > budget + max(slack, budget / 10)


def _lasting_bytes(part: Part, now: datetime) -> int:
    return part.used_bytes if part.ends is not None and part.ends <= now else part.bytes


def _youngest(extent: Extent, now: datetime) -> tuple[int, int, timedelta]:
    """Return the records and bytes of the youngest parts, and how much time they cover."""
    records = used_bytes = 0
    seen = timedelta()
    for part in reversed(extent.by_time):
        if part.oldest is None or part.oldest > now:
            continue  # begun by a clock that is ahead
        records += part.records
        used_bytes += part.used_bytes
        seen = now - part.oldest
        if seen >= LOOKED_AT:
            break
    return records, used_bytes, seen


def _days_left(extent: Extent, retention: Retention, bytes_per_day: float | None) -> float | None:
    if retention.max_bytes is None or not bytes_per_day:
        return None
    if retention.days is not None and retention.days * bytes_per_day <= retention.max_bytes:
        return None  # age lets them go first
    return max(0.0, (retention.max_bytes - extent.used_bytes) / bytes_per_day)

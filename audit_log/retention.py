"""How long records are kept, and which may be removed: decisions, no I/O."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audit_log.log_size import Kind, LogSize, Part

NEVER_PURGED: Final = timedelta(days=1)
"""Younger records are kept, however small the byte budget is."""
_WHOLE_SHARE: Final = 10
"""A partition is dropped as a whole if that removes at most a tenth of the budget too much."""


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days, and in how many bytes, records are kept. None means no limit."""

    days: int | None = None
    max_bytes: int | None = None

    def keeps_from(self, log_size: LogSize, now: datetime) -> datetime | None:
        """Return the moment before which records are removed, or None if all are kept."""
        moments = [self._by_age(now), self._by_size(log_size, now)]
        return max((moment for moment in moments if moment is not None), default=None)

    def is_cut_short(self, before: "Retention", log_size: LogSize, now: datetime) -> bool:
        """Say whether a limit is less than half of *before*, or more than half of the log goes.

        The operator must confirm such a change, because removed records cannot be restored.
        """
        if self == before:
            return False
        moment, oldest = self.keeps_from(log_size, now), log_size.oldest
        return (
            _is_less_than_half(self.days, before.days)
            or _is_less_than_half(self.max_bytes, before.max_bytes)
            or (moment is not None and oldest is not None and now - moment < (now - oldest) / 2)
        )

    def _by_age(self, now: datetime) -> datetime | None:
        if self.days is None:
            return None
        # Rounded to the hour, so that old records are deleted hourly, not every few minutes.
        return (now - timedelta(days=self.days)).replace(minute=0, second=0, microsecond=0)

    def _by_size(self, log_size: LogSize, now: datetime) -> datetime | None:
        if self.max_bytes is None:
            return None
        by_age, moment = self._by_age(now), None
        excess = log_size.used_bytes - self.max_bytes
        for part in log_size.by_time:
            if excess <= 0:
                break
            if by_age is None or part.ends is None or part.ends > by_age:
                moment = _end_of_excess(part, excess, self.max_bytes // _WHOLE_SHARE, now)
            excess -= part.used_bytes
        return moment and min(moment, now - NEVER_PURGED)


def _end_of_excess(part: Part, excess: int, spare: int, now: datetime) -> datetime:
    """Return the moment before which records of *part* must go to free *excess* bytes.

    That is the end of the partition if at most *spare* bytes go in addition (see migration 0008).
    """
    ends = min(part.ends or now, now)
    if part.kind is Kind.PARTITION and ends == part.ends and part.used_bytes <= excess + spare:
        return ends  # dropping the whole partition returns its space to the file system
    begin = part.oldest or part.starts or now
    # Assumes that records arrived evenly; the next run corrects the error.
    share = min(1.0, excess / part.used_bytes) if part.used_bytes else 0.0
    return begin + (ends - begin) * share


def _is_less_than_half(wanted: int | None, before: int | None) -> bool:
    return wanted is not None and before is not None and wanted < before / 2

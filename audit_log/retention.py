"""How long records are kept: decides what may go. Does no I/O."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audit_log.extent import Extent, Kind, Part

NEVER_PURGED: Final = timedelta(days=1)
"""What is younger stays, however small the byte budget is."""
_WHOLE_SHARE: Final = 10
"""A partition is dropped as a whole if no more than this part of the budget goes needlessly."""


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days, and in how many bytes, records are kept. None is for ever."""

    days: int | None = None
    max_bytes: int | None = None

    def keeps_from(self, extent: Extent, now: datetime) -> datetime | None:
        """Return before what moment records may go, or None when all stay."""
        moments = [self._by_age(now), self._by_size(extent, now)]
        return max((moment for moment in moments if moment is not None), default=None)

    def is_cut_short(self, before: "Retention", extent: Extent, now: datetime) -> bool:
        """Say whether it is less than half of what was, or makes more than half of the log go.

        Somebody has to confirm that: what is gone does not come back.
        """
        if self == before:
            return False
        moment, oldest = self.keeps_from(extent, now), extent.oldest
        return (
            _is_less_than_half(self.days, before.days)
            or _is_less_than_half(self.max_bytes, before.max_bytes)
            or (moment is not None and oldest is not None and now - moment < (now - oldest) / 2)
        )

    def _by_age(self, now: datetime) -> datetime | None:
        if self.days is None:
            return None
        # By the hour: the edge is deleted once an hour, not every few minutes.
        return (now - timedelta(days=self.days)).replace(minute=0, second=0, microsecond=0)

    def _by_size(self, extent: Extent, now: datetime) -> datetime | None:
        if self.max_bytes is None:
            return None
        by_age, moment = self._by_age(now), None
        excess = extent.used_bytes - self.max_bytes
        for part in extent.by_time:
            if excess <= 0:
                break
            if by_age is None or part.ends is None or part.ends > by_age:
                moment = _end_of_excess(part, excess, self.max_bytes // _WHOLE_SHARE, now)
            excess -= part.used_bytes
        return moment and min(moment, now - NEVER_PURGED)


def _end_of_excess(part: Part, excess: int, spare: int, now: datetime) -> datetime:
    """Return before what moment records of *part* go, so that *excess* bytes go with them.

    That is all of it if no more than *spare* bytes go needlessly (as in migration 0008).
    """
    ends = min(part.ends or now, now)
    if part.kind is Kind.PARTITION and ends == part.ends and part.used_bytes <= excess + spare:
        return ends  # dropped as a whole: that gives the space back
    begin = part.oldest or part.starts or now
    # As if they had arrived evenly; what is wrong with that is put right the next time.
    share = min(1.0, excess / part.used_bytes) if part.used_bytes else 0.0
    return begin + (ends - begin) * share


def _is_less_than_half(wanted: int | None, before: int | None) -> bool:
    return wanted is not None and before is not None and wanted < before / 2

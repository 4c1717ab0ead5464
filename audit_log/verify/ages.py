"""Whether a row that is gone may be: what the retention lets go, and what an operator deleted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

from audit_log.retention import NEVER_PURGED

DAY: Final = 86_400


class Age(NamedTuple):
    """Between which Unix seconds a line was made; None where nothing says so."""

    since: int | None
    until: int | None

    @property
    def moments(self) -> tuple[datetime | None, datetime | None]:
        """The same as times."""
        return moment(self.since), moment(self.until)


class Fate(StrEnum):
    """Why a row is gone."""

    RETENTION = "retention"
    BY_HAND = "by hand"
    DELETED = "deleted"
    UNDECIDED = "undecided"


class Kept(NamedTuple):
    """A retention that a sidecar has signed, from a moment on."""

    since: int
    days: int | None
    """None: for ever."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What has to be there."""

    horizon: int | None
    """Older rows may be gone by the retention; None if none may."""
    source: str
    """Who says so."""
    cut: int | None
    """Every entry older than this is gone, in all logs; None if the auditor said what is kept."""

    def fate(self, age: Age) -> Fate:
        """Say why a row of this *age* is gone."""
        if age.until is not None and self.horizon is not None and age.until < self.horizon:
            return Fate.RETENTION
        if age.until is not None and self.cut is not None and age.until <= self.cut:
            return Fate.BY_HAND
        allowed = max(
            -1 if self.horizon is None else self.horizon - 1, -1 if self.cut is None else self.cut
        )
        if allowed < 0 or (age.since is not None and age.since > allowed):
            return Fate.DELETED
        return Fate.UNDECIDED


def keeping(
    now: int, kept_days: int | None, signed: Iterable[Kept], oldest_entry: int | None
) -> Keeping:
    """Return what has to be there at *now*.

    *kept_days* is the auditor's word, and then nothing else counts. *oldest_entry* is when the
    oldest sealed entry in the database was made: all older ones may have been deleted together,
    as the documented DELETE does, but no row of the last day.
    """
    if kept_days is not None:
        return Keeping(now - kept_days * DAY, f"--kept-days {kept_days}", None)
    newest = now - int(NEVER_PURGED.total_seconds())
    cut = newest if oldest_entry is None else min(oldest_entry, newest)
    return Keeping(_horizon(now, sorted(signed)), "the settings that the sidecars signed", cut)


def _horizon(now: int, signed: Sequence[Kept]) -> int | None:
    """Return before which second rows went, under each retention until the next one came."""
    ends = [*(kept.since for kept in signed[1:]), now]
    horizons = [
        end - kept.days * DAY
        for kept, end in zip(signed, ends, strict=False)
        if kept.days is not None
    ]
    return max(horizons, default=None)


def moment(seconds: int | None) -> datetime | None:
    """Return Unix *seconds* as a time; None for None, and for what is no time."""
    if not seconds:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None

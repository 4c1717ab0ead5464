"""Buckets of time in which calls are counted: of a zone's own hours and days."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from pydantic import Field

from audit_api.errors import InvalidParametersError
from audit_api.query.filter_params import Params, Times, ToolCallFilters
from audit_api.query.values import Zone

MAX_BUCKETS: Final = 1_500
_DEFAULT_BUCKETS: Final = 60
_DEFAULT_DAYS: Final = 31
_DAY: Final = timedelta(days=1)
_LONGEST_MONTH: Final = timedelta(days=31)


class Bucket(StrEnum):
    """The length of a bucket."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @property
    def length(self) -> timedelta:
        """The length as a duration; of a month the longest."""
        if self is Bucket.MONTH:
            return _LONGEST_MONTH
        return timedelta(**{f"{self.value}s": 1})

    def start(self, moment: datetime, zone: tzinfo = UTC) -> datetime:
        """Return the start of the bucket that contains *moment*, by the clocks of *zone*."""
        local = moment.astimezone(zone).replace(second=0, microsecond=0)
        if self is not Bucket.MINUTE:
            local = local.replace(minute=0)
        if self not in {Bucket.MINUTE, Bucket.HOUR}:
            local = local.replace(hour=0, fold=0)
        if self is Bucket.WEEK:
            local -= _DAY * local.weekday()
        if self is Bucket.MONTH:
            local = local.replace(day=1)
        return local.astimezone(UTC)

    def following(self, start: datetime, zone: tzinfo = UTC) -> datetime:
        """Return the start of the bucket after the one that begins at *start*."""
        if self in {Bucket.MINUTE, Bucket.HOUR}:
            return start + self.length
        # A day may have 23 or 25 hours.
        return self.start(start + self.length + _DAY / 4, zone)

    def edges(self, since: datetime, until: datetime, zone: tzinfo) -> Iterator[datetime]:
        """Yield the starts of the buckets from *since* until before *until*, and the last end."""
        start = self.start(since, zone)
        while start < until:
            yield start
            start = self.following(start, zone)
        yield start


class BucketChoice(StrEnum):
    """The length of a bucket, or that the span decides on it."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    AUTO = "auto"


# A zone's week around these is in Python's calendar.
_FIRST: Final = datetime(1, 2, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 10, 1, tzinfo=UTC)
# A span up to this long has this bucket.
_FITTING: Final = (
    (timedelta(hours=4), Bucket.MINUTE),
    (timedelta(days=8), Bucket.HOUR),
    (timedelta(days=130), Bucket.DAY),
    (timedelta(days=1_100), Bucket.WEEK),
)


class BucketParams(Params):
    """How time is divided."""

    bucket: BucketChoice = Field(
        default=BucketChoice.HOUR,
        description="the length of a bucket; `auto`: one that fits the span, which is all time "
        "where `since` is not given",
    )
    zone: Zone | None = Field(
        default=None,
        description="whose hours and days the buckets are: a time zone like `Europe/Berlin`, or "
        "an offset like `+05:30`; UTC when not given",
    )


class InvocationsStatsParams(ToolCallFilters, BucketParams):
    """The parameters of a count of tool calls."""


def divided(
    times: Times, how: BucketParams, now: datetime, oldest: datetime | None
) -> tuple[Bucket, list[datetime]]:
    """Return the length of the buckets and their edges: 60 up to *now*, unless *times* say more.

    *oldest* is when `auto` begins if they do not say since when. Raises InvalidParametersError
    for more than 1,500 buckets.
    """
    zone = how.zone or UTC
    if how.bucket is BucketChoice.AUTO:
        until = times.until or now
        since = min(times.since or oldest or until - _DAY, until - Bucket.MINUTE.length)
        span = until - since
        bucket = next((fits for most, fits in _FITTING if span <= most), Bucket.MONTH)
    else:
        bucket = Bucket(how.bucket)
        until = times.until or bucket.following(bucket.start(now, zone), zone)
        number = _DEFAULT_DAYS if bucket is Bucket.DAY else _DEFAULT_BUCKETS
        since = times.since or until - bucket.length * number
    since, until = max(since, _FIRST), min(until, _LAST)
    if until - since > bucket.length * MAX_BUCKETS:
        raise InvalidParametersError.of(
            "bucket",
            f"{MAX_BUCKETS:,} buckets are counted at most: choose longer ones, or a shorter time",
            "too_many_buckets",
        )
    return bucket, list(bucket.edges(since, until, zone))

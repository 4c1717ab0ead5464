"""Buckets of time in which calls are counted, and the limits of one count."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from pydantic import Field

from audit_api.errors import InvalidParametersError
from audit_api.query.filter_params import StoredFilters

MAX_BUCKETS: Final = 1_500
MAX_COUNTED: Final = timedelta(days=31)
_DEFAULT_BUCKETS: Final = 60


class Bucket(StrEnum):
    """The length of a bucket."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """The length as a duration."""
        return timedelta(**{f"{self.value}s": 1})

    def start(self, moment: datetime) -> datetime:
        """Return the start of the bucket that contains *moment*, in UTC."""
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return epoch + (moment - epoch) // self.length * self.length


class StatsParams(StoredFilters):
    """The parameters of a count: filters and the length of the buckets."""

    bucket: Bucket = Field(
        default=Bucket.HOUR, description="the length of a bucket; buckets begin in UTC"
    )

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Return the start and end of the count; by default the 60 buckets up to *now*.

        Raises InvalidParametersError for more than 31 days or 1,500 buckets.
        """
        length = self.bucket.length
        until = self.until or self.bucket.start(now) + length
        since = self.since or until - length * min(_DEFAULT_BUCKETS, MAX_COUNTED // length)
        if until - since > MAX_COUNTED:
            raise InvalidParametersError.of(
                "since", f"At most {MAX_COUNTED.days} days are counted", "span_too_long"
            )
        if until - since > length * MAX_BUCKETS:
            raise InvalidParametersError.of(
                "bucket", f"At most {MAX_BUCKETS} buckets are counted", "too_many_buckets"
            )
        return since, until

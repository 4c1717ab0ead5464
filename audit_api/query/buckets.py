"""Spans of time in which calls are counted, and how many of them at most."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from pydantic import Field

from audit_api.errors import InvalidParametersError
from audit_api.query.params import Filters

MAX_BUCKETS: Final = 1_500
MAX_COUNTED: Final = timedelta(days=31)
_DEFAULT_BUCKETS: Final = 60


class Bucket(StrEnum):
    """A span of time in which calls are counted."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return timedelta(**{f"{self.value}s": 1})

    def start(self, moment: datetime) -> datetime:
        """Return when the bucket of *moment* begins, in UTC."""
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return epoch + (moment - epoch) // self.length * self.length


class StatsParams(Filters):
    """Which calls are counted, and by what span of time."""

    bucket: Bucket = Field(default=Bucket.HOUR, description="the span, beginning in UTC")

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Return from when until when is counted: up to *now*, 60 buckets long, unless said."""
        length = self.bucket.length
        until = self.until or self.bucket.start(now) + length
        since = self.since or until - length * min(_DEFAULT_BUCKETS, MAX_COUNTED // length)
        if until - since > MAX_COUNTED:
            raise InvalidParametersError.of(
                "since", f"At most {MAX_COUNTED.days} days are counted", "span_too_long"
            )
        if until - since > length * MAX_BUCKETS:
            raise InvalidParametersError.of(
                "bucket", f"At most {MAX_BUCKETS} buckets are answered", "too_many_buckets"
            )
        return since, until

"""The values that occur most, as callers get them."""

from datetime import datetime, timedelta
from typing import Final, Self

import msgspec
from pydantic import Field

from audit_api.errors import InvalidParametersError
from audit_api.formats.entries import Moment, known_timestamp
from audit_api.query.buckets import BucketParams
from audit_api.query.filter_params import Params, StoredFilters
from audit_api.query.values import FacetLimit, Flag
from audit_log.postgres.reading.facet_statements import FacetBy, FacetQuery
from audit_log.postgres.reading.facets import Facet
from audit_log.postgres.rows import EARLIEST
from audit_log.postgres.usage import UNKNOWN_TOKENS

DEFAULT_FACETS: Final = 10
_DEFAULT_SPAN: Final = timedelta(days=7)
_FILTERS: Final = {
    FacetBy.TOOL: "tool",
    FacetBy.CLIENT: "client_ip",
    FacetBy.STATUS: "status",
    FacetBy.SESSION: "session",
    FacetBy.OBJECT: "object",
}


class FacetParams(Params):
    """By what calls are counted, instead of by time."""

    by: FacetBy | None = Field(
        default=None,
        description="the values with the most calls, instead of calls by time; of the last 7 days "
        "where `since` is not given",
    )
    limit: FacetLimit | None = Field(
        default=None, description="how many values of `by`, 10 if not given"
    )
    compare: Flag | None = Field(
        default=None, description="`true`: with the calls of the period before, of the same length"
    )


class StatsParams(StoredFilters, BucketParams, FacetParams):
    """The parameters of a count of API calls, by time or by a value."""

    def check(self) -> None:
        """Raise InvalidParametersError if some say nothing beside the others."""
        ways = {"bucket", "zone"} if self.by is not None else {"limit", "compare"}
        for name in sorted(ways & self.model_fields_set):
            problem = "This is for counts by time, without `by`"
            if self.by is None:
                problem = "This is for counts by a value: say `by` what"
            raise InvalidParametersError.of(name, problem, "not_together")

    def facet_query(self, by: FacetBy, now: datetime) -> FacetQuery:
        """Return the query for the values of *by*, up to the end of the minute *now*."""
        until = self.until or now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        since = self.since or until - min(_DEFAULT_SPAN, until - EARLIEST)
        earliest = since
        if self.compare:
            earliest = since - min(until - since, since - EARLIEST)
        return FacetQuery(
            by=by,
            filter=StoredFilters.filter(self.model_copy(update={"since": None, "until": None})),
            earliest=earliest,
            since=since,
            until=until,
            limit=self.limit or DEFAULT_FACETS,
        )


class ValueCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many calls have one value; what has no such value is one, too: null."""

    value: str | None
    filter: dict[str, str] | None
    """The parameters that ask for these calls; of a path template also for those below it."""
    calls: int
    changes: int
    """Calls with a method that may change something."""
    refused: int
    """By the sidecar, or by the API with 401 or 403."""
    failed: int
    """With status 5xx."""
    before: int | None
    """Calls in the period before; null if it was not asked for."""
    first: Moment | None
    last: Moment | None

    @classmethod
    def of(cls, facet: Facet, query: FacetQuery) -> Self:
        """Return *facet* as callers get it."""
        return cls(
            # What has no key is no value, though a call in it may tell a client's name.
            facet.key if facet.key is None or facet.label is None else facet.label,
            _filter_of(query.by, facet.key, facet.label),
            facet.calls,
            facet.changes,
            facet.refused,
            facet.failed,
            facet.before if query.earliest < query.since else None,
            known_timestamp(facet.first),
            known_timestamp(facet.last),
        )


def _filter_of(by: FacetBy, key: str | None, label: str | None) -> dict[str, str] | None:
    if key is None:
        return None
    if by is FacetBy.TOKEN:
        if key == UNKNOWN_TOKENS:
            return {"unknown_tokens": "true"}
        return {"token_name": escaped(key)} if key == label else {"token_id": key}
    if by is FacetBy.PATH_TEMPLATE:
        return {"path": key.replace("{id}", "*")}
    return {_FILTERS[by]: escaped(key)}


def escaped(value: str) -> str:
    """Return *value* as one of a list of values separated by commas."""
    return value.replace(",", "\\,")

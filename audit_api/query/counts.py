"""Queries for numbers: calls over time, use of tokens, and growth of the log. All are cached."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from aiohttp import web

from audit_api.formats.entries import Moment, UsedToken, timestamp
from audit_api.query.buckets import BucketChoice, InvocationsStatsParams, divided
from audit_api.query.cache import Cache
from audit_api.query.endpoint import Asked
from audit_api.query.facets import StatsParams, ValueCount
from audit_api.query.filter_params import Nothing
from audit_api.query.growth import Growth, growth_of
from audit_api.responses import json_response
from audit_log.filters import TimeFilter
from audit_log.postgres.agents.token_details import NO_DETAILS, TokenDetails, TokenDirectory
from audit_log.postgres.database import Database
from audit_log.postgres.reading.facet_statements import FacetQuery
from audit_log.postgres.reading.facets import Facet, facets_of
from audit_log.postgres.reading.sources import RECORDS, TOOL_CALLS, Source, Told
from audit_log.postgres.usage import Count, count_calls, oldest_of, tokens_used

BUCKET_FIELD: Final = "X-Audit-Bucket"
PERIOD_FIELD: Final = "X-Audit-Period"
TOTAL_FIELD: Final = "X-Audit-Total"
AskedCounts = Asked[StatsParams, Nothing] | Asked[InvocationsStatsParams, Nothing]
_CLASSES: Final = {2: "success", 3: "redirect", 4: "refusal", 5: "failure"}


class Counted(
    msgspec.Struct,
    forbid_unknown_fields=True,
    rename={"success": "2xx", "redirect": "3xx", "refusal": "4xx", "failure": "5xx"},
):
    """The number of calls that began in one bucket, by the class of their status."""

    start: Moment
    success: int = 0
    redirect: int = 0
    refusal: int = 0
    failure: int = 0
    other: int = 0
    """1xx, and 0 where the status is unknown."""
    refused: int = 0
    """By the sidecar, or by the API with 401 or 403: counted in its class, too."""


@dataclass(frozen=True, slots=True)
class Counts:
    """One method for each endpoint."""

    database: Database
    now: Callable[[], datetime]
    directory: TokenDirectory
    _tokens: Cache[list[UsedToken]] = field(default_factory=Cache)
    _counts: Cache[list[Count]] = field(default_factory=Cache)
    _facets: Cache[tuple[list[Facet], int]] = field(default_factory=Cache)
    _growth: Cache[Growth] = field(default_factory=Cache)

    async def stats(self, asked: Asked[StatsParams, Nothing]) -> web.Response:
        """Respond with the number of API calls in each bucket."""
        asked.query.check()
        if asked.query.by is not None:
            return await self._valued(asked, asked.query.facet_query(asked.query.by, self.now()))
        return await self._counted(asked, RECORDS, asked.query.filter())

    async def _valued(self, asked: Asked[StatsParams, Nothing], query: FacetQuery) -> web.Response:
        facets, total = await self._facets.get(query, lambda: facets_of(self.database, query))
        asked.reading.tell(len(facets))
        period = f"{timestamp(query.since)}/{timestamp(query.until)}"
        return json_response(
            [ValueCount.of(facet, query) for facet in facets],
            fields={PERIOD_FIELD: period, TOTAL_FIELD: str(total)},
        )

    async def tool_stats(self, asked: Asked[InvocationsStatsParams, Nothing]) -> web.Response:
        """Respond with the number of tool calls in each bucket."""
        return await self._counted(asked, TOOL_CALLS, asked.query.filter())

    async def _counted(
        self, asked: AskedCounts, source: Source[Told], wanted: TimeFilter
    ) -> web.Response:
        oldest, query = None, asked.query
        if query.bucket is BucketChoice.AUTO and query.since is None:
            oldest = await oldest_of(self.database, source)
        bucket, edges = divided(query, query, self.now(), oldest)
        asked.reading.tell(len(edges) - 1)
        counts = await self._counts.get(
            (source.table, wanted, tuple(edges)),
            lambda: count_calls(self.database, source, wanted, edges),
        )
        return json_response(filled(counts, edges), fields={BUCKET_FIELD: bucket})

    async def tokens(self, asked: Asked[Nothing, Nothing]) -> web.Response:
        """Respond with the tokens in use, last used first."""
        used = await self.used_tokens()
        asked.reading.tell(len(used))
        return json_response(used)

    async def used_tokens(self) -> list[UsedToken]:
        """Return the tokens in use, last used first."""
        return await self._tokens.get(None, self._used_tokens)

    async def _used_tokens(self) -> list[UsedToken]:
        used = await tokens_used(self.database)
        ids = [use.token_id for use in used if use.token_id is not None]
        details = await self.directory.details_of(ids)
        return [UsedToken.of(use, _details_in(details, use.token_id)) for use in used]

    async def growth(self, asked: Asked[Nothing, Nothing]) -> web.Response:
        """Respond with the size of the log, its growth, and when its budget is reached."""
        asked.reading.tell(1)
        growth = await self._growth.get(None, lambda: growth_of(self.database, self.now()))
        return json_response(growth)


def _details_in(details: Mapping[UUID, TokenDetails], token_id: UUID | None) -> TokenDetails:
    return NO_DETAILS if token_id is None else details.get(token_id, NO_DETAILS)


def filled(counts: Sequence[Count], edges: Sequence[datetime]) -> list[Counted]:
    """Return all buckets between *edges*, oldest first, empty ones too."""
    buckets = {start: Counted(timestamp(start)) for start in edges[:-1]}
    for count in counts:
        counted = buckets[count.start]
        name = _CLASSES.get(count.status_class, "other")
        setattr(counted, name, getattr(counted, name) + count.calls)
        counted.refused += count.calls * count.is_refused
    return list(buckets.values())

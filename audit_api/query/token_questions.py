"""The page of one token: who has it, when it was used, and what it did."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from aiohttp import web
from pydantic import Field

from audit_api.errors import InvalidParametersError, NotFoundError
from audit_api.formats.entries import UsedToken, timestamp
from audit_api.query.cache import Cache
from audit_api.query.endpoint import Asked
from audit_api.query.facets import DEFAULT_FACETS, ValueCount
from audit_api.query.filter_params import Params, Span
from audit_api.query.token_report import Chosen, TokenReport
from audit_api.query.values import FacetLimit, TokenRef
from audit_api.responses import json_response
from audit_log.filters import StoredFilter, one_of
from audit_log.postgres.agents.token_calls import calls_of_token
from audit_log.postgres.agents.token_details import NO_DETAILS, TokenDirectory
from audit_log.postgres.database import Database
from audit_log.postgres.reading.facet_statements import FacetBy, FacetQuery
from audit_log.postgres.reading.facets import facets_of
from audit_log.postgres.rows import EARLIEST
from audit_log.postgres.usage import TOKEN_DAYS, UNKNOWN_TOKENS


class TokenRefPath(Params):
    """A token, in the path."""

    token: TokenRef = Field(
        description="the token's id, or its name; `Unknown tokens` are all unknown ones together"
    )


class TokenParams(Span):
    """Which of a token's calls are counted."""

    limit: FacetLimit | None = Field(
        default=None, description="how many tools, clients and objects at most, 10 if not given"
    )


@dataclass(frozen=True, slots=True)
class TokenQuestions:
    """One method for the one endpoint."""

    database: Database
    now: Callable[[], datetime]
    directory: TokenDirectory
    used_tokens: Callable[[], Awaitable[Sequence[UsedToken]]]
    _reports: Cache[TokenReport | None] = field(default_factory=Cache)

    async def token(self, asked: Asked[TokenParams, TokenRefPath]) -> web.Response:
        """Respond with what is known of one token; NotFoundError if it made no call."""
        chosen = await self._chosen(asked.place.token)
        until = asked.query.until or self.now().replace(second=0, microsecond=0) + timedelta(
            minutes=1
        )
        since = asked.query.since or until - min(timedelta(days=TOKEN_DAYS), until - EARLIEST)
        limit = asked.query.limit or DEFAULT_FACETS
        report = await self._reports.get(
            (repr(chosen), since, until, limit), lambda: self._report(chosen, since, until, limit)
        )
        if report is None:
            raise NotFoundError(
                "No call was made with such a token: `/mcp-audit/tokens` lists those that were"
            )
        asked.reading.tell(1)
        return json_response(report)

    async def _chosen(self, token: str) -> Chosen:
        """Return the filter for *token*. A name of several tokens is refused, with their ids."""
        try:
            return {"token_id": one_of(UUID(token))}
        except ValueError:
            pass
        if token == UNKNOWN_TOKENS:
            return {"unknown_tokens": True}
        ids = [
            each.token_id
            for each in await self.used_tokens()
            if each.token_name == token and each.token_id is not None
        ]
        if len(ids) > 1:
            raise InvalidParametersError.of(
                "token",
                f"{len(ids)} tokens have this name: ask for one by its id, "
                + " or ".join(map(str, ids)),
                "ambiguous",
                "path",
            )
        return {"token_id": one_of(*ids)} if ids else {"token_name": one_of(token)}

    async def _report(
        self, chosen: Chosen, since: datetime, until: datetime, limit: int
    ) -> TokenReport | None:
        calls = await calls_of_token(self.database, chosen, since, until, limit)
        if calls is None:
            return None
        details = NO_DETAILS
        if calls.token_id is not None and "unknown_tokens" not in chosen:
            found = await self.directory.details_of([calls.token_id])
            details = found.get(calls.token_id, NO_DETAILS)

        async def counted(by: FacetBy, **further: Any) -> list[ValueCount]:
            query = FacetQuery(
                by=by,
                filter=StoredFilter(**chosen, **further),
                earliest=since,
                since=since,
                until=until,
                limit=limit,
            )
            facets, _ = await facets_of(self.database, query)
            return [ValueCount.of(each, query) for each in facets if each.key is not None]

        return TokenReport.of(
            chosen,
            calls,
            details,
            since=timestamp(since),
            until=timestamp(until),
            clients=await counted(FacetBy.CLIENT),
            objects=await counted(FacetBy.OBJECT, changes=True),
        )

"""The query for the timeline: tool calls and API calls in one order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from aiohttp import web

from audit_api.formats.timeline_items import EntryInTime, ToolCallInTime
from audit_api.query.around import beginning, call_with, near
from audit_api.query.cursors import next_page, read_page_cursor
from audit_api.query.endpoint import Asked
from audit_api.query.filter_params import Nothing, TimelineFilters
from audit_api.query.future import Future
from audit_api.query.params import Newest
from audit_api.query.session_questions import CALLS_OF_EACH
from audit_api.responses import json_response
from audit_log.postgres.agents.agent_sessions import first_calls_of
from audit_log.postgres.agents.timeline import TimelineFilter, TimelineQuery, search_timeline
from audit_log.postgres.database import Database
from audit_log.postgres.invocations import find_invocation
from audit_log.postgres.reading.sources import RECORDS, TOOL_CALLS
from audit_log.postgres.rows import Place
from audit_log.postgres.search import count_from
from audit_log.record import AuditRecord, Invocation


class TimelineParams(Newest, TimelineFilters):
    """The parameters of the timeline, newest first."""


@dataclass(frozen=True, slots=True)
class TimelineQuestion:
    """One method for the one endpoint."""

    database: Database
    future: Future

    async def timeline(self, asked: Asked[TimelineParams, Nothing]) -> web.Response:
        """Respond with tool calls, each with its first API calls, and API calls without one."""
        limit = asked.query.limit
        wanted, before, fields = await self._begun(asked.query)
        query = TimelineQuery(limit=limit + 1, filter=wanted, before=before)
        found = await search_timeline(self.database, query)
        shown = found[:limit]
        if len(found) > len(shown):
            fields |= next_page(asked.request, wanted, Place.of(shown[-1]))
        tool_calls = [each.id for each in shown if isinstance(each, Invocation)]
        calls = await first_calls_of(self.database, tool_calls, CALLS_OF_EACH)
        asked.reading.tell(len(shown) + sum(map(len, calls.values())))
        return json_response(_told(shown, calls), fields=fields)

    async def _begun(
        self, asked: TimelineParams
    ) -> tuple[TimelineFilter, Place | None, dict[str, str]]:
        """Return what is wanted, before which place the page begins, and what is said of it."""
        wanted = asked.filter()

        async def count(edge: datetime, most: int) -> int:
            calls = await count_from(self.database, RECORDS, wanted.calls, edge, most)
            tools = await count_from(self.database, TOOL_CALLS, wanted.tool_calls, edge, most)
            return min(calls + tools, most)

        if asked.around is None:
            before, fields = await self.future.beginning(asked, wanted, count)
            return wanted, before, fields
        call = await call_with(self.database, asked.around)
        place = Place.of(call)
        wanted = TimelineFilter(near(wanted.calls, place), near(wanted.tool_calls, place))
        if asked.cursor is not None:
            return wanted, read_page_cursor(asked.cursor, wanted), {}
        return wanted, await self._around(wanted, call, asked.limit), {}

    async def _around(
        self, wanted: TimelineFilter, call: AuditRecord | Invocation, limit: int
    ) -> Place | None:
        """Return before which place a page begins that has *call* in it."""
        place = Place.of(call)
        if isinstance(call, AuditRecord) and call.invocation_id is not None:
            # It stands with its tool call, if that is of the time asked for.
            tool_call = await find_invocation(self.database, call.invocation_id)
            since = wanted.tool_calls.since
            if tool_call is not None and (since is None or tool_call.created_at >= since):
                place = Place.of(tool_call)
        begins = [
            await beginning(self.database, RECORDS, wanted.calls, place, limit),
            await beginning(self.database, TOOL_CALLS, wanted.tool_calls, place, limit),
        ]
        return min((each for each in begins if each is not None), default=None)


def _told(
    shown: Sequence[AuditRecord | Invocation], calls: Mapping[UUID, Sequence[AuditRecord]]
) -> list[EntryInTime | ToolCallInTime]:
    return [
        ToolCallInTime.known(each, calls.get(each.id, ()))
        if isinstance(each, Invocation)
        else EntryInTime.of(each)
        for each in shown
    ]

"""Queries for agents' sessions."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from audit_api.errors import NotFoundError
from audit_api.formats.agent_sessions import SessionOfAgent, SessionWithToolCalls
from audit_api.query.cursors import next_page, read_page_cursor
from audit_api.query.endpoint import Asked
from audit_api.query.filter_params import Nothing
from audit_api.query.params import Page, SessionPath, SessionsParams
from audit_api.responses import json_response
from audit_log.postgres.agents.agent_sessions import (
    find_session,
    first_calls_of,
    search_sessions,
    tool_calls_of,
)
from audit_log.postgres.database import Database
from audit_log.postgres.invocations import InvocationQuery
from audit_log.postgres.rows import Place

CALLS_OF_EACH: Final = 20
"""How many API calls of one tool call are listed; `api_calls` has the total."""


@dataclass(frozen=True, slots=True)
class SessionQuestions:
    """One method for each endpoint."""

    database: Database

    async def sessions(self, asked: Asked[SessionsParams, Nothing]) -> web.Response:
        """Respond with the sessions, last used first."""
        page = asked.query
        wanted = page.filter()
        before = read_page_cursor(page.cursor, wanted) if page.cursor else None
        found = await search_sessions(
            self.database, InvocationQuery(limit=page.limit + 1, filter=wanted, before=before)
        )
        shown = found[: page.limit]
        asked.reading.tell(len(shown))
        is_last = len(found) == len(shown)
        fields = {} if is_last else next_page(asked.request, wanted, shown[-1].place)
        return json_response(list(map(SessionOfAgent.of, shown)), fields=fields)

    async def session(self, asked: Asked[Page, SessionPath]) -> web.Response:
        """Respond with one session and its tool calls, oldest first, each with its first calls."""
        id_, page = asked.place.session, asked.query
        after = read_page_cursor(page.cursor, id_) if page.cursor else None
        session = await find_session(self.database, id_)
        if session is None:
            raise NotFoundError("There is no such session")
        found = await tool_calls_of(self.database, id_, after, page.limit + 1)
        shown = found[: page.limit]
        calls = await first_calls_of(self.database, [each.id for each in shown], CALLS_OF_EACH)
        asked.reading.tell(1 + len(shown) + sum(map(len, calls.values())))
        fields = {}
        if len(found) > len(shown):
            fields = next_page(asked.request, id_, Place(shown[-1].created_at, shown[-1].id))
        told = SessionWithToolCalls.with_calls(session, shown, calls)
        return json_response(told, fields=fields)

"""Lists as SQL: the statement that finds the same rows in a console of PostgreSQL."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from audit_api.query.around import Wanted
from audit_api.query.endpoint import Asked
from audit_api.query.filter_params import Nothing
from audit_api.query.future import AHEAD
from audit_api.query.params import EntriesParams, InvocationsParams, Newest
from audit_api.query.questions import Questions
from audit_api.responses import text_response
from audit_log.postgres.reading.plain_sql import list_sql
from audit_log.postgres.reading.sources import RECORDS, TOOL_CALLS, Source, Told

SQL: Final = "application/sql"
"""RFC 6922."""
_FUTURE: Final = f"now() + interval '{AHEAD.total_seconds():.0f} seconds'"


@dataclass(frozen=True, slots=True)
class SqlQuestions:
    """One method for each endpoint."""

    questions: Questions

    async def entries(self, asked: Asked[EntriesParams, Nothing]) -> web.Response:
        """Respond with the statement for a list of entries."""
        return await self._sql(asked.query, asked.query.filter(), RECORDS)

    async def invocations(self, asked: Asked[InvocationsParams, Nothing]) -> web.Response:
        """Respond with the statement for a list of tool calls."""
        return await self._sql(asked.query, asked.query.filter(), TOOL_CALLS)

    async def _sql(self, asked: Newest, wanted: Wanted, source: Source[Told]) -> web.Response:
        edge = self.questions.future.now() + AHEAD
        if asked.cursor is None and asked.leaves_out_from(edge):
            # Whenever it is run, it leaves out what is then in the future.
            return _response(list_sql(source, wanted, asked.limit, _FUTURE))
        wanted, before, _ = await self.questions.begun(asked, wanted, source)
        return _response(list_sql(source, wanted, asked.limit, before))


def _response(sql: str) -> web.Response:
    return text_response(sql, f"{SQL}; charset=utf-8")

"""Queries for reads: who asked the audit API what."""

from dataclasses import dataclass

from aiohttp import web

from audit_api.formats.reads_of_log import ReadOfLog
from audit_api.query.cursors import next_page, read_page_cursor
from audit_api.query.endpoint import Asked
from audit_api.query.filter_params import Nothing
from audit_api.query.params import ReadsParams
from audit_api.responses import json_response
from audit_log.postgres.database import Database
from audit_log.postgres.readers.read_rows import ReadQuery, search_reads
from audit_log.postgres.rows import Place


@dataclass(frozen=True, slots=True)
class ReadQuestions:
    """One method for each endpoint."""

    database: Database
    """The one that reads are recorded in: a replica may lag, or have no such table."""

    async def reads(self, asked: Asked[ReadsParams, Nothing]) -> web.Response:
        """Respond with the newest reads."""
        page = asked.query
        wanted = page.model_copy(update={"cursor": None, "limit": 0})
        query = ReadQuery(
            limit=page.limit + 1,
            since=page.since,
            until=page.until,
            readers=page.reader or (),
            kinds=page.kind or (),
            networks=page.client_ip or (),
            session=page.session,
            question=page.question[0] if page.question else None,
            before=read_page_cursor(page.cursor, wanted) if page.cursor else None,
        )
        found = await search_reads(self.database, query)
        shown = found[: page.limit]
        asked.reading.tell(len(shown))
        fields = {}
        if len(found) > len(shown):
            fields = next_page(asked.request, wanted, Place(shown[-1].created_at, shown[-1].id))
        return json_response(list(map(ReadOfLog.of, shown)), fields=fields)

"""Queries for entries, tool calls and gaps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar
from uuid import UUID

import msgspec
from aiohttp import web

from audit_api.errors import NotFoundError
from audit_api.formats.entries import (
    DetailedEntry,
    Entry,
    MissingEntries,
)
from audit_api.formats.export_formats import NDJSON, ListFormat
from audit_api.formats.ocsf import Event, lines_of
from audit_api.formats.ocsf_calls import tool_call_event
from audit_api.formats.ocsf_gaps import gap_event
from audit_api.formats.tool_calls import ToolCall, ToolCallWithCalls
from audit_api.query.around import Wanted, beginning, near, place_of
from audit_api.query.cursors import next_page, read_page_cursor
from audit_api.query.endpoint import Asked
from audit_api.query.filter_params import Nothing, Params
from audit_api.query.future import Future
from audit_api.query.params import (
    EntriesParams,
    EntryPath,
    GapsParams,
    InvocationPath,
    InvocationsParams,
    Newest,
    Page,
    TokenPath,
)
from audit_api.responses import json_response, whole_response
from audit_log.filters import one_of
from audit_log.postgres.database import Database
from audit_log.postgres.gaps import GapQuery, search_gaps
from audit_log.postgres.invocations import (
    InvocationQuery,
    find_invocation,
    search_invocations,
)
from audit_log.postgres.reading.sources import RECORDS, TOOL_CALLS, Source
from audit_log.postgres.rows import Place
from audit_log.postgres.search import RecordQuery, calls_of, count_from, find, search
from audit_log.record import AuditRecord, Invocation

MAX_CALLS = 500
"""How many API calls of one tool call are listed; `api_calls` has the total."""

Found = TypeVar("Found", AuditRecord, Invocation)
Of = TypeVar("Of", bound=AuditRecord | Invocation)
Told = TypeVar("Told")
Respond = Callable[[Sequence[Told], Mapping[str, str]], web.Response]
"""Returns the response that has what was found, and these fields."""


@dataclass(frozen=True, slots=True)
class Questions:
    """One method for each endpoint."""

    database: Database
    future: Future

    async def entries(self, asked: Asked[EntriesParams, Nothing]) -> web.Response:
        """Respond with the newest entries of all tokens."""
        return await self._entries(asked, None)

    async def entries_of_token(self, asked: Asked[EntriesParams, TokenPath]) -> web.Response:
        """Respond with the newest entries of one token; an empty list for an unknown token."""
        return await self._entries(asked, asked.place.token_id)

    async def entry(self, asked: Asked[Nothing, EntryPath]) -> web.Response:
        """Respond with one entry and all its details; NotFoundError if there is none."""
        record = await find(self.database, asked.place.entry_id)
        if record is None:
            raise NotFoundError("There is no such entry")
        asked.reading.tell(1)
        return json_response(DetailedEntry.of(record))

    async def invocations(self, asked: Asked[InvocationsParams, Nothing]) -> web.Response:
        """Respond with the newest tool calls."""
        wanted, before, fields = await self.begun(asked.query, asked.query.filter(), TOOL_CALLS)
        query = InvocationQuery(limit=asked.query.limit + 1, filter=wanted, before=before)
        found = await search_invocations(self.database, query)
        is_ocsf = asked.query.format is ListFormat.OCSF
        respond = _in_ocsf(tool_call_event) if is_ocsf else _in_json(ToolCall.of)
        return _page(asked, wanted, found, respond, fields)

    async def invocation(self, asked: Asked[Nothing, InvocationPath]) -> web.Response:
        """Respond with one tool call and its API calls, which may be stored before it is."""
        id_ = asked.place.invocation_id
        invocation = await find_invocation(self.database, id_)
        records = await calls_of(self.database, id_, MAX_CALLS)
        asked.reading.tell((invocation is not None) + len(records))
        if invocation is not None:
            return json_response(ToolCallWithCalls.known(invocation, records))
        if not records:
            raise NotFoundError("There is no such tool call")
        return json_response(ToolCallWithCalls.inferred(id_, records))

    async def gaps(self, asked: Asked[GapsParams, Nothing]) -> web.Response:
        """Respond with the newest gaps."""
        query = GapQuery(asked.query.limit, asked.query.since, asked.query.until)
        gaps = await search_gaps(self.database, query)
        asked.reading.tell(len(gaps))
        is_ocsf = asked.query.format is ListFormat.OCSF
        respond = _in_ocsf(gap_event) if is_ocsf else _in_json(MissingEntries.of)
        return respond(gaps, {})

    async def begun(
        self, asked: Newest, wanted: Wanted, source: Source[Of]
    ) -> tuple[Wanted, Place | None, dict[str, str]]:
        """Return what is wanted, before which place the page begins, and what is said of it."""
        if asked.around is None:
            count = partial(count_from, self.database, source, wanted)
            before, fields = await self.future.beginning(asked, wanted, count)
            return wanted, before, fields
        place = await place_of(self.database, asked.around)
        wanted = near(wanted, place)
        if asked.cursor is not None:
            return wanted, read_page_cursor(asked.cursor, wanted), {}
        return wanted, await beginning(self.database, source, wanted, place, asked.limit), {}

    async def _entries(
        self, asked: Asked[EntriesParams, Params], token_id: UUID | None
    ) -> web.Response:
        wanted = asked.query.filter()
        if token_id is not None:
            wanted = replace(wanted, token_id=one_of(token_id))
        wanted, before, fields = await self.begun(asked.query, wanted, RECORDS)
        # One record more than requested shows whether there is a next page, without counting.
        query = RecordQuery(asked.query.limit + 1, wanted, before)
        shape = Entry.of if asked.query.expand is None else DetailedEntry.of
        return _page(asked, wanted, await search(self.database, query), _in_json(shape), fields)


def _page(
    asked: Asked[Page, Params],
    query: object,
    found: Sequence[Found],
    respond: Respond[Found],
    fields: Mapping[str, str],
) -> web.Response:
    shown = found[: asked.query.limit]
    asked.reading.tell(len(shown))
    fields = dict(fields)
    if len(found) > len(shown):
        place = Place(shown[-1].created_at, shown[-1].id)
        fields |= next_page(asked.request, query, place)
    return respond(shown, fields)


def _in_json(shape: Callable[[Told], msgspec.Struct]) -> Respond[Told]:
    return lambda found, fields: json_response(list(map(shape, found)), fields=fields)


def _in_ocsf(event: Callable[[Told], Event]) -> Respond[Told]:
    return lambda found, fields: whole_response(lines_of(map(event, found)), NDJSON, fields)

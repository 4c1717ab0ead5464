"""Exports: all entries or tool calls that match a query, as a file, in constant memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic

from aiohttp import hdrs, web

from audit_api.errors import InvalidParametersError, NotNowError
from audit_api.formats.copied_entries import ENTRY_COLUMNS
from audit_api.formats.export_formats import OF_GAPS, Format, Formats
from audit_api.query.cursors import check_standpoint, link_to_next, mark, read_mark
from audit_api.query.endpoint import Asked
from audit_api.query.filter_params import Nothing
from audit_api.query.params import ExportKind, ExportParams, InvocationsExportParams
from audit_api.reads.one_read import Reading
from audit_api.responses import streamed_response, whole_response
from audit_api.stream.codings import coding_for
from audit_api.stream.completeness import require_complete
from audit_api.stream.streaming import StreamedResponse, streaming
from audit_log.filters import StoredFilter
from audit_log.postgres.arrivals import Snapshot, Standpoint, read_on, snapshot_now
from audit_log.postgres.database import Database
from audit_log.postgres.export import BATCH_RECORDS, FETCH_SECONDS, Export, exporting
from audit_log.postgres.gaps import gaps_between
from audit_log.postgres.reading.sources import Source, Told
from audit_log.record import Gap
from audit_log.schema.subscription import Subscription

MARK_FIELD: Final = "X-Audit-Mark"
GAPS_FIELD: Final = "X-Audit-Gaps"
MISSING_FIELD: Final = "X-Audit-Missing"
AT_ONCE: Final = 2
"""How many files are sent at once: each holds a connection for as long as its client reads."""

AskedExport = Asked[ExportParams, Nothing] | Asked[InvocationsExportParams, Nothing]


@dataclass(frozen=True, slots=True)
class Exports(Generic[Told]):
    """Responds with files. A file without `limit` holds a database connection until it ends.

    A file says what is missing in it: by its response fields, its name and, unless it is CSV, by
    its first lines.
    """

    source: Source[Told]
    formats: Formats
    database: Database
    """A pool of its own, so that exports do not block queries: `AT_ONCE` connections and one."""
    subscription: Subscription
    turns: asyncio.Semaphore

    async def export(self, asked: AskedExport) -> web.StreamResponse:
        """Respond with what matches in the requested format; NotNowError without a turn."""
        await require_complete(self.subscription)
        query = asked.query
        if isinstance(query, ExportParams) and query.kind is ExportKind.GAPS:
            return await self._gaps(asked)
        _check_that_none_is_missed(query)
        if query.limit is not None:
            asked.reading.goes_on = query.after is not None
            return await self._part(asked, query.limit)
        if self.turns.locked():
            raise NotNowError(
                f"{AT_ONCE} exports are running: try again when one of them has ended, "
                "or export parts with `limit`"
            )
        async with self.turns:
            return await self._file(asked)

    async def _file(self, asked: AskedExport) -> web.StreamResponse:
        """Stream all that matches, oldest first, behind the gaps."""
        after = await self._after(asked.query.after)
        kind, wanted = self.formats[asked.query.format], asked.query.filter()
        async with exporting(self.database, self.source, wanted, after) as export:
            reading = asked.reading
            fields = _fields(kind, Standpoint(export.snapshot), export.gaps)
            if asked.wants_no_body:
                return streamed_response(kind.content_type, fields)
            await reading.begin()
            coding = coding_for(asked.request)
            async with streaming(
                asked.request, kind.content_type, fields, coding=coding
            ) as streamed:
                reading.tell(len(export.gaps))
                await streamed.send(kind.head + kind.gaps(export.gaps))
                await _send_rows(export, kind, streamed, reading)
                reading.is_whole = True
        return streamed.response

    async def _part(self, asked: AskedExport, limit: int) -> web.Response:
        """Respond with the next *limit* that match, and the mark behind the last of them.

        The gaps that came with a reading are before its first records.
        """
        kind, wanted = self.formats[asked.query.format], asked.query.filter()
        pieces, missing, more = [kind.head], list[Gap](), True
        async with self.database.transaction(statement_seconds=FETCH_SECONDS) as transaction:
            now = await snapshot_now(transaction)
            standpoint = Standpoint(Snapshot.before_all(now.cluster))
            if asked.query.after is not None:
                standpoint = read_mark(asked.query.after, "query", "after")
                check_standpoint(standpoint, now, "query", "after")
            while limit and more:
                if standpoint.place is None:
                    gaps = await gaps_between(transaction, standpoint.seen, now, wanted)
                    missing += gaps
                    asked.reading.tell(len(gaps))
                    pieces.append(kind.gaps(gaps))
                step = await read_on(
                    transaction,
                    self.source,
                    standpoint,
                    wanted=wanted,
                    until=now,
                    limit=min(limit, BATCH_RECORDS),
                )
                pieces.append(kind.encode(step.records))
                asked.reading.tell(len(step.records))
                standpoint = step.end
                # An earlier part may have begun a reading: what came since is behind it.
                more = not step.is_last or step.reading != now
                limit -= len(step.records)
        fields = _fields(kind, standpoint, missing)
        if more:
            fields |= link_to_next(asked.request, after=fields[MARK_FIELD])
        return _whole(asked, kind, b"".join(pieces), fields)

    async def _gaps(self, asked: AskedExport) -> web.Response:
        """Respond with the gaps alone, oldest first: there are few."""
        if asked.query.limit is not None:
            raise InvalidParametersError.of("limit", "Gaps have no parts", "not_in_parts")
        after = await self._after(asked.query.after)
        kind = OF_GAPS[asked.query.format]
        now = await snapshot_now(self.database)
        seen = after or Snapshot.before_all(now.cluster)
        gaps = await gaps_between(self.database, seen, now, asked.query.filter())
        asked.reading.tell(len(gaps))
        fields = _fields(kind, Standpoint(now), gaps)
        return _whole(asked, kind, kind.head + kind.encode(gaps), fields)

    async def _after(self, text: str | None) -> Snapshot | None:
        if text is None:
            return None
        standpoint = read_mark(text, "query", "after")
        if standpoint.reading is not None:
            raise InvalidParametersError.of(
                "after", "This is the id of an event, or of a part: continue with `limit`", "mark"
            )
        check_standpoint(standpoint, await snapshot_now(self.database), "query", "after")
        return standpoint.seen


async def _send_rows(
    export: Export[Told], kind: Format, streamed: StreamedResponse, reading: Reading
) -> None:
    encode = kind.copied
    if encode is None:
        async for records in export.batches():
            reading.tell(len(records))
            await streamed.send(kind.encode(records))
        return

    async def send(rows: bytes) -> None:
        reading.tell(rows.count(b"\n"))
        await streamed.send(encode(rows))

    await export.copy(ENTRY_COLUMNS, send)


def _whole(asked: AskedExport, kind: Format, body: bytes, fields: dict[str, str]) -> web.Response:
    response = whole_response(body, kind.content_type, fields)
    if (coding := coding_for(asked.request)) is not None:
        response.enable_compression(coding)
    return response


def _fields(kind: Format, end: Standpoint, gaps: Sequence[Gap]) -> dict[str, str]:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    # The name stays with the file when the response is forgotten.
    incomplete = "-incomplete" if gaps else ""
    name = f"mcp-audit-{moment}{incomplete}.{kind.suffix}"
    return {
        hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
        MARK_FIELD: mark(end),
        GAPS_FIELD: str(len(gaps)),
        MISSING_FIELD: _missing(gaps),
    }


def _missing(gaps: Sequence[Gap]) -> str:
    known = sum(gap.count or 0 for gap in gaps)
    return f"{known}+" if any(gap.count is None for gap in gaps) else str(known)


def _check_that_none_is_missed(query: ExportParams | InvocationsExportParams) -> None:
    """Raise InvalidParametersError if an export in parts could leave records out.

    An API call is stored before the tool call that it is found by: the earlier part has not told
    of it, and the later one would take it for told.
    """
    wanted: Any = query.filter()
    if not isinstance(wanted, StoredFilter) or not wanted.asks_for_agent:
        return
    for name in ("after", "limit"):
        if getattr(query, name) is not None:
            raise InvalidParametersError.of(
                name,
                f"By the agent (`session`, `client_name`, …) an export is whole: no `{name}`",
                "not_in_parts",
            )

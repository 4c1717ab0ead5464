"""Exports: all entries that match a query, as a file, in constant memory."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from aiohttp import hdrs, web

from audit_api.errors import InvalidParametersError, NotNowError
from audit_api.formats.export_formats import FORMATS, Format
from audit_api.query.cursors import check_standpoint, link_to_next, mark, read_mark
from audit_api.query.endpoint import Asked
from audit_api.query.filter_params import Nothing
from audit_api.query.params import ExportParams
from audit_api.responses import streamed_response, whole_response
from audit_api.stream.codings import coding_for
from audit_api.stream.completeness import require_complete
from audit_api.stream.streaming import streaming
from audit_log.postgres.arrivals import Snapshot, Standpoint, read_on, snapshot_now
from audit_log.postgres.database import Database
from audit_log.postgres.export import BATCH_RECORDS, FETCH_SECONDS, exporting
from audit_log.postgres.reading.sources import RECORDS
from audit_log.schema.subscription import Subscription

MARK_FIELD: Final = "X-Audit-Mark"
AT_ONCE: Final = 2
"""How many files are sent at once: each holds a connection for as long as its client reads."""


@dataclass(frozen=True, slots=True)
class Exports:
    """Responds with files. A file without `limit` holds a database connection until it ends."""

    database: Database
    """A pool of its own, so that exports do not block queries: `AT_ONCE` connections and one."""
    subscription: Subscription
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def export(self, asked: Asked[ExportParams, Nothing]) -> web.StreamResponse:
        """Respond with matching entries in the requested format; NotNowError without a turn."""
        await require_complete(self.subscription)
        _check_that_none_is_missed(asked.query)
        if asked.query.limit is not None:
            return await self._part(asked, asked.query.limit)
        if self.turns.locked():
            raise NotNowError(
                f"{AT_ONCE} exports are running: try again when one of them has ended, "
                "or export parts with `limit`"
            )
        async with self.turns:
            return await self._file(asked)

    async def _file(self, asked: Asked[ExportParams, Nothing]) -> web.StreamResponse:
        """Stream all matching entries, oldest first."""
        after = await self._after(asked.query.after)
        kind = FORMATS[asked.query.format]
        async with exporting(self.database, RECORDS, asked.query.filter(), after) as export:
            fields = _fields(kind, Standpoint(export.snapshot))
            if asked.wants_no_body:
                return streamed_response(kind.content_type, fields)
            coding = coding_for(asked.request)
            async with streaming(
                asked.request, kind.content_type, fields, coding=coding
            ) as streamed:
                await streamed.send(kind.head)
                async for records in export.batches:
                    await streamed.send(kind.encode(records))
        return streamed.response

    async def _part(self, asked: Asked[ExportParams, Nothing], limit: int) -> web.Response:
        """Respond with the next *limit* matching entries, and the mark behind the last of them."""
        kind, wanted = FORMATS[asked.query.format], asked.query.filter()
        pieces, more = [kind.head], True
        async with self.database.transaction(statement_seconds=FETCH_SECONDS) as transaction:
            now = await snapshot_now(transaction)
            standpoint = Standpoint(Snapshot.before_all(now.cluster))
            if asked.query.after is not None:
                standpoint = read_mark(asked.query.after, "query", "after")
                check_standpoint(standpoint, now, "query", "after")
            while limit and more:
                step = await read_on(
                    transaction,
                    RECORDS,
                    standpoint,
                    wanted=wanted,
                    until=now,
                    limit=min(limit, BATCH_RECORDS),
                )
                pieces.append(kind.encode(step.records))
                standpoint = step.end
                # An earlier part may have begun a reading: what came since is behind it.
                more = not step.is_last or step.reading != now
                limit -= len(step.records)
        fields = _fields(kind, standpoint)
        if more:
            fields |= link_to_next(asked.request, after=fields[MARK_FIELD])
        response = whole_response(b"".join(pieces), kind.content_type, fields)
        if (coding := coding_for(asked.request)) is not None:
            response.enable_compression(coding)
        return response

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


def _fields(kind: Format, end: Standpoint) -> dict[str, str]:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"mcp-audit-{moment}.{kind.suffix}"
    return {
        hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
        MARK_FIELD: mark(end),
    }


def _check_that_none_is_missed(query: ExportParams) -> None:
    """Raise InvalidParametersError if an export in parts could leave records out.

    An API call is stored before the tool call that it is found by: the earlier part has not told
    of it, and the later one would take it for told.
    """
    if not query.filter().asks_for_agent:
        return
    for name in ("after", "limit"):
        if getattr(query, name) is not None:
            raise InvalidParametersError.of(
                name,
                f"By `session`, `client_name` or `principal` an export is whole: no `{name}`",
                "not_in_parts",
            )

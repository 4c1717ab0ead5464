"""Exports: all entries that match a query, as a file, in constant memory."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiohttp import hdrs, web

from audit_api.errors import InvalidParametersError
from audit_api.formats.export_formats import FORMATS
from audit_api.query.cursors import check_standpoint, mark, read_mark
from audit_api.query.endpoint import Asked
from audit_api.query.params import ExportParams, Nothing
from audit_api.responses import streamed_response
from audit_api.stream.completeness import require_complete
from audit_api.stream.streaming import streaming
from audit_log.filters import StoredFilter
from audit_log.postgres.arrivals import Snapshot, Standpoint, snapshot_now
from audit_log.postgres.database import Database
from audit_log.postgres.export import exporting
from audit_log.schema.subscription import Subscription

MARK_FIELD: Final = "X-Audit-Mark"


@dataclass(frozen=True, slots=True)
class Exports:
    """Responds with files. An export holds a database connection until it ends."""

    database: Database
    """A pool of its own, so that exports do not block queries."""
    subscription: Subscription

    async def export(self, asked: Asked[ExportParams, Nothing]) -> web.StreamResponse:
        """Stream all matching entries, oldest first, in the requested format."""
        await require_complete(self.subscription)
        wanted = asked.query.filter()
        if asked.query.after is not None and isinstance(wanted, StoredFilter):
            _check_that_none_is_missed(wanted)
        after = await self._after(asked.query.after)
        kind = FORMATS[asked.query.format]
        async with exporting(self.database, wanted, after) as export:
            moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            name = f"mcp-audit-{moment}.{kind.suffix}"
            fields = {
                hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
                MARK_FIELD: mark(Standpoint(export.snapshot)),
            }
            if asked.wants_no_body:
                return streamed_response(kind.content_type, fields)
            async with streaming(asked.request, kind.content_type, fields) as streamed:
                await streamed.send(kind.head)
                async for records in export.batches:
                    await streamed.send(kind.encode(records))
        return streamed.response

    async def _after(self, text: str | None) -> Snapshot | None:
        if text is None:
            return None
        standpoint = read_mark(text, "query", "after")
        if standpoint.reading is not None:
            raise InvalidParametersError.of(
                "after", "This is the id of an event, not the mark of an export", "mark"
            )
        check_standpoint(standpoint, await snapshot_now(self.database), "query", "after")
        return standpoint.seen


def _check_that_none_is_missed(wanted: StoredFilter) -> None:
    """Raise InvalidParametersError if an export that continues could leave records out.

    An API call is stored before the tool call that it is found by: the earlier export has not
    told of it, and this one would take it for told.
    """
    if wanted.asks_for_agent:
        raise InvalidParametersError.of(
            "after",
            "An export by `session` or `client_name` is always whole: leave out `after`, or them",
            "not_continued",
        )

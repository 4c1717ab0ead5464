"""The table of all questions: where each is asked, with what parameters, by whom answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from audit_api.formats.entries import (
    DetailedEntry,
    Entry,
    MissingEntries,
    UsedToken,
)
from audit_api.formats.tool_calls import ToolCall, ToolCallWithCalls
from audit_api.query.asking import Endpoint
from audit_api.query.buckets import StatsParams
from audit_api.query.counts import Counted, Counts
from audit_api.query.growth import Growth
from audit_api.query.params import (
    EntriesParams,
    EntryPath,
    ExportParams,
    GapsParams,
    InvocationPath,
    InvocationsParams,
    StreamParams,
    TokenPath,
)
from audit_api.query.questions import Questions
from audit_api.stream.events import CONTENT_TYPE
from audit_api.stream.exports import MARK_FIELD, Exports
from audit_api.stream.live import Live

JSON: Final = "application/json"
_LINK: Final = MappingProxyType(
    {"Link": 'the next page, `rel="next"` (RFC 8288), if there is one'}
)
_ENTRIES: Final = list[Entry] | list[DetailedEntry]


@dataclass(frozen=True, slots=True)
class Answerers:
    """Who answers."""

    questions: Questions
    counts: Counts
    exports: Exports
    live: Live


def endpoints(by: Answerers) -> Sequence[Endpoint]:
    """Return all questions."""
    return (
        Endpoint(
            name="entries",
            path="/mcp-audit",
            summary="The newest entries of all tokens",
            query=EntriesParams,
            answers={JSON: _ENTRIES},
            fields=_LINK,
            ask=by.questions.entries,
        ),
        Endpoint(
            name="entries_of_token",
            path="/mcp-tokens/{token_id}/audit",
            summary="The newest entries of one token; none when nobody knows it",
            place=TokenPath,
            query=EntriesParams,
            answers={JSON: _ENTRIES},
            fields=_LINK,
            ask=by.questions.entries_of_token,
        ),
        Endpoint(
            name="entry",
            path="/mcp-audit/entries/{entry_id}",
            summary="One entry with all that is known of it",
            place=EntryPath,
            can_miss=True,
            answers={JSON: DetailedEntry},
            ask=by.questions.entry,
        ),
        Endpoint(
            name="invocations",
            path="/mcp-audit/invocations",
            summary="The newest tool calls",
            query=InvocationsParams,
            answers={JSON: list[ToolCall]},
            fields=_LINK,
            ask=by.questions.invocations,
        ),
        Endpoint(
            name="invocation",
            path="/mcp-audit/invocations/{invocation_id}",
            summary="One tool call with the API calls that it caused, oldest first",
            place=InvocationPath,
            can_miss=True,
            answers={JSON: ToolCallWithCalls},
            ask=by.questions.invocation,
        ),
        Endpoint(
            name="tokens",
            path="/mcp-audit/tokens",
            summary="The tokens seen and their use in the last 30 days, last used first",
            answers={JSON: list[UsedToken]},
            ask=by.counts.tokens,
        ),
        Endpoint(
            name="stats",
            path="/mcp-audit/stats",
            summary="How many calls there were in each span of time, oldest first",
            query=StatsParams,
            answers={JSON: list[Counted]},
            ask=by.counts.stats,
        ),
        Endpoint(
            name="growth",
            path="/mcp-audit/growth",
            summary="How large the log is, how it grows, and when its byte budget is reached",
            answers={JSON: Growth},
            ask=by.counts.growth,
        ),
        Endpoint(
            name="gaps",
            path="/mcp-audit/gaps",
            summary="Where records are known to be missing, newest first",
            query=GapsParams,
            answers={JSON: list[MissingEntries]},
            ask=by.questions.gaps,
        ),
        Endpoint(
            name="export",
            path="/mcp-audit/export",
            summary="All entries as a file, oldest first",
            query=ExportParams,
            answers={"application/x-ndjson": None, "text/csv": None},
            fields={MARK_FIELD: "where this export ends: `after` of the next"},
            ask=by.exports.export,
        ),
        Endpoint(
            name="stream",
            path="/mcp-audit/stream",
            summary="Entries as they arrive, as server-sent events",
            query=StreamParams,
            answers={CONTENT_TYPE: None},
            ask=by.live.stream,
        ),
    )

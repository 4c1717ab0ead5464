"""The table of all endpoints: path, parameters, responses and the method that serves each."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from audit_api.formats.agent_sessions import SessionOfAgent, SessionWithToolCalls
from audit_api.formats.entries import (
    DetailedEntry,
    Entry,
    MissingEntries,
    UsedToken,
)
from audit_api.formats.export_formats import NDJSON
from audit_api.formats.reads_of_log import ReadOfLog
from audit_api.formats.timeline_items import EntryInTime, ToolCallInTime
from audit_api.formats.tool_calls import ToolCall, ToolCallWithCalls
from audit_api.query.buckets import InvocationsStatsParams
from audit_api.query.counts import BUCKET_FIELD, PERIOD_FIELD, TOTAL_FIELD, Counted, Counts
from audit_api.query.endpoint import Endpoint
from audit_api.query.facets import StatsParams, ValueCount
from audit_api.query.future import FUTURE_FIELD, MOST_COUNTED
from audit_api.query.growth import Growth
from audit_api.query.params import (
    EntriesParams,
    EntryPath,
    ExportParams,
    GapsParams,
    InvocationPath,
    InvocationsExportParams,
    InvocationsParams,
    InvocationsStreamParams,
    Page,
    ReadsParams,
    SessionPath,
    SessionsParams,
    StreamParams,
    TokenPath,
)
from audit_api.query.questions import Questions
from audit_api.query.read_questions import ReadQuestions
from audit_api.query.session_questions import CALLS_OF_EACH, SessionQuestions
from audit_api.query.sql_questions import SQL, SqlQuestions
from audit_api.query.timeline_question import TimelineParams, TimelineQuestion
from audit_api.query.token_questions import TokenParams, TokenQuestions, TokenRefPath
from audit_api.query.token_report import TokenReport
from audit_api.seal.evidence import Evidence
from audit_api.seal.proofs import Proofs
from audit_api.seal.seal_endpoints import seal_endpoints
from audit_api.stream.events import CONTENT_TYPE
from audit_api.stream.exports import GAPS_FIELD, MARK_FIELD, MISSING_FIELD, Exports
from audit_api.stream.live import Live
from audit_log.reads import ReadKind
from audit_log.record import AuditRecord, Invocation

JSON: Final = "application/json"
ENTRIES: Final = "entries"
TOOL_CALLS: Final = "tool calls"
"""What endpoints tell of. The page asks several for one view."""
_PAGED: Final = MappingProxyType(
    {"Link": 'the next page, `rel="next"` (RFC 8288), if there is one'}
)
_OF_A_LIST: Final = MappingProxyType(
    {
        **_PAGED,
        FUTURE_FIELD: "how many more match and are left out, as they are dated over 5 minutes "
        f"ahead ({MOST_COUNTED}: or more): `clock_ahead=true` shows them",
    }
)
_DIVIDED: Final = MappingProxyType({BUCKET_FIELD: "the length of the buckets"})
_COUNTED: Final = MappingProxyType(
    {
        **_DIVIDED,
        PERIOD_FIELD: "with `by`, the time that is counted: two moments with a slash between",
        TOTAL_FIELD: "with `by`, the number of all calls in it, also those of values not listed",
    }
)
_OF_A_FILE: Final = MappingProxyType(
    {
        MARK_FIELD: "the mark at which this export ends: pass it as `after` to continue",
        GAPS_FIELD: "how many gaps there are in what is exported",
        MISSING_FIELD: "how many records are missing in them; `7+` where not all gaps know",
        "Link": 'the next part, `rel="next"` (RFC 8288), where `limit` left some out',
    }
)
_ENTRIES: Final = list[Entry] | list[DetailedEntry]


@dataclass(frozen=True, slots=True)
class Services:
    """The objects whose methods serve the endpoints."""

    questions: Questions
    timeline: TimelineQuestion
    sql: SqlQuestions
    sessions: SessionQuestions
    counts: Counts
    tokens: TokenQuestions
    reads: ReadQuestions
    proofs: Proofs
    evidence: Evidence
    exports: Exports[AuditRecord]
    tool_exports: Exports[Invocation]
    live: Live[AuditRecord]
    tool_live: Live[Invocation]


def endpoints(services: Services) -> Sequence[Endpoint]:
    """Return all endpoints but the reference's own."""
    return (
        *_entries(services.questions),
        *_tool_calls(services.questions),
        *_timeline(services.timeline),
        *_sql(services.sql),
        *_sessions(services.sessions),
        *_numbers(services.counts),
        *_tokens(services.tokens),
        *_gaps(services.questions),
        *_reads(services.reads),
        *seal_endpoints(services.proofs, services.evidence),
        *_exports(services.exports, services.tool_exports),
        *_streams(services.live, services.tool_live),
    )


def _entries(questions: Questions) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="entries",
            path="/mcp-audit",
            summary="The newest entries of all tokens",
            query=EntriesParams,
            responses={JSON: _ENTRIES},
            fields=_OF_A_LIST,
            serve=questions.entries,
            subject=ENTRIES,
        ),
        Endpoint(
            name="entries_of_token",
            path="/mcp-tokens/{token_id}/audit",
            summary="The newest entries of one token; empty for an unknown token",
            place=TokenPath,
            query=EntriesParams,
            responses={JSON: _ENTRIES},
            fields=_OF_A_LIST,
            serve=questions.entries_of_token,
        ),
        Endpoint(
            name="entry",
            path="/mcp-audit/entries/{entry_id}",
            summary="One entry with all its details",
            place=EntryPath,
            can_miss=True,
            responses={JSON: DetailedEntry},
            serve=questions.entry,
        ),
    )


def _tool_calls(questions: Questions) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="invocations",
            path="/mcp-audit/invocations",
            summary="The newest tool calls",
            query=InvocationsParams,
            responses={JSON: list[ToolCall], NDJSON: None},
            fields=_OF_A_LIST,
            serve=questions.invocations,
            subject=TOOL_CALLS,
        ),
        Endpoint(
            name="invocation",
            path="/mcp-audit/invocations/{invocation_id}",
            summary="One tool call with the API calls that it caused, oldest first",
            place=InvocationPath,
            can_miss=True,
            responses={JSON: ToolCallWithCalls},
            serve=questions.invocation,
        ),
    )


def _timeline(timeline: TimelineQuestion) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="timeline",
            path="/mcp-audit/timeline",
            summary="The newest tool calls and API calls in one order: a tool call has its first "
            f"{CALLS_OF_EACH} API calls with it, others stand alone",
            query=TimelineParams,
            responses={JSON: list[EntryInTime | ToolCallInTime]},
            fields=_OF_A_LIST,
            subject=ENTRIES,
            serve=timeline.timeline,
        ),
    )


def _sql(sql: SqlQuestions) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="sql",
            path="/mcp-audit/sql",
            summary="The SQL that finds the same entries as the list with these parameters",
            query=EntriesParams,
            responses={SQL: None},
            kind=None,
            serve=sql.entries,
        ),
        Endpoint(
            name="sql_invocations",
            path="/mcp-audit/invocations/sql",
            summary="The SQL that finds the same tool calls as the list with these parameters",
            query=InvocationsParams,
            responses={SQL: None},
            kind=None,
            serve=sql.invocations,
        ),
    )


def _sessions(sessions: SessionQuestions) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="sessions",
            path="/mcp-audit/sessions",
            summary="The agents' MCP sessions with a tool call that matches, last used first",
            query=SessionsParams,
            responses={JSON: list[SessionOfAgent]},
            fields=_PAGED,
            serve=sessions.sessions,
            subject=TOOL_CALLS,
        ),
        Endpoint(
            name="session",
            path="/mcp-audit/sessions/{session}",
            summary="One session with its tool calls, oldest first, "
            f"each with its first {CALLS_OF_EACH} API calls",
            query=Page,
            place=SessionPath,
            can_miss=True,
            responses={JSON: SessionWithToolCalls},
            fields=_PAGED,
            serve=sessions.session,
        ),
    )


def _numbers(counts: Counts) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="tokens",
            path="/mcp-audit/tokens",
            summary="The tokens in use and their calls in the last 30 days, last used first;"
            " all unknown tokens as one",
            responses={JSON: list[UsedToken]},
            serve=counts.tokens,
        ),
        Endpoint(
            name="stats",
            path="/mcp-audit/stats",
            summary="The number of calls in each bucket of time, oldest first; or, with `by`, "
            "those of the values with the most calls",
            query=StatsParams,
            responses={JSON: list[Counted] | list[ValueCount]},
            fields=_COUNTED,
            serve=counts.stats,
            subject=ENTRIES,
        ),
        Endpoint(
            name="invocations_stats",
            path="/mcp-audit/invocations/stats",
            summary="The number of tool calls in each bucket of time, oldest first",
            query=InvocationsStatsParams,
            responses={JSON: list[Counted]},
            fields=_DIVIDED,
            serve=counts.tool_stats,
            subject=TOOL_CALLS,
        ),
        Endpoint(
            name="growth",
            path="/mcp-audit/growth",
            summary="The size of the log, its growth, and when its byte budget is reached",
            responses={JSON: Growth},
            serve=counts.growth,
        ),
    )


def _tokens(tokens: TokenQuestions) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="token",
            path="/mcp-audit/tokens/{token}",
            summary="One token: who has it, first and last use, and of the last 30 days or the "
            "time asked for its calls, tools, clients and changed objects",
            query=TokenParams,
            place=TokenRefPath,
            can_miss=True,
            responses={JSON: TokenReport},
            serve=tokens.token,
        ),
    )


def _gaps(questions: Questions) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="gaps",
            path="/mcp-audit/gaps",
            summary="The gaps: spans with records known to be missing, newest first",
            query=GapsParams,
            responses={JSON: list[MissingEntries], NDJSON: None},
            serve=questions.gaps,
        ),
    )


def _reads(reads: ReadQuestions) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="reads",
            path="/mcp-audit/reads",
            summary="Who read the audit log: questions, exports, streams, sign-ins and refusals, "
            "newest first",
            query=ReadsParams,
            responses={JSON: list[ReadOfLog]},
            fields=_PAGED,
            serve=reads.reads,
        ),
    )


def _exports(entries: Exports[AuditRecord], tool_calls: Exports[Invocation]) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="export",
            path="/mcp-audit/export",
            summary="All entries as a file, oldest first; or a part of them",
            query=ExportParams,
            responses={NDJSON: None, "text/csv": None},
            fields=_OF_A_FILE,
            serve=entries.export,
            kind=ReadKind.EXPORT,
        ),
        Endpoint(
            name="export_invocations",
            path="/mcp-audit/invocations/export",
            summary="All tool calls as a file, oldest first; or a part of them",
            query=InvocationsExportParams,
            responses={NDJSON: None, "text/csv": None},
            fields=_OF_A_FILE,
            serve=tool_calls.export,
            kind=ReadKind.EXPORT,
        ),
    )


def _streams(entries: Live[AuditRecord], tool_calls: Live[Invocation]) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="stream",
            path="/mcp-audit/stream",
            summary="Entries and gaps as they arrive, as server-sent events",
            query=StreamParams,
            responses={CONTENT_TYPE: None},
            serve=entries.stream,
            kind=ReadKind.STREAM,
            subject=ENTRIES,
        ),
        Endpoint(
            name="stream_invocations",
            path="/mcp-audit/invocations/stream",
            summary="Tool calls and gaps as they arrive, and again when they have ended, as "
            "server-sent events",
            query=InvocationsStreamParams,
            responses={CONTENT_TYPE: None},
            serve=tool_calls.stream,
            kind=ReadKind.STREAM,
            subject=TOOL_CALLS,
        ),
    )

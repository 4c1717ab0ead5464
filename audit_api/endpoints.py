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
from audit_api.formats.seals import SealOfItem
from audit_api.formats.tool_calls import ToolCall, ToolCallWithCalls
from audit_api.query.buckets import StatsParams
from audit_api.query.counts import Counted, Counts
from audit_api.query.endpoint import Endpoint
from audit_api.query.future import FUTURE_FIELD, MOST_COUNTED
from audit_api.query.growth import Growth
from audit_api.query.params import (
    EntriesParams,
    EntryPath,
    ExportParams,
    GapsParams,
    InvocationPath,
    InvocationsParams,
    Page,
    ProofParams,
    SessionPath,
    SessionsParams,
    StoredFilters,
    StreamParams,
    TokenPath,
)
from audit_api.query.questions import Questions
from audit_api.query.session_questions import CALLS_OF_EACH, SessionQuestions
from audit_api.seal.evidence import GZIP, Evidence
from audit_api.seal.proofs import PLAIN, Proofs
from audit_api.stream.events import CONTENT_TYPE
from audit_api.stream.exports import MARK_FIELD, Exports
from audit_api.stream.live import Live

JSON: Final = "application/json"
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
_ENTRIES: Final = list[Entry] | list[DetailedEntry]


@dataclass(frozen=True, slots=True)
class Services:
    """The objects whose methods serve the endpoints."""

    questions: Questions
    sessions: SessionQuestions
    counts: Counts
    proofs: Proofs
    evidence: Evidence
    exports: Exports
    live: Live


def endpoints(services: Services) -> Sequence[Endpoint]:
    """Return all endpoints but the reference's own."""
    return (
        *_entries(services.questions),
        *_tool_calls(services.questions),
        *_sessions(services.sessions),
        *_numbers(services.counts),
        *_gaps(services.questions),
        *_proofs(services.proofs, services.evidence),
        *_streams(services.exports, services.live),
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
            summary="The number of calls in each bucket of time, oldest first",
            query=StatsParams,
            responses={JSON: list[Counted]},
            serve=counts.stats,
        ),
        Endpoint(
            name="growth",
            path="/mcp-audit/growth",
            summary="The size of the log, its growth, and when its byte budget is reached",
            responses={JSON: Growth},
            serve=counts.growth,
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


def _proofs(proofs: Proofs, evidence: Evidence) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="proof_of_entry",
            path="/mcp-audit/entries/{entry_id}/proof",
            summary="The proof that an entry is sealed, as a `.tlog-proof` file, or what is "
            "known of its seal",
            query=ProofParams,
            place=EntryPath,
            can_miss=True,
            can_contradict=True,
            responses={PLAIN: None, JSON: SealOfItem},
            serve=proofs.of_entry,
        ),
        Endpoint(
            name="proof_of_invocation",
            path="/mcp-audit/invocations/{invocation_id}/proof",
            summary="The proof that a tool call is sealed, as for an entry",
            query=ProofParams,
            place=InvocationPath,
            can_miss=True,
            can_contradict=True,
            responses={PLAIN: None, JSON: SealOfItem},
            serve=proofs.of_tool_call,
        ),
        Endpoint(
            name="evidence",
            path="/mcp-audit/evidence",
            summary="Entries, tool calls and gaps with what proves them, and how to check it "
            "without this service, as a tar file",
            query=StoredFilters,
            responses={GZIP: None},
            serve=evidence.evidence,
        ),
    )


def _streams(exports: Exports, live: Live) -> Sequence[Endpoint]:
    return (
        Endpoint(
            name="export",
            path="/mcp-audit/export",
            summary="All entries as a file, oldest first; or a part of them",
            query=ExportParams,
            responses={NDJSON: None, "text/csv": None},
            fields={
                MARK_FIELD: "the mark at which this export ends: pass it as `after` to continue",
                "Link": 'the next part, `rel="next"` (RFC 8288), where `limit` left some out',
            },
            serve=exports.export,
        ),
        Endpoint(
            name="stream",
            path="/mcp-audit/stream",
            summary="Entries as they arrive, as server-sent events",
            query=StreamParams,
            responses={CONTENT_TYPE: None},
            serve=live.stream,
        ),
    )

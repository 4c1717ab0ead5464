"""What a tool call leaves: one `Invocation`, and an entry if it came from the Hub.

The journal's slots hold what it would leave if the sidecar were killed now.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec

from audit_log.record import (
    AuditRecord,
    Invocation,
    Kept,
    Origin,
    Outcome,
    ToolOutcome,
    new_record_id,
)
from proxy.audit.exchange import STATUS_CLIENT_CLOSED, STATUS_UNKNOWN
from proxy.audit.identity import Caller
from proxy.audit.shares import Share, Standing
from proxy.audit.tool_span import ToolSpan, TracedInvocation
from proxy.audit.trace_context import NO_TRACE, TraceContext
from proxy.mcp.agents.agent import NOBODY, Agent
from proxy.mcp.in_flight import ToolCallInFlight
from proxy.mcp.messages import ToolResponse, tool_path
from proxy.mcp.trace import NO_IDS, TravelIds

HUB: Final = Caller(token_name="Hub Tunnel (hub)")
HUB_METHOD: Final = "TOOL"


class InvocationRecorder(Protocol):
    """All that tool calls need of the journal. No method waits."""

    def begin(self, record: Kept, share: Share) -> int:
        """Keep *record* in case the sidecar is killed; return the slot for `end`."""

    def change(self, slot: int, record: Kept) -> None:
        """Keep *record* instead of what *slot* holds, in case the sidecar is killed."""

    def withdraw(self, slot: int) -> None:
        """Forget what `begin` kept in *slot*."""

    def offer(self, record: Kept, share: Share) -> bool:
        """Keep *record* at once, and let the slots as they are."""

    def end(self, slot: int, record: Kept, share: Share) -> bool:
        """Keep *record* instead of what `begin` kept in *slot*; return whether there was room."""

    def miss(self) -> None:
        """Report in a gap that a tool call may be missing: a message could not be read."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where tool calls come from."""

    origin: Origin
    caller: Caller
    key: str
    """The hash of the token, HUB_KEY or AMBIGUOUS_KEY."""
    client_ip: str | None
    request_id: str | None = None
    session: str | None = None
    """The `Mcp-Session-Id`: later requests with it may be about these tool calls."""
    ours: TravelIds = NO_IDS
    theirs: TravelIds = NO_IDS
    """Ids that the client chose: see `ToolCallInFlight`."""
    standing: Standing = Standing.UNKNOWN
    agent: Agent = NOBODY
    trace: TraceContext = NO_TRACE
    """The client's span, as the head names it."""


class CallRecord:
    """The record of one tool call, as it changes until the end."""

    def __init__(
        self,
        recorder: InvocationRecorder,
        instance: str,
        source: Source,
        call: ToolCallInFlight,
        span: ToolSpan,
        ended: Callable[[Invocation], None],
    ) -> None:
        """Have *recorder* keep that *call* was interrupted, in case the sidecar is killed.

        *ended* is called with the tool call when it has ended.
        """
        self.rounds = 1
        self._recorder = recorder
        self._instance = instance
        self._source = source
        self._call = call
        self._span = span
        self._ended = ended
        self._entry_id = new_record_id()
        self._created_at = datetime.now(UTC)
        self._started = time.perf_counter()
        self._slots = [
            recorder.begin(record, call.share) for record in self._records(INTERRUPTED, None)
        ]

    def keep(self, response: ToolResponse) -> None:
        """Have *response* kept in case the sidecar is killed now."""
        for slot, record in zip(self._slots, self._records(response, None), strict=True):
            self._recorder.change(slot, record)

    def show(self, response: ToolResponse) -> None:
        """Record that the tool call goes on, as *response* says."""
        self._recorder.offer(self._invocation(response, None), self._call.share)

    def end(self, response: ToolResponse, moment: float | None) -> None:
        """Record that the tool call ended at *moment* of `perf_counter`, None if unknown."""
        duration_ms = None if moment is None else (moment - self._started) * 1_000
        records = self._records(response, duration_ms)
        for slot, record in zip(self._slots, records, strict=True):
            self._recorder.end(slot, record, self._call.share)
            if isinstance(record, Invocation):
                self._ended(record)

    def withdraw(self) -> None:
        """Leave no record: nothing was run."""
        for slot in self._slots:
            self._recorder.withdraw(slot)

    def _records(self, response: ToolResponse, duration_ms: float | None) -> list[Kept]:
        invocation = self._invocation(response, duration_ms)
        is_hubs = self._source.origin is Origin.HUB
        return [invocation, *([self._entry(invocation)] if is_hubs else [])]

    def _invocation(self, response: ToolResponse, duration_ms: float | None) -> Invocation:
        source, call = self._source, self._call
        return TracedInvocation(
            id=call.id,
            created_at=self._created_at,
            tool=call.tool,
            outcome=response.outcome,
            status_code=response.status,
            origin=source.origin,
            instance=self._instance,
            token_id=source.caller.token_id,
            token_name=source.caller.token_name,
            token_hash=source.caller.token_hash,
            duration_ms=duration_ms,
            api_calls=call.api_calls,
            error_code=response.error_code,
            rounds=self.rounds,
            client_ip=source.client_ip,
            request_id=source.request_id,
            **msgspec.structs.asdict(source.agent),
            **self._span._asdict(),
        )

    def _entry(self, invocation: Invocation) -> AuditRecord:
        """Return the entry that PodWarden documents for a tool call through the Hub tunnel."""
        return AuditRecord(
            id=self._entry_id,
            created_at=invocation.created_at,
            token_name=invocation.token_name,
            method=HUB_METHOD,
            path=tool_path(invocation.tool),
            status_code=invocation.status_code,
            outcome=_outcome_of(invocation),
            instance=invocation.instance,
            duration_ms=invocation.duration_ms,
            client_ip=invocation.client_ip,
            tool=invocation.tool,
            invocation_id=invocation.id,
            request_id=invocation.request_id,
        )


def _outcome_of(invocation: Invocation) -> Outcome:
    if invocation.status_code == STATUS_CLIENT_CLOSED:
        return Outcome.CLIENT_CLOSED
    is_interrupted = invocation.outcome is ToolOutcome.INTERRUPTED
    return Outcome.INTERRUPTED if is_interrupted else Outcome.COMPLETED


GONE: Final = ToolResponse(None, ToolOutcome.CANCELLED, STATUS_CLIENT_CLOSED)
INTERRUPTED: Final = ToolResponse(None, ToolOutcome.INTERRUPTED, STATUS_UNKNOWN)
LEFT: Final = ToolResponse(None, ToolOutcome.UNKNOWN, STATUS_CLIENT_CLOSED)
"""The client is gone, and the tool works on."""
UNSEEN: Final = ToolResponse(None, ToolOutcome.UNKNOWN, STATUS_UNKNOWN)
ABANDONED: Final = ToolResponse(None, ToolOutcome.ABANDONED, STATUS_CLIENT_CLOSED)

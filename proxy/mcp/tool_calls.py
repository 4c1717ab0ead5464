"""Tool calls from MCP and from the Hub: tied to API calls while open, recorded once."""

import time
from dataclasses import dataclass, replace
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
from proxy.mcp.agents.agent import NOBODY, Agent
from proxy.mcp.agents.session_clients import SessionClients
from proxy.mcp.in_flight import ToolCallInFlight, ToolCallsInFlight
from proxy.mcp.messages import ToolCall, ToolResponse, tool_path
from proxy.mcp.sessions import Sessions
from proxy.mcp.trace import NO_IDS, TravelIds

HUB: Final = Caller(token_name="Hub Tunnel (hub)")
HUB_METHOD: Final = "TOOL"


class InvocationRecorder(Protocol):
    """All that tool calls need of the journal. Neither method waits."""

    def begin(self, record: Kept, share: Share) -> int:
        """Keep *record* in case the sidecar is killed; return the slot for `end`."""

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


class ToolCalls:
    """Begins tool calls."""

    def __init__(
        self,
        in_flight: ToolCallsInFlight,
        recorder: InvocationRecorder,
        instance: str,
        clients: SessionClients | None = None,
    ) -> None:
        """Tie API calls with *in_flight*; record to *recorder* as *instance*."""
        self.in_flight = in_flight
        self.sessions = Sessions()
        self.clients = clients or SessionClients()
        self.recorder = recorder
        self.instance = instance

    def begin(self, said: ToolCall, source: Source) -> "OpenToolCall":
        """Open the tool call *said*, which is about to be forwarded."""
        client = said.client or self.clients.client_of(source.agent.session)
        source = replace(source, agent=source.agent.introduced_as(client))
        call = ToolCallInFlight(said.tool, source.key, source.ours, source.theirs, source.standing)
        self.in_flight.add(call)
        opened = OpenToolCall(self, said, source, call)
        if source.session is not None:
            self.sessions.add((source.key, source.session), opened)
        return opened


class OpenToolCall:
    """A tool call that has not ended. One from the Hub also leaves an entry in the audit log."""

    def __init__(
        self, calls: ToolCalls, said: ToolCall, source: Source, in_flight: ToolCallInFlight
    ) -> None:
        self.rpc_id = said.rpc_id
        self.has_ended = False
        self._calls = calls
        self._source = source
        self._in_flight = in_flight
        self._entry_id = new_record_id()
        self._created_at = datetime.now(UTC)
        self._started = time.perf_counter()
        unknown = ToolResponse(said.rpc_id, ToolOutcome.INTERRUPTED, STATUS_UNKNOWN)
        self._share = in_flight.share
        self._slots = [
            calls.recorder.begin(record, self._share) for record in self._records(unknown, None)
        ]
        self._left = (unknown, self._started)

    def leave(self, response: ToolResponse) -> None:
        """Note that its stream has ended; record *response* unless a better one is fetched."""
        self._left = (response, time.perf_counter())
        self._calls.sessions.leave(self)

    def give_up(self) -> None:
        """Record the tool call as `leave` noted it."""
        self._end(*self._left)

    def end(self, response: ToolResponse) -> None:
        """Record the tool call with its *response*. Only the first call counts."""
        self._end(response, time.perf_counter())

    def _end(self, response: ToolResponse, ended: float) -> None:
        if self.has_ended:
            return
        self.has_ended = True
        self._calls.in_flight.remove(self._in_flight)
        if self._source.session is not None:
            self._calls.sessions.remove(self)
        duration_ms = (ended - self._started) * 1_000
        records = self._records(response, duration_ms)
        for slot, record in zip(self._slots, records, strict=True):
            self._calls.recorder.end(slot, record, self._share)

    def _records(self, response: ToolResponse, duration_ms: float | None) -> list[Kept]:
        source, call = self._source, self._in_flight
        invocation = Invocation(
            id=call.id,
            created_at=self._created_at,
            tool=call.tool,
            outcome=response.outcome,
            status_code=response.status,
            origin=source.origin,
            instance=self._calls.instance,
            token_id=source.caller.token_id,
            token_name=source.caller.token_name,
            token_hash=source.caller.token_hash,
            duration_ms=duration_ms,
            api_calls=call.api_calls,
            error_code=response.error_code,
            client_ip=source.client_ip,
            request_id=source.request_id,
            **msgspec.structs.asdict(source.agent),
        )
        return [invocation, *([self._entry(invocation)] if source.origin is Origin.HUB else [])]

    def _entry(self, invocation: Invocation) -> AuditRecord:
        """Return the entry that PodWarden documents for a tool call through the Hub tunnel."""
        return AuditRecord(
            id=self._entry_id,
            created_at=invocation.created_at,
            token_name=invocation.token_name,
            method=HUB_METHOD,
            path=tool_path(invocation.tool),
            status_code=invocation.status_code,
            outcome=_OUTCOMES.get(invocation.outcome, Outcome.COMPLETED),
            instance=invocation.instance,
            duration_ms=invocation.duration_ms,
            client_ip=invocation.client_ip,
            tool=invocation.tool,
            invocation_id=invocation.id,
            request_id=invocation.request_id,
        )


_OUTCOMES: Final = {
    ToolOutcome.CANCELLED: Outcome.CLIENT_CLOSED,
    ToolOutcome.INTERRUPTED: Outcome.INTERRUPTED,
}

GONE: Final = ToolResponse(None, ToolOutcome.CANCELLED, STATUS_CLIENT_CLOSED)

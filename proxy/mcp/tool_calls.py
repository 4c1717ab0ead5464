"""Tool calls from MCP and from the Hub: tied to API calls while open, recorded as one.

Theory of operation. A tool call may take several requests, its *rounds*: the response to each but
the last asks the client for something (`proxy.mcp.lasting.waiting`). An `OpenToolCall` is the
whole, a `Round` one request. The journal's slots hold what the tool call would leave if the
sidecar were killed now.
"""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID

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
from proxy.mcp.lasting.later import Later, Timer, later
from proxy.mcp.lasting.waiting import ASKED_SECONDS, Waiting
from proxy.mcp.messages import JsonRpcId, ToolCall, ToolResponse, tool_path
from proxy.mcp.sessions import SessionKey, Sessions
from proxy.mcp.trace import NO_IDS, TravelIds

HUB: Final = Caller(token_name="Hub Tunnel (hub)")
HUB_METHOD: Final = "TOOL"
MAX_ROUNDS: Final = 1_000
"""A tool call that asks more often is recorded without its ending."""
_STATUS_DECLINED: Final = 403


class InvocationRecorder(Protocol):
    """All that tool calls need of the journal. No method waits."""

    def begin(self, record: Kept, share: Share) -> int:
        """Keep *record* in case the sidecar is killed; return the slot for `end`."""

    def change(self, slot: int, record: Kept) -> None:
        """Keep *record* instead of what *slot* holds, in case the sidecar is killed."""

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


class ToolCalls:
    """Begins tool calls, and goes on with those that asked their client."""

    def __init__(
        self,
        in_flight: ToolCallsInFlight,
        recorder: InvocationRecorder,
        instance: str,
        clients: SessionClients | None = None,
        *,
        later: Later = later,
    ) -> None:
        """Tie API calls with *in_flight*; record to *recorder* as *instance*."""
        self.in_flight = in_flight
        self.later = later
        self.sessions = Sessions(later)
        self.waiting = Waiting[OpenToolCall]()
        self.clients = clients or SessionClients()
        self.recorder = recorder
        self.instance = instance

    def begin(self, said: ToolCall, source: Source) -> "Round":
        """Open the tool call *said*, or its next round, which is about to be forwarded."""
        call = self.waiting.find(source.key, said)
        if call is not None:
            call.go_on(said, source)
        else:
            client = said.client or self.clients.client_of(source.agent.session)
            source = replace(source, agent=source.agent.introduced_as(client))
            call = OpenToolCall(self, said, source)
        return Round(call, said.rpc_id, source)


class Round:
    """One request of a tool call, until its response."""

    def __init__(self, call: "OpenToolCall", rpc_id: JsonRpcId | None, source: Source) -> None:
        """Make it findable if it belongs to the session of *source*."""
        self.rpc_id = rpc_id
        self.has_ended = False
        self._call = call
        self._session: SessionKey | None = None
        self._left: tuple[ToolResponse, float] | None = None
        if source.session is not None:
            self._session = (source.key, source.session)
            call.calls.sessions.add(self._session, self)

    def leave(self, response: ToolResponse) -> None:
        """Note that its stream has ended; record *response* unless a better one is fetched."""
        self._left = (response, time.perf_counter())
        self._call.calls.sessions.leave(self)

    def give_up(self) -> None:
        """Record the tool call as `leave` noted it."""
        if self._left is not None:
            self._end(*self._left)

    def end(self, response: ToolResponse) -> None:
        """Record the tool call with its *response*. Only the first call counts."""
        self._end(response, time.perf_counter())

    def _end(self, response: ToolResponse, ended: float) -> None:
        if self.has_ended:
            return
        self.has_ended = True
        if self._session is not None:
            self._call.calls.sessions.remove(self)
        self._call.respond(response, ended)


class _Beginning:
    """When a tool call began, and the id of the entry that it leaves if it comes from the Hub."""

    __slots__ = ("created_at", "entry_id", "started")

    def __init__(self) -> None:
        self.entry_id: UUID = new_record_id()
        self.created_at = datetime.now(UTC)
        self.started = time.perf_counter()


class OpenToolCall:
    """A tool call that has not ended. One from the Hub also leaves an entry in the audit log."""

    def __init__(self, calls: ToolCalls, said: ToolCall, source: Source) -> None:
        self.calls = calls
        self.may_have_gone_on = False
        self._source = source
        self._in_flight = ToolCallInFlight(
            said.tool, source.key, source.ours, source.theirs, source.standing
        )
        self._rounds = 1
        self._is_declined = said.is_declined or False
        self._asked_at = 0.0
        self._timer: Timer | None = None
        calls.in_flight.add(self._in_flight)
        self._begun = _Beginning()
        self._slots = [
            calls.recorder.begin(record, self._in_flight.share)
            for record in self._records(_INTERRUPTED, None)
        ]

    def respond(self, response: ToolResponse, moment: float) -> None:
        """Note the *response* to the last round, which came at *moment*."""
        if response.outcome is not ToolOutcome.ASKED:
            self._end(response, moment)
        elif self._in_flight.is_tracked and self._rounds < MAX_ROUNDS:
            self._wait(response, moment)
        else:
            self._end(_UNSEEN, moment)  # there is no room to wait

    def go_on(self, said: ToolCall, source: Source) -> None:
        """Begin the next round, which *said* describes."""
        self._stop_waiting()
        self._rounds += 1
        if said.is_declined is not None:
            self._is_declined = said.is_declined
        self.calls.in_flight.resume(self._in_flight, source.ours, source.theirs)
        self._keep(_INTERRUPTED)

    def give_up(self) -> None:
        """Record that its client did not come back."""
        self._stop_waiting()
        # With several workers the next round may have come to another one.
        is_sure = self.calls.in_flight.is_alone and not self.may_have_gone_on
        self._end(_ABANDONED if is_sure else _UNSEEN, self._asked_at)

    def _wait(self, response: ToolResponse, moment: float) -> None:
        self._asked_at = moment
        self.calls.in_flight.pause(self._in_flight, works=False)
        self.calls.recorder.offer(self._invocation(response, None), self._in_flight.share)
        self._keep(_UNSEEN)
        key = (self._source.key, self._in_flight.tool, response.state)
        self.calls.waiting.add(key, self)
        self._timer = self.calls.later(ASKED_SECONDS, self.give_up)

    def _stop_waiting(self) -> None:
        self.calls.waiting.remove(self)
        if self._timer is not None:
            self._timer.cancel()

    def _keep(self, response: ToolResponse) -> None:
        """Have the journal keep *response* in case the sidecar is killed now."""
        for slot, record in zip(self._slots, self._records(response, None), strict=True):
            self.calls.recorder.change(slot, record)

    def _end(self, response: ToolResponse, moment: float) -> None:
        self.calls.in_flight.remove(self._in_flight)
        if self._is_declined:
            response = _declined(response)
        duration_ms = (moment - self._begun.started) * 1_000
        records = self._records(response, duration_ms)
        for slot, record in zip(self._slots, records, strict=True):
            self.calls.recorder.end(slot, record, self._in_flight.share)

    def _records(self, response: ToolResponse, duration_ms: float | None) -> list[Kept]:
        invocation = self._invocation(response, duration_ms)
        is_hubs = self._source.origin is Origin.HUB
        return [invocation, *([self._entry(invocation)] if is_hubs else [])]

    def _invocation(self, response: ToolResponse, duration_ms: float | None) -> Invocation:
        source, call = self._source, self._in_flight
        return Invocation(
            id=call.id,
            created_at=self._begun.created_at,
            tool=call.tool,
            outcome=response.outcome,
            status_code=response.status,
            origin=source.origin,
            instance=self.calls.instance,
            token_id=source.caller.token_id,
            token_name=source.caller.token_name,
            token_hash=source.caller.token_hash,
            duration_ms=duration_ms,
            api_calls=call.api_calls,
            error_code=response.error_code,
            rounds=self._rounds,
            client_ip=source.client_ip,
            request_id=source.request_id,
            **msgspec.structs.asdict(source.agent),
        )

    def _entry(self, invocation: Invocation) -> AuditRecord:
        """Return the entry that PodWarden documents for a tool call through the Hub tunnel."""
        return AuditRecord(
            id=self._begun.entry_id,
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


def _declined(response: ToolResponse) -> ToolResponse:
    """Return how a tool call ended whose client declined what it was last asked for.

    A JSON-RPC error stays one: it may be about the request itself.
    """
    if response.outcome not in {ToolOutcome.OK, ToolOutcome.TOOL_ERROR}:
        return response
    return ToolResponse(response.rpc_id, ToolOutcome.DECLINED, _STATUS_DECLINED)


_OUTCOMES: Final = {
    ToolOutcome.CANCELLED: Outcome.CLIENT_CLOSED,
    ToolOutcome.ABANDONED: Outcome.CLIENT_CLOSED,
    ToolOutcome.INTERRUPTED: Outcome.INTERRUPTED,
}

GONE: Final = ToolResponse(None, ToolOutcome.CANCELLED, STATUS_CLIENT_CLOSED)
_INTERRUPTED: Final = ToolResponse(None, ToolOutcome.INTERRUPTED, STATUS_UNKNOWN)
_UNSEEN: Final = ToolResponse(None, ToolOutcome.UNKNOWN, STATUS_UNKNOWN)
_ABANDONED: Final = ToolResponse(None, ToolOutcome.ABANDONED, STATUS_CLIENT_CLOSED)

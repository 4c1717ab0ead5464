"""An exchange with the Hub, and the tool calls that come through its tunnel."""

import secrets
from dataclasses import dataclass, replace
from typing import Final

from audit_log.record import Origin, Outcome, ToolOutcome
from proxy.admission import Call
from proxy.audit.exchange import STATUS_UNKNOWN, Exchange, UnauditedExchange
from proxy.audit.shares import Standing
from proxy.audit.tally import Tally
from proxy.http.framing import Payload
from proxy.http.peers import Peer
from proxy.http.request import RequestHead
from proxy.http.response import SWITCHING_PROTOCOLS, ResponseHead
from proxy.hub.direction import Direction, TunnelMessages
from proxy.hub.frames import FrameReader
from proxy.mcp.by_id import CallsByKey
from proxy.mcp.call_record import GONE, HUB, Source
from proxy.mcp.in_flight import HUB_KEY
from proxy.mcp.json_stream import Path, Values
from proxy.mcp.lasting.tasks import TaskRequests
from proxy.mcp.messages import (
    JsonRpcId,
    ToolCall,
    ToolResponse,
    asks_client,
    cancelled_id,
    tool_call_of,
    tool_response_of,
)
from proxy.mcp.sessions import SessionKey
from proxy.mcp.tool_calls import Round, ToolCalls
from proxy.mcp.trace import NO_IDS, trace_id_of

MAX_OPEN: Final = 10_000
"""Open tool calls of one tunnel. Beyond, the oldest is recorded without its response."""

_MOST_AT_ONCE: Final = 4_096
"""Some 70 responses: each costs many times what its bytes do, and other calls wait meanwhile."""


@dataclass(frozen=True, slots=True)
class HubAdmission:
    """Admits every request to the Hub, and observes it."""

    wanted: frozenset[Path]
    calls: ToolCalls
    tally: Tally

    def recognise(self, head: RequestHead, peer: Peer) -> Call:
        """Return that *head* is no API call."""
        return Call(head, peer.address)

    def decide(self, _call: Call) -> Exchange:
        """Return an exchange that observes a tunnel if there will be one."""
        return HubExchange(self)


class TunnelCalls:
    """The tool calls that are open in one tunnel."""

    def __init__(self, calls: ToolCalls) -> None:
        self._calls = calls
        self.claims = calls.claims
        self._open = CallsByKey[JsonRpcId | None, Round]()
        self.tasks = TaskRequests(calls.tasks, HUB_KEY)
        self._session: SessionKey = (HUB_KEY, secrets.token_hex(16))
        """What is asked in a tunnel is answered in the same one."""
        self._has_responses = True
        """Whether the responses can be read."""

    def begin(self, said: ToolCall) -> None:
        """Open the tool call *said*."""
        trace_id = said.traceparent and trace_id_of(said.traceparent)
        source = replace(_SOURCE, theirs=frozenset({trace_id}) if trace_id else NO_IDS)
        call = self._calls.begin(said, source)
        self._open.add(call.rpc_id, call)
        if not self._has_responses:
            self._end(call, _NO_RESPONSE)
        elif len(self._open) > MAX_OPEN:
            self._end(self._open.oldest(), _NO_RESPONSE)

    def end(self, rpc_id: JsonRpcId | None, response: ToolResponse) -> None:
        """End the oldest tool call with that id: an id may be used again after its response."""
        if (call := self._open.find(rpc_id)) is not None:
            self._end(call, response)

    def end_all(self, response: ToolResponse) -> None:
        """End each with *response*."""
        for call in self._open:
            self._end(call, response)

    def lose_responses(self) -> None:
        """Record each, and those to come, without its response, which cannot be read."""
        self._has_responses = False
        self.end_all(_NO_RESPONSE)

    def ask(self, message: Values) -> None:
        """Note that PodWarden asks the Hub by *message*."""
        likely = next(iter(self._open)) if len(self._open) == 1 else None
        self._calls.ask(self._session, message, likely)

    def answer(self, message: Values) -> None:
        """Note what the Hub answers, if *message* is an answer."""
        self._calls.answer(self._session, message)

    def miss(self) -> None:
        """Report a tool call that may be missing."""
        self._calls.recorder.miss()

    def _end(self, call: Round, response: ToolResponse) -> None:
        self._open.remove(call)
        call.end(response)


@dataclass(frozen=True, slots=True)
class Requests:
    """What the Hub sends."""

    calls: TunnelCalls

    def received(self, message: Values) -> None:
        """Open a tool call, or end one that is cancelled."""
        if (cancelled := cancelled_id(message)) is not None:
            self.calls.end(cancelled, GONE)
        elif (said := tool_call_of(message, self.calls.claims)) is not None:
            self.calls.begin(said)
        else:
            self.calls.tasks.message_sent(message)
            self.calls.answer(message)

    def missed(self) -> None:
        """Report that a tool call may be missing."""
        self.calls.miss()

    def context_lost(self) -> None:
        """Record the open tool calls without responses: each message from now on is missed."""
        self.calls.end_all(_NO_RESPONSE)

    def closed(self) -> None:
        """Leave the tool calls open: PodWarden may still respond."""


@dataclass(frozen=True, slots=True)
class Responses:
    """What PodWarden sends."""

    calls: TunnelCalls

    def received(self, message: Values) -> None:
        """End the tool call that is responded to, or whose task is told of; or note a question."""
        self.calls.tasks.message_received(message)
        if asks_client(message):
            self.calls.ask(message)
        if (response := tool_response_of(message)) is not None:
            self.calls.end(response.rpc_id, response)

    def missed(self) -> None:
        """Leave the tool calls open: it is not known which one was responded to."""

    def context_lost(self) -> None:
        """Record tool calls without responses from now on."""
        self.calls.lose_responses()

    def closed(self) -> None:
        """End the tool calls that will get no response any more."""
        self.calls.end_all(GONE)


class HubExchange(Exchange):
    """One request to the Hub. If it becomes a tunnel, both directions are read."""

    reads_request = True
    most_at_once = _MOST_AT_ONCE

    def __init__(self, admission: HubAdmission) -> None:
        self._admission = admission
        self._counted = UnauditedExchange(admission.tally)
        self._calls = TunnelCalls(admission.calls)
        self._to_hub: FrameReader | None = None

    def request_content(self, data: bytes) -> None:
        """Read what PodWarden sends through the tunnel: the responses."""
        if self._to_hub is not None:
            self._to_hub.feed(data)

    def request_ended(self) -> None:
        """End the tool calls: PodWarden sends no response any more, whatever the Hub does."""
        self._calls.end_all(GONE)

    def response_opened(self, head: ResponseHead) -> Payload | None:
        """Return the reader of what the Hub sends through a tunnel: the requests."""
        if head.status != SWITCHING_PROTOCOLS or head.field(b"sec-websocket-accept") is None:
            return None
        extensions = head.field(b"sec-websocket-extensions") or b""
        # RFC 7692, section 7.1.1: each parameter is about the messages of the side that it names.
        self._to_hub = self._frames(
            Responses(self._calls), keeps_context=b"client_no_context_takeover" not in extensions
        )
        return self._frames(
            Requests(self._calls), keeps_context=b"server_no_context_takeover" not in extensions
        ).feed

    def end(self, outcome: Outcome, status: int) -> None:
        """Record the tool calls that will get no response any more."""
        self._counted.end(outcome, status)
        if outcome is not Outcome.STREAMING:
            self._calls.end_all(GONE)

    def _frames(self, direction: Direction, *, keeps_context: bool) -> FrameReader:
        admission = self._admission
        messages = TunnelMessages(admission.wanted, direction, admission.tally)
        return FrameReader(messages, keeps_context=keeps_context)


# The Hub has accepted the tunnel, so its peer is known.
_SOURCE: Final = Source(Origin.HUB, HUB, HUB_KEY, client_ip=None, standing=Standing.KNOWN)
_NO_RESPONSE: Final = ToolResponse(None, ToolOutcome.UNKNOWN, STATUS_UNKNOWN)

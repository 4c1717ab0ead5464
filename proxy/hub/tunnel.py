"""An exchange with the Hub, and the tool calls that come through its tunnel."""

from collections.abc import Callable
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
from proxy.hub.frames import FrameReader
from proxy.hub.shapes import unwrapped
from proxy.mcp.in_flight import HUB_KEY
from proxy.mcp.json_stream import JsonStream, Path, Values
from proxy.mcp.messages import (
    JsonRpcId,
    ToolResponse,
    cancelled_id,
    tool_call_of,
    tool_response_of,
)
from proxy.mcp.tool_calls import GONE, HUB, OpenToolCall, Source, ToolCalls
from proxy.mcp.trace import NO_IDS, trace_id_of

MAX_OPEN: Final = 10_000
"""Open tool calls of one tunnel. Beyond, the oldest is recorded without its response."""


@dataclass(frozen=True, slots=True)
class HubAdmission:
    """Admits every request to the Hub, and observes it."""

    wanted: frozenset[Path]
    calls: ToolCalls
    tally: Tally

    def recognise(self, head: RequestHead, peer: Peer) -> Call:
        """Return that *head* is no API call."""
        return Call(head, peer.address, leads_to_mcp=False, audited=None)

    def decide(self, _call: Call) -> Exchange:
        """Return an exchange that observes a tunnel if there will be one."""
        return HubExchange(self)


class HubExchange(Exchange):
    """One request to the Hub. If it becomes a tunnel, both directions are read."""

    def __init__(self, admission: HubAdmission) -> None:
        self._admission = admission
        self._counted = UnauditedExchange(admission.tally)
        self._open: list[OpenToolCall] = []
        self._to_hub: FrameReader | None = None

    def request_content(self, data: bytes) -> None:
        """Read what PodWarden sends through the tunnel: the responses."""
        if self._to_hub is not None:
            self._to_hub.feed(data)

    def response_opened(self, head: ResponseHead) -> Payload | None:
        """Return the reader of what the Hub sends through a tunnel: the requests."""
        if head.status != SWITCHING_PROTOCOLS or head.field(b"sec-websocket-accept") is None:
            return None
        extensions = head.field(b"sec-websocket-extensions") or b""
        # RFC 7692, section 7.1.1: each parameter is about the messages of the side that it names.
        self._to_hub = self._frames(
            self._response_received, b"client_no_context_takeover", extensions
        )
        return self._frames(self._request_received, b"server_no_context_takeover", extensions).feed

    def end(self, outcome: Outcome, status: int) -> None:
        """Record the tool calls that will get no response any more."""
        self._counted.end(outcome, status)
        if outcome is not Outcome.STREAMING:
            for call in self._open:
                call.end(GONE)

    def _frames(
        self, found: Callable[[Values], None], no_context: bytes, extensions: bytes
    ) -> FrameReader:
        def read(values: Values) -> None:
            message = unwrapped(values)
            if message is None:
                self._oddity("hub_message_of_unknown_shape")
            else:
                found(message)

        return FrameReader(
            JsonStream(self._admission.wanted, read),
            keeps_context=no_context not in extensions,
            gave_up=lambda: self._oddity("hub_tunnel_not_understood"),
        )

    def _request_received(self, message: Values) -> None:
        if (cancelled := cancelled_id(message)) is not None:
            self._end(cancelled, GONE)
        elif (said := tool_call_of(message)) is not None:
            if len(self._open) >= MAX_OPEN:
                self._open.pop(0).end(_NO_RESPONSE)
            trace_id = said.traceparent and trace_id_of(said.traceparent)
            source = replace(_SOURCE, theirs=frozenset({trace_id}) if trace_id else NO_IDS)
            self._open.append(self._admission.calls.begin(said, source))

    def _response_received(self, message: Values) -> None:
        if (response := tool_response_of(message)) is not None:
            self._end(response.rpc_id, response)

    def _end(self, rpc_id: JsonRpcId | None, response: ToolResponse) -> None:
        """End the oldest tool call with that id: an id may be used again after its response."""
        for call in self._open:
            if call.rpc_id == rpc_id:
                call.end(response)
                self._open.remove(call)
                return

    def _oddity(self, kind: str) -> None:
        self._admission.tally.oddities[kind] += 1


# The Hub has accepted the tunnel, so its peer is known.
_SOURCE: Final = Source(Origin.HUB, HUB, HUB_KEY, client_ip=None, standing=Standing.KNOWN)
_NO_RESPONSE: Final = ToolResponse(None, ToolOutcome.UNKNOWN, STATUS_UNKNOWN)

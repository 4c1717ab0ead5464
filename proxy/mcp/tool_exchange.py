"""An exchange with the MCP server: its tool calls, from the request's body to the answer's."""

from dataclasses import replace
from typing import Final

from audit_log.record import Outcome, ToolOutcome
from proxy.audit.exchange import STATUS_UNKNOWN, Exchange, UnauditedExchange
from proxy.audit.tally import Tally
from proxy.http.framing import Payload
from proxy.http.request import RequestHead
from proxy.http.response import ResponseHead
from proxy.mcp.json_stream import JsonStream, Values
from proxy.mcp.messages import (
    REQUEST_PATHS,
    JsonRpcId,
    ToolCall,
    ToolResponse,
    cancelled_id,
    named_by_header,
    tool_call_of,
    tool_response_of,
)
from proxy.mcp.reading import ResponseReading
from proxy.mcp.tool_calls import GONE, OpenToolCall, Source, ToolCalls
from proxy.mcp.trace import ids_to_add, trace_id_of, travel_ids_of

MODERN: Final = b"2026-07-28"
"""From this version on `Mcp-Name` names the tool. Versions are dates, so they sort."""
MAX_TOOL_CALLS: Final = 100
"""In one request, which before 2025-06-18 could be a batch. Further ones are only counted."""
_FIRST_ERROR: Final = 400


class McpExchange(Exchange):
    """Watches what passes, delays nothing, and records each tool call once."""

    def __init__(self, head: RequestHead, source: Source, calls: ToolCalls, tally: Tally) -> None:
        """Observer the exchange of *head*, whose tool calls come from *source*."""
        self._counted = UnauditedExchange(tally)
        ours, self.added_fields = ids_to_add(head)
        self._source = replace(source, ours=ours, theirs=travel_ids_of(head))
        self._calls = calls
        self._tally = tally
        self._named = _named_by_head(head)
        self._request = JsonStream(REQUEST_PATHS, self._message_sent)
        self._open: list[OpenToolCall] = []
        self._status = STATUS_UNKNOWN
        self._reading: ResponseReading | None = None
        self._has_ended = False

    def request_content(self, data: bytes) -> None:
        """Observer a piece of the request's body on its way to the MCP server.

        Whether it is encoded, its first byte tells; the field that says so may lie, and a server
        that pays no heed to it would act on what we had not read.
        """
        was_broken = self._request.is_broken
        self._request.feed(data)
        if self._request.is_broken and not was_broken:
            self._tally.oddities["mcp_request_unreadable"] += 1
            if self._named is not None and not self._open:
                self._begin_call(ToolCall(self._named, rpc_id=None))

    def response_opened(self, head: ResponseHead) -> Payload | None:
        """Return what watches the content of the answer, if there is anything to learn."""
        self._status = head.status
        if not self._open:
            return None
        self._reading = ResponseReading(head, self._message_received)
        return self._reading.feed

    def end(self, outcome: Outcome, status: int) -> None:
        """Record the tool calls that were not answered, unless the answer may still come."""
        self._counted.end(outcome, status)
        if outcome is Outcome.STREAMING or self._has_ended:
            return
        self._has_ended = True
        may_resume = self._may_be_resumed and outcome is not Outcome.INTERRUPTED
        for call in self._open:
            if may_resume and not call.has_ended:
                call.leave(_unanswered(outcome, status))
            else:
                call.end(_unanswered(outcome, status))

    @property
    def _may_be_resumed(self) -> bool:
        """Say whether the client can fetch the rest of the answer by its `Last-Event-ID`."""
        return (
            self._source.session is not None
            and self._reading is not None
            and self._reading.may_be_resumed
            and self._status < _FIRST_ERROR
        )

    def _message_sent(self, values: Values) -> None:
        said = tool_call_of(values)
        if said is None:
            self._cancel(cancelled_id(values))
            return
        if len(self._open) >= MAX_TOOL_CALLS:
            self._tally.oddities["mcp_tool_call_beyond_limit"] += 1
            return
        if self._named not in {None, said.tool}:
            # The body wins: it is what the MCP server acts on.
            self._tally.oddities["mcp_name_contradicts_body"] += 1
        self._begin_call(said)

    def _cancel(self, rpc_id: JsonRpcId | None) -> None:
        """Record a tool call of this session as cancelled: a client may do so by a message."""
        if rpc_id is None or self._source.session is None:
            return
        call = self._calls.sessions.find((self._source.key, self._source.session), rpc_id)
        if call is not None:
            call.end(GONE)

    def _begin_call(self, said: ToolCall) -> None:
        source = self._source
        trace_id = said.traceparent and trace_id_of(said.traceparent)
        if trace_id:
            source = replace(source, theirs=source.theirs | {trace_id})
        self._open.append(self._calls.begin(said, source))

    def _message_received(self, values: Values) -> None:
        answer = tool_response_of(values)
        if answer is None:
            return
        if self._status >= _FIRST_ERROR:
            answer = replace(answer, status=self._status)
        for call in self._open:
            # Where only one side tells an id, the answer is about the one call there is: an error
            # about what could not be read has none, and neither has a call that we could not read.
            is_only_one = len(self._open) == 1 and None in {call.rpc_id, answer.rpc_id}
            if call.rpc_id == answer.rpc_id or is_only_one:
                call.end(answer)


def _named_by_head(head: RequestHead) -> str | None:
    """Return the tool that a modern client names in the head, or None."""
    version, name = head.field(b"mcp-protocol-version"), head.field(b"mcp-name")
    if version is None or name is None or version < MODERN:
        return None
    return named_by_header(name) if head.field(b"mcp-method") == b"tools/call" else None


def _unanswered(outcome: Outcome, status: int) -> ToolResponse:
    if outcome is Outcome.CLIENT_CLOSED:
        return GONE
    if outcome is Outcome.INTERRUPTED:
        return ToolResponse(None, ToolOutcome.INTERRUPTED, STATUS_UNKNOWN)
    if status >= _FIRST_ERROR:
        return ToolResponse(None, ToolOutcome.PROTOCOL_ERROR, status)
    return ToolResponse(None, ToolOutcome.UNKNOWN, status)

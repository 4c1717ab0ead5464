"""An exchange with the MCP server: its tool calls, from the request's body to the answer's."""

from dataclasses import replace
from typing import Final

from audit_log.record import Outcome, ToolOutcome
from proxy.exchange import STATUS_UNKNOWN, Exchange, Tally, UnauditedExchange
from proxy.framing import Payload
from proxy.mcp.event_stream import EventStream
from proxy.mcp.json_stream import JsonStream, Values
from proxy.mcp.messages import (
    ANSWER_PATHS,
    REQUEST_PATHS,
    ToolAnswer,
    ToolCall,
    named_by_header,
    tool_answer_of,
    tool_call_of,
)
from proxy.mcp.tool_calls import GONE, OpenToolCall, Source, ToolCalls
from proxy.mcp.trace import ids_to_add, trace_id_of, travel_ids_of
from proxy.request import RequestHead
from proxy.upstream import AnswerHead

MODERN: Final = b"2026-07-28"
"""From this version on `Mcp-Name` names the tool. Versions are dates, so they sort."""
_FIRST_ERROR: Final = 400


class McpExchange(Exchange):
    """Watches what passes, delays nothing, and records each tool call once."""

    def __init__(self, head: RequestHead, source: Source, calls: ToolCalls, tally: Tally) -> None:
        """Watch the exchange of *head*, whose tool calls come from *source*."""
        self._counted = UnauditedExchange(tally)
        ours, self.added_fields = ids_to_add(head)
        self._source = replace(source, ours=ours, theirs=travel_ids_of(head))
        self._calls = calls
        self._tally = tally
        self._named = _named_by_head(head)
        self._is_readable = head.field(b"content-encoding") is None
        self._request = JsonStream(REQUEST_PATHS, self._message_sent)
        self._open: list[OpenToolCall] = []
        self._status = STATUS_UNKNOWN

    def begin(self) -> None:
        """Take the head's word where the body cannot be read."""
        if self._named is not None and not self._is_readable:
            self._begin_call(ToolCall(self._named, rpc_id=None))

    def request_content(self, data: bytes) -> None:
        """Watch a piece of the request's body on its way to the MCP server."""
        if self._is_readable:
            self._request.feed(data)

    def answer_opened(self, head: AnswerHead) -> Payload | None:
        """Return what watches the content of the answer, if there is anything to learn."""
        self._status = head.status
        if not self._open or head.field(b"content-encoding") is not None:
            return None
        stream = JsonStream(ANSWER_PATHS, self._message_received)
        return EventStream(stream).feed if head.is_event_stream else stream.feed

    def end(self, outcome: Outcome, status: int) -> None:
        """Record the tool calls that were not answered, unless the answer is still coming."""
        self._counted.end(outcome, status)
        if outcome is not Outcome.STREAMING:
            for call in self._open:
                call.end(_unanswered(outcome, status))

    def _message_sent(self, values: Values) -> None:
        said = tool_call_of(values)
        if said is None:
            return
        if self._named not in {None, said.tool}:
            # The body wins: it is what the MCP server acts on.
            self._tally.oddities["mcp_name_contradicts_body"] += 1
        self._begin_call(said)

    def _begin_call(self, said: ToolCall) -> None:
        source = self._source
        trace_id = said.traceparent and trace_id_of(said.traceparent)
        if trace_id:
            source = replace(source, theirs=source.theirs | {trace_id})
        self._open.append(self._calls.begin(said, source))

    def _message_received(self, values: Values) -> None:
        answer = tool_answer_of(values)
        if answer is None:
            return
        if self._status >= _FIRST_ERROR:
            answer = replace(answer, status=self._status)
        for call in self._open:
            # An error without an id is about a request that could not be read, so it is the one.
            if call.rpc_id == answer.rpc_id or (len(self._open) == 1 and answer.rpc_id is None):
                call.end(answer)


def _named_by_head(head: RequestHead) -> str | None:
    """Return the tool that a modern client names in the head, or None."""
    version, name = head.field(b"mcp-protocol-version"), head.field(b"mcp-name")
    if version is None or name is None or version < MODERN:
        return None
    return named_by_header(name) if head.field(b"mcp-method") == b"tools/call" else None


def _unanswered(outcome: Outcome, status: int) -> ToolAnswer:
    if outcome is Outcome.CLIENT_CLOSED:
        return GONE
    if outcome is Outcome.INTERRUPTED:
        return ToolAnswer(None, ToolOutcome.INTERRUPTED, STATUS_UNKNOWN)
    if status >= _FIRST_ERROR:
        return ToolAnswer(None, ToolOutcome.PROTOCOL_ERROR, status)
    return ToolAnswer(None, ToolOutcome.UNKNOWN, status)

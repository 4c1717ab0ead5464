"""An exchange with the MCP server, and the tool calls in its bodies.

Theory of operation. Both bodies pass unchanged; the exchange reads a copy of each piece.

- *Request.* Each `tools/call` in the request's body opens a tool call. It is opened before the
  piece is forwarded, so that a kill cannot lose it. If the body is invalid, the tool that the
  head names (`Mcp-Name`) is opened instead. If the body costs too much to read, that tool or
  UNREADABLE is opened, because the server may run what was not read. A
  `notifications/cancelled` ends a tool call of the same session. An `initialize` tells which
  client it is; the session that the response begins is that client's.
- *Response.* Each JSON-RPC response in the response's body ends the tool call with its id.
  A redirection (3xx) says that nothing was run: the client repeats its request elsewhere.
- *End.* A tool call that is still open is recorded by how the exchange ended. There are two
  exceptions. An event stream with ids may be resumed by the client (`Resumption`). And a client
  that hangs up has not cancelled before MCP 2026-07-28: the tool works on. Both are left to the
  session, which gives them up after a while.
"""

from dataclasses import replace
from typing import Final

from audit_log.record import Outcome, ToolOutcome
from proxy.audit.exchange import STATUS_UNKNOWN, Exchange, UnauditedExchange
from proxy.audit.tally import Tally
from proxy.audit.trace_context import trace_context
from proxy.http.framing import Payload
from proxy.http.request import RequestHead
from proxy.http.response import ResponseHead
from proxy.mcp.agents.agent import agent_of, is_modern
from proxy.mcp.agents.introduction import Introduction
from proxy.mcp.budget import REQUEST, TOOL_CALL_STEPS, Budget
from proxy.mcp.by_id import CallsByKey
from proxy.mcp.call_record import Source
from proxy.mcp.json_stream import JsonStream, Trouble, Values
from proxy.mcp.lasting.tasks import TaskRequests
from proxy.mcp.messages import (
    JsonRpcId,
    ToolCall,
    ToolResponse,
    asks_client,
    cancelled_id,
    named_by_header,
    tool_call_of,
    tool_response_of,
)
from proxy.mcp.reading import ResponseReading
from proxy.mcp.sessions import SessionKey
from proxy.mcp.tool_calls import Round, ToolCalls
from proxy.mcp.trace import ids_of_the_client, ids_to_add, names_a_call, trace_id_of

MAX_TOOL_CALLS: Final = 100
"""In one request, which before MCP 2025-06-18 could be a batch. More are only counted."""
UNREADABLE: Final = "(unreadable)"
"""Stands for the tools in a body that costs too much to read. No tool may have this name."""
_FIRST_REDIRECTION: Final = 300
_FIRST_ERROR: Final = 400


class McpExchange(Exchange):
    """Reads what passes, delays nothing, and records each tool call once."""

    reads_request = True

    def __init__(
        self,
        head: RequestHead,
        source: Source,
        calls: ToolCalls,
        tally: Tally,
        *,
        with_traceparent: bool = False,
    ) -> None:
        """Observe the exchange of *head*, whose tool calls come from *source*.

        *with_traceparent* has a `traceparent` sent along too, where the client sent none.
        """
        self._counted = UnauditedExchange(tally)
        ours, self.added_fields = ids_to_add(head, with_traceparent=with_traceparent)
        if not names_a_call(ours):
            tally.oddities["mcp_baggage_full"] += 1
        self._source = replace(
            source,
            ours=ours,
            theirs=ids_of_the_client(head),
            agent=agent_of(head, source.key, source.agent.principal),
            trace=trace_context(head) if calls.is_traced else source.trace,
        )
        self._introduction = Introduction(calls.clients, source.key)
        self._calls = calls
        self._named = _named_by_head(head)
        self._budget = Budget(REQUEST)
        self._request = JsonStream(calls.request_paths, self._message_sent, self._budget)
        self._open = CallsByKey[JsonRpcId | None, Round]()
        self._status = STATUS_UNKNOWN
        self._reading: ResponseReading | None = None
        self._tasks = TaskRequests(calls.tasks, source.key)

    def request_content(self, data: bytes) -> None:
        """Read a piece of the request's body before it goes to the MCP server.

        The body is read as JSON whatever its `Content-Encoding` says: a client may claim a coding
        falsely, and a server that ignores the field would then run a tool that was not recorded.
        """
        before = self._request.trouble
        self._budget.grant(len(data))
        self._request.feed(data)
        trouble = self._request.trouble
        if trouble is before:
            return
        self._counted.tally.oddities["mcp_request_unreadable"] += 1
        if trouble is Trouble.TOO_COSTLY:
            self._begin_call(ToolCall(self._named or UNREADABLE, rpc_id=None))
        elif self._named is not None and not self._open:
            self._begin_call(ToolCall(self._named, rpc_id=None))

    def response_opened(self, head: ResponseHead) -> Payload | None:
        """Return the reader of the response's content; None if no tool call is open."""
        self._status = head.status
        self._introduction.response_opened(head)
        if _FIRST_REDIRECTION <= head.status < _FIRST_ERROR:
            for call in self._open:
                call.withdraw()
            self._open = CallsByKey()
        if not (self._open or self._introduction.opens_session or self._tasks.wants_response):
            return None
        self._reading = ResponseReading(
            head, self._message_received, listens=self._tasks.wants_response
        )
        return self._reading.feed

    def end(self, outcome: Outcome, status: int) -> None:
        """Record the tool calls without a response, unless the client may still fetch it."""
        self._counted.end(outcome, status)
        if outcome is Outcome.STREAMING:
            return
        if self._reading is not None and self._reading.unreadable:
            self._counted.tally.oddities["mcp_response_unreadable"] += self._reading.unreadable
        if self._session is not None:
            self._tasks.leave(self._session)
        may_resume = self._may_be_resumed and outcome is not Outcome.INTERRUPTED
        rounds, self._open, self._reading = self._open, CallsByKey(), None
        for call in rounds:
            if outcome is Outcome.CLIENT_CLOSED:
                call.hang_up(may_resume=may_resume)
            elif may_resume and not call.has_ended:
                call.leave(_without_response(outcome, status))
            else:
                call.end(_without_response(outcome, status))

    @property
    def _session(self) -> SessionKey | None:
        source = self._source
        return None if source.session is None else (source.key, source.session)

    @property
    def _may_be_resumed(self) -> bool:
        """Whether the client can fetch the rest of the response with `Last-Event-ID`."""
        return (
            self._source.session is not None
            and self._reading is not None
            and self._reading.may_be_resumed
            and self._status < _FIRST_ERROR
        )

    def _message_sent(self, values: Values) -> None:
        said = tool_call_of(values, self._calls.claims)
        if said is None:
            self._cancel(cancelled_id(values))
            self._introduction.message_sent(values)
            self._tasks.message_sent(values)
            if self._session is not None:
                self._calls.answer(self._session, values)
            return
        if len(self._open) >= MAX_TOOL_CALLS:
            self._counted.tally.oddities["mcp_tool_call_beyond_limit"] += 1
            return
        if self._named not in {None, said.tool}:
            # The body counts: the MCP server acts on it.
            self._counted.tally.oddities["mcp_name_contradicts_body"] += 1
        self._begin_call(said)

    def _cancel(self, rpc_id: JsonRpcId | None) -> None:
        """Record a tool call of this session as cancelled, as the client's message says."""
        if rpc_id is None or self._session is None:
            return
        call = self._calls.sessions.find(self._session, rpc_id)
        if call is not None:
            call.cancel()

    def _ask(self, values: Values) -> None:
        """Note that the server asks the client."""
        asking = [call for call in self._open if not call.has_ended]
        if self._session is not None:
            self._calls.ask(self._session, values, asking[0] if len(asking) == 1 else None)

    def _begin_call(self, said: ToolCall) -> None:
        source = self._source
        trace_id = said.traceparent and trace_id_of(said.traceparent)
        if trace_id:
            source = replace(source, theirs=source.theirs | {trace_id})
        call = self._calls.begin(said, source)
        self._budget.left += TOOL_CALL_STEPS
        self._open.add(call.rpc_id, call)

    def _message_received(self, values: Values) -> None:
        self._introduction.message_received(values)
        self._tasks.message_received(values)
        if asks_client(values):
            self._ask(values)
        response = tool_response_of(values)
        if response is None:
            return
        if self._status >= _FIRST_ERROR:
            response = replace(response, status=self._status)
        calls = self._open.find_all(response.rpc_id)
        if not calls and len(self._open) == 1:
            # If only one side has an id, it is the response to the only tool call: an error about
            # an unreadable request has no id, and an unreadable tool call has none either.
            calls = [call for call in self._open if None in {call.rpc_id, response.rpc_id}]
        if self._reading is not None:
            open_calls = sum(not call.has_ended for call in calls)
            self._reading.budget.left += TOOL_CALL_STEPS * open_calls
        for call in calls:
            call.end(response)


def _named_by_head(head: RequestHead) -> str | None:
    """Return the tool that the head names, from MCP 2026-07-28 on; else None."""
    version, name = head.field(b"mcp-protocol-version"), head.field(b"mcp-name")
    if version is None or name is None or not is_modern(version.decode("latin-1")):
        return None
    return named_by_header(name) if head.field(b"mcp-method") == b"tools/call" else None


def _without_response(outcome: Outcome, status: int) -> ToolResponse:
    if outcome is Outcome.INTERRUPTED:
        return ToolResponse(None, ToolOutcome.INTERRUPTED, STATUS_UNKNOWN)
    if status >= _FIRST_ERROR:
        return ToolResponse(None, ToolOutcome.PROTOCOL_ERROR, status)
    return ToolResponse(None, ToolOutcome.UNKNOWN, status)

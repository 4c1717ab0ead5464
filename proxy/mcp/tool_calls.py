"""Tool calls from MCP and from the Hub: tied to API calls while open, recorded as one.

Theory of operation. A tool call may outlast the request that began it, in two ways. It may take
several requests, its *rounds*: the response to each but the last asks the client for something
(`proxy.mcp.lasting.waiting`). And it may become a *task*, of which later requests tell the end
(`proxy.mcp.lasting.tasks`). An `OpenToolCall` is the whole, a `Round` one request. While it waits
or works it is recorded as such, and again at its end.
"""

import time
from dataclasses import replace
from typing import Final, Protocol

from audit_log.record import ToolOutcome
from proxy.audit.tool_span import NO_SPAN, ToolSpan, tool_span
from proxy.audit.trace_context import TraceContext
from proxy.mcp.agents.agent import is_modern, session_id
from proxy.mcp.agents.claims import NO_CLAIMS, Claims
from proxy.mcp.call_record import (
    ABANDONED,
    GONE,
    INTERRUPTED,
    LEFT,
    UNSEEN,
    CallRecord,
    InvocationRecorder,
    Source,
)
from proxy.mcp.in_flight import ToolCallInFlight, ToolCallsInFlight
from proxy.mcp.json_stream import Values
from proxy.mcp.lasting.later import Later, Timer, later
from proxy.mcp.lasting.task_messages import TaskNews, TaskRequest, related_task
from proxy.mcp.lasting.tasks import CANCELLED_SECONDS, Tasks, followed_seconds
from proxy.mcp.lasting.waiting import ASKED_SECONDS, Waiting
from proxy.mcp.messages import (
    REQUEST_PATHS,
    JsonRpcId,
    ToolCall,
    ToolResponse,
    answer_of,
    rpc_id_of,
)
from proxy.mcp.sessions import (
    LEFT_SECONDS,
    AskingCall,
    Question,
    SessionCall,
    SessionKey,
    Sessions,
)
from proxy.mcp.trace import trace_id_of
from proxy.telemetry.mcp_durations import McpDurations

MAX_ROUNDS: Final = 1_000
"""A tool call that asks more often is recorded without its ending."""
_STATUS_DECLINED: Final = 403
_INVALID_PARAMS: Final = -32602
_OF_THE_TOOL: Final = frozenset({ToolOutcome.OK, ToolOutcome.TOOL_ERROR})
"""What a response says of the tool itself."""


class ToolCalls:
    """Begins tool calls, and goes on with those that asked their client."""

    def __init__(
        self,
        in_flight: ToolCallsInFlight,
        recorder: InvocationRecorder,
        instance: str,
        claims: Claims = NO_CLAIMS,
        *,
        is_traced: bool = False,
        later: Later = later,
    ) -> None:
        """Tie API calls with *in_flight*; record to *recorder* as *instance*.

        *claims* are read of each tool call. If they are *is_traced*, the journal keeps what their
        spans are made of.
        """
        self.is_traced = is_traced
        self.durations = McpDurations()
        self.in_flight = in_flight
        self.later = later
        self.sessions = Sessions(later)
        self.waiting = Waiting[OpenToolCall]()
        self.tasks = Tasks[OpenToolCall]()
        self.clients = in_flight.clients
        self.claims = claims
        self.request_paths = REQUEST_PATHS | claims.paths
        self.recorder = recorder
        self.instance = instance

    def begin(self, said: ToolCall, source: Source) -> "Round":
        """Open the tool call *said*, or its next round, which is about to be forwarded."""
        client = said.client or self.clients.client_of(source.agent.session)
        source = replace(source, agent=source.agent.introduced_as(client, said.claims))
        call = self.waiting.find(source.key, said)
        if call is not None:
            call.go_on(said, source)
        else:
            call = OpenToolCall(self, said, source)
        return Round(call, said.rpc_id, source)

    def end_session(self, session: SessionKey) -> None:
        """End the tool calls of *session*, which its client has ended."""
        self.sessions.end(session)
        caller, name = session
        ended = self.clients.end(session_id(caller, name.encode("latin-1")))
        if ended is not None:
            seconds, client = ended
            self.durations.sessions.note(seconds, client.protocol_version)

    def ask(self, session: SessionKey, values: Values, likely: SessionCall | None) -> None:
        """Note that the server asks the client in *session* by the message with *values*.

        It asks for the task that the message names, or for the *likely* call.
        """
        task = related_task(values)
        call: AskingCall | None = None
        if task is not None:
            call = self.tasks.find(session[0], task)
        elif likely is not None:
            call = likely.call
        self.sessions.ask(session, rpc_id_of(values), call)

    def answer(self, session: SessionKey, values: Values) -> None:
        """Note what the client in *session* answers, if the message with *values* is an answer."""
        is_declined = answer_of(values)
        if is_declined is not None:
            self.sessions.answer(session, rpc_id_of(values), is_declined=is_declined)


class Round:
    """One request of a tool call, until its response."""

    def __init__(self, call: "OpenToolCall", rpc_id: JsonRpcId | None, source: Source) -> None:
        """Make it findable if it belongs to the session of *source*."""
        self.rpc_id = rpc_id
        self.has_ended = False
        self.call = call
        self._is_modern = is_modern(source.agent.protocol_version)
        self._session: SessionKey | None = None
        self._left: tuple[ToolResponse, float] | None = None
        if source.session is not None:
            self._session = (source.key, source.session)
            call.calls.sessions.add(self._session, self)

    def hang_up(self, *, may_resume: bool) -> None:
        """Note that its client has closed the connection: a cancellation from 2026-07-28 on."""
        if not self._is_modern:
            self.leave(LEFT)
        elif may_resume:
            self.leave(GONE)
        else:
            self.cancel()

    def leave(self, response: ToolResponse) -> None:
        """Note that its stream has ended; record *response* unless a better one is fetched.

        Without a session none can be fetched.
        """
        if self.has_ended:
            return
        if self._session is None:
            self._end(response, time.perf_counter(), LEFT_SECONDS)
            return
        self._left = (response, time.perf_counter())
        self.call.leave(response)
        self.call.calls.sessions.leave(self)

    def give_up(self) -> None:
        """Record the tool call as `leave` noted it."""
        if self._left is not None:
            self._end(*self._left)

    def cancel(self) -> None:
        """Record that its client has cancelled it. The tool may not heed that at once."""
        self._end(GONE, time.perf_counter(), CANCELLED_SECONDS)

    def withdraw(self) -> None:
        """Note that its request was sent elsewhere, and ran nothing."""
        self.has_ended = True
        if self._session is not None:
            self.call.calls.sessions.remove(self)
        self.call.withdraw()

    def end(self, response: ToolResponse) -> None:
        """Record the tool call with its *response*. Only the first call counts."""
        if self.has_ended:
            self.call.settle()
        self._end(response, time.perf_counter())

    def _end(self, response: ToolResponse, ended: float, works_seconds: float = 0.0) -> None:
        if self.has_ended:
            return
        self.has_ended = True
        if self._session is not None:
            self.call.calls.sessions.remove(self)
        self.call.respond(response, ended, works_seconds)


class _Registry(Protocol):
    """Where a tool call that outlasts its request is found again."""

    def remove(self, call: "OpenToolCall") -> None:
        """Forget *call*."""


class OpenToolCall:
    """A tool call that has not ended."""

    def __init__(self, calls: ToolCalls, said: ToolCall, source: Source) -> None:
        self.calls = calls
        self.may_have_gone_on = False
        self.questions: set[Question] = set()
        self._key = source.key
        span = _span_of(said, source) if calls.is_traced else NO_SPAN
        self._in_flight = ToolCallInFlight(
            said.tool,
            source.key,
            source.ours,
            source.theirs,
            source.standing,
            traceparent=span.traceparent,
        )
        calls.in_flight.add(self._in_flight)
        self._record = CallRecord(
            calls.recorder,
            calls.instance,
            source,
            self._in_flight,
            span,
            calls.durations.tool_calls.note,
        )
        declines = said.is_declined or False
        self.is_declined = declines and calls.waiting.have_asked(source.key, said)
        """Whether its client declined what it was last asked for."""
        self._declines_unseen = declines
        """Whether it begins with the refusal of a question that did not pass here."""
        self._is_recorded = False
        self._registry: _Registry | None = None
        self._timer: Timer | None = None
        self._last = (UNSEEN, 0.0)
        """What was last heard of it, and when."""

    def respond(self, response: ToolResponse, moment: float, works_seconds: float = 0.0) -> None:
        """Note the *response* to the last round, which came at *moment*.

        If it did not come, the tool may be at work for *works_seconds*.
        """
        if response.outcome.is_ending:
            self._end(response, moment, works_seconds)
        elif self._in_flight.is_tracked and self._record.rounds < MAX_ROUNDS:
            self._last_on(response, moment)
        else:
            self._end(UNSEEN, moment)  # there is no room for it

    def leave(self, response: ToolResponse) -> None:
        """Note that nobody listens while the tool works; *response* is what is known by now."""
        self.calls.in_flight.pause(self._in_flight, works=True)
        self._record.keep(response)

    def withdraw(self) -> None:
        """Note that the last round ran nothing: go back to before it."""
        if self._record.rounds > 1:
            self._record.rounds -= 1
            self._last_on(*self._last)
            return
        self.calls.in_flight.remove(self._in_flight)
        if self._in_flight.api_calls:
            self._record.end(UNSEEN, None)  # something seems to have run
        else:
            self._record.withdraw()

    def settle(self) -> None:
        """Note that nothing works on it any more, though it was recorded before."""
        if self._timer is not None and self._is_recorded:
            self._timer.cancel()
            self._settled()

    def go_on(self, said: ToolCall, source: Source) -> None:
        """Begin the next round, which *said* describes."""
        self._be_found_no_more()
        self._answer(said)
        self.calls.in_flight.resume(self._in_flight, source.ours, source.theirs)
        self._record.keep(INTERRUPTED)

    def hear(self, news: TaskNews, asked: TaskRequest | None) -> None:
        """Learn of *news* about its task, which respond to *asked* if they respond to anything."""
        now, (last, moment) = time.perf_counter(), self._last
        response = ToolResponse(None, news.outcome, news.status, news.error_code)
        if news.is_final:
            if _is_of_another(news, asked, last):
                return
            has_ended = last.outcome in _OF_THE_TOOL
            is_cancelled = news.outcome is ToolOutcome.CANCELLED
            works_seconds = CANCELLED_SECONDS if is_cancelled else 0.0
            self._end(response, moment if has_ended else now, works_seconds)
            return
        is_told_to_stop = last.outcome is ToolOutcome.CANCELLED
        if last.outcome.is_ending and not is_told_to_stop:
            return  # what is more can only be its result
        self._follow_for(followed_seconds(news))
        if is_told_to_stop and not news.outcome.is_ending:
            return  # it may still end otherwise
        self._last = (response, now)
        if news.outcome is ToolOutcome.WORKING and last.outcome is ToolOutcome.ASKED:
            self._answer(asked)
        if news.outcome.is_ending:
            self._record.keep(response)  # its result may say it better
        elif news.outcome is not last.outcome:
            self._record.show(response)
            self._record.keep(UNSEEN)

    def give_up(self) -> None:
        """Record as much as is known: nothing more was heard in time."""
        response, moment = self._last
        # With several workers the next round may have come to another one.
        is_sure = self.calls.in_flight.is_alone and not self.may_have_gone_on
        if response.outcome is ToolOutcome.ASKED and is_sure:
            response = ABANDONED
        elif not response.outcome.is_ending:
            response = UNSEEN
        self._end(response, moment)

    def _last_on(self, response: ToolResponse, moment: float) -> None:
        """Be found again by what comes after *response*, which is no ending."""
        calls, task = self.calls, response.task
        calls.in_flight.pause(self._in_flight, works=task is not None)
        self._last = (response, moment)
        self._record.show(response)
        self._record.keep(UNSEEN)
        if task is None:
            calls.waiting.add((self._key, self._in_flight.tool, response.state), self)
            self._registry = calls.waiting
            self._follow_for(ASKED_SECONDS)
        else:
            calls.tasks.add(self._key, task.task, self)
            self._registry = calls.tasks
            self._follow_for(followed_seconds(task))
            self.hear(task, None)

    def _answer(self, said: ToolCall | TaskRequest | None) -> None:
        self._record.rounds += 1
        if said is not None and said.is_declined is not None:
            self.is_declined, self._declines_unseen = said.is_declined, False

    def _follow_for(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.calls.later(seconds, self.give_up)

    def _be_found_no_more(self) -> None:
        if self._registry is not None:
            self._registry.remove(self)
            self._registry = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, response: ToolResponse, moment: float, works_seconds: float = 0.0) -> None:
        self._be_found_no_more()
        self.calls.sessions.ask_no_more(self)
        if works_seconds and self._in_flight.is_tracked:
            self.calls.in_flight.pause(self._in_flight, works=True)
            self._timer = self.calls.later(works_seconds, self._settled)
        else:
            self.calls.in_flight.remove(self._in_flight)
        self._is_recorded = True
        ended = None if response is UNSEEN else moment
        if self.is_declined:
            response = _declined(response)
        elif self._declines_unseen and response.outcome in _OF_THE_TOOL:
            # Another worker may have asked, and nothing ran; or the client made the refusal up.
            response = UNSEEN
        self._record.end(response, ended)

    def _settled(self) -> None:
        self._timer = None
        self.calls.in_flight.remove(self._in_flight)


def _is_of_another(news: TaskNews, asked: TaskRequest | None, last: ToolResponse) -> bool:
    """Return whether the error that *news* tell is of the request *asked* and not of its task."""
    is_error = asked is not None and asked.method == "tasks/result" and news.error_code is not None
    return is_error and news.error_code == _INVALID_PARAMS and not last.outcome.is_ending


def _span_of(said: ToolCall, source: Source) -> ToolSpan:
    is_named = said.traceparent is not None and trace_id_of(said.traceparent) is not None
    meta = TraceContext(said.traceparent, said.tracestate) if is_named else None
    return tool_span(meta, source.trace, said.rpc_id)


def _declined(response: ToolResponse) -> ToolResponse:
    """Return how a tool call ended whose client declined what it was last asked for.

    A JSON-RPC error stays one: it may be about the request itself.
    """
    if response.outcome not in _OF_THE_TOOL:
        return response
    return ToolResponse(response.rpc_id, ToolOutcome.DECLINED, _STATUS_DECLINED)

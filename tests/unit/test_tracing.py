"""What tracing keeps of a call while the collector is away."""

import asyncio
from collections import Counter

import pytest
from opentelemetry.trace import get_current_span

from audit_log.record import AuditRecord
from proxy.audit.tool_span import ToolSpan, tool_span
from proxy.audit.trace_context import MAX_CONTEXT_BYTES, TraceContext, trace_context
from proxy.telemetry.health import Health
from proxy.telemetry.outbox import DELIVERED
from proxy.telemetry.spans import SpanExport
from proxy.telemetry.tool_spans import context_in
from proxy.telemetry.tracing import TracedRecord, tracing
from tests.neighbours.journal import a_record
from tests.unit.heads import head_with

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Exporter:
    """Keeps what it is given to send."""

    reason = ""

    def __init__(self, loop):
        self.calls = loop.create_future()
        self._loop = loop

    def export(self, calls, /):
        self._loop.call_soon_threadsafe(self.calls.set_result, calls)
        return Counter({DELIVERED: len(calls)})

    def end(self):
        pass


def traced(context):
    values = {name: getattr(a_record(0), name) for name in AuditRecord.__struct_fields__}
    return TracedRecord(**values, **context._asdict())


async def test_a_record_waits_for_the_collector_with_what_names_the_clients_span():
    exporter = Exporter(asyncio.get_running_loop())
    record = traced(trace_context(head_with(Traceparent=TRACEPARENT)))
    async with tracing(exporter, Counter(), Health()) as call_ended:
        call_ended(record)
        async with asyncio.timeout(10):
            [sent] = await exporter.calls

    assert sent == record
    assert (sent.traceparent, sent.tracestate) == (TRACEPARENT, None)


def test_a_long_tracestate_loses_whole_members_from_its_end():
    members = [f"vendor{number:02}=abcdefghijklmnopqrst" for number in range(30)]
    head = head_with(Traceparent=TRACEPARENT, Tracestate=",".join(members))

    context = trace_context(head)

    assert context.tracestate is not None
    kept = context.tracestate.split(",")
    assert kept == members[: len(kept)]
    assert MAX_CONTEXT_BYTES - 30 < len(context.tracestate) <= MAX_CONTEXT_BYTES
    state = get_current_span(context_in(*context)).get_span_context().trace_state
    assert list(state) == [member.partition("=")[0] for member in kept]


def test_a_traceparent_that_is_too_long_to_be_one_is_none():
    head = head_with(Traceparent=TRACEPARENT + "-" + "a" * MAX_CONTEXT_BYTES)

    assert trace_context(head).traceparent is None


def test_what_a_message_says_of_its_span_is_as_bounded_as_what_the_head_says():
    head = TraceContext(TRACEPARENT)
    later_version = "01" + TRACEPARENT[2:] + "-"
    longest = later_version + "x" * (MAX_CONTEXT_BYTES - len(later_version))

    assert tool_span(TraceContext(longest), head, 1) == ToolSpan(longest, None, TRACEPARENT, "1")
    assert tool_span(TraceContext(longest + "x"), head, 1) == ToolSpan(TRACEPARENT, rpc_id="1")


@pytest.mark.parametrize(
    ("parent", "state"),
    [
        (TRACEPARENT, "a=" + "x" * 300),
        (TRACEPARENT, "a=1,a=2"),
        (TRACEPARENT, "nonsense"),
        ("00-1", "a=1"),
    ],
)
def test_what_a_client_sends_as_its_trace_is_not_for_the_log(caplog, parent, state):
    export = SpanExport("here")
    context_in(parent, state)
    export.end()

    assert caplog.messages == []

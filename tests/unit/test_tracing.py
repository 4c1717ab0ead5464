"""What tracing keeps of a call while the collector is away."""

import asyncio
from collections import Counter

from opentelemetry.trace import get_current_span

from proxy.telemetry.health import Health
from proxy.telemetry.outbox import DELIVERED
from proxy.telemetry.spans import parent_of
from proxy.telemetry.tracing import MAX_CONTEXT_BYTES, ended_call, tracing
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


async def test_nothing_of_the_head_waits_for_the_collector_but_what_names_the_clients_span():
    exporter = Exporter(asyncio.get_running_loop())
    head = head_with(
        Authorization="Bearer pwm_secret", Cookie="c" * 60_000, Traceparent=TRACEPARENT
    )
    record = a_record(0)
    async with tracing(exporter, Counter(), Health()) as call_ended:
        call_ended(head, record)
        async with asyncio.timeout(10):
            [call] = await exporter.calls

    assert tuple(call) == (TRACEPARENT.encode(), None, record)


def test_a_long_tracestate_loses_whole_members_from_its_end():
    members = [f"vendor{number:02}=abcdefghijklmnopqrst" for number in range(30)]
    head = head_with(Traceparent=TRACEPARENT, Tracestate=",".join(members))

    call = ended_call(head, a_record(0))

    assert call.tracestate is not None
    kept = call.tracestate.decode().split(",")
    assert kept == members[: len(kept)]
    assert MAX_CONTEXT_BYTES - 30 < len(call.tracestate) <= MAX_CONTEXT_BYTES
    state = get_current_span(parent_of(call)).get_span_context().trace_state
    assert list(state) == [member.partition("=")[0] for member in kept]


def test_a_traceparent_that_is_too_long_to_be_one_is_none():
    head = head_with(Traceparent=TRACEPARENT + "-" + "a" * MAX_CONTEXT_BYTES)

    assert ended_call(head, a_record(0)).traceparent is None

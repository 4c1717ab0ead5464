"""Tracing: a span of every audited call, made and sent beside the calls."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, Protocol

import structlog

from audit_log.process.changes import LoggedState
from audit_log.process.disk_thread import DiskThread
from audit_log.record import AuditRecord
from proxy.audit.exchange import Observer
from proxy.http.request import RequestHead
from proxy.telemetry.health import Health
from proxy.telemetry.outbox import DELIVERED, DROPPED, Outbox, emptied

CAPACITY: Final = 10_000
MAX_BATCH: Final = 512
PACE_SECONDS: Final = 0.5
DRAIN_SECONDS: Final = 2.0
UNSAMPLED: Final = "unsampled"
"""The fate of a span that the sampler of `OTEL_TRACES_SAMPLER` leaves out."""
MAX_CONTEXT_BYTES: Final = 512
"""Of a `tracestate` no more need be passed on (W3C Trace Context, section 3.3.1.5)."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class TracingUnavailableError(Exception):
    """Spans cannot be made. The message says what to do."""


class EndedCall(NamedTuple):
    """What a span is made of. Not the head: thousands wait, and each would keep its token."""

    traceparent: bytes | None
    tracestate: bytes | None
    record: AuditRecord


def ended_call(head: RequestHead, record: AuditRecord) -> EndedCall:
    """Return what is kept of a call: of *head* what names the client's span, no longer than due.

    A long `tracestate` loses whole members from its end, as its standard has it.
    """
    parent, state = head.field(b"traceparent"), head.field(b"tracestate")
    if parent is not None and len(parent) > MAX_CONTEXT_BYTES:
        parent = None
    if state is not None and len(state) > MAX_CONTEXT_BYTES:
        state = state[: MAX_CONTEXT_BYTES + 1].rpartition(b",")[0]
    return EndedCall(parent, state, record)


class Export(Protocol):
    """What makes and sends spans: all that tracing needs of OpenTelemetry. It may wait."""

    reason: str
    """Why the last export failed."""

    def export(self, calls: Sequence[EndedCall], /) -> Counter[str]:
        """Send the spans of *calls*; return how many met which fate."""

    def end(self) -> None:
        """Let an export that is going on try no more."""


def span_export(instance: str) -> Export:
    """Return what sends the spans of *instance*. Raises TracingUnavailableError."""
    try:
        from proxy.telemetry.spans import SpanExport  # noqa: PLC0415  it needs what most do without

        return SpanExport(instance)
    except ImportError as error:
        raise TracingUnavailableError(
            f"OpenTelemetry is not installed ({error});"
            " install requirements/otel.lock, or set PROXY_TRACING=off"
        ) from None
    except ValueError as error:
        raise TracingUnavailableError(f"an OTEL_… variable makes no sense: {error}") from None


@asynccontextmanager
async def tracing(export: Export, fates: Counter[str], health: Health) -> AsyncIterator[Observer]:
    """Yield what is to be told of each call; send the spans by *export*, count them in *fates*."""
    outbox: Outbox[EndedCall] = Outbox(CAPACITY, fates)
    # Not an executor: a collector that does not answer must not keep a stopped sidecar alive.
    thread = DiskThread("tracing")
    work = _send(outbox, export, thread)
    try:
        async with emptied(outbox, work, "tracing", health=health, drain_seconds=DRAIN_SECONDS):
            yield lambda head, record: outbox.offer(ended_call(head, record))
    finally:
        export.end()
        thread.end()


async def _send(outbox: Outbox[EndedCall], export: Export, thread: DiskThread) -> None:
    state = LoggedState(log, fails="tracing.became_unavailable", works="tracing.became_available")
    while True:
        calls = await outbox.take(MAX_BATCH)
        fates = await thread.submit(export.export, calls)
        outbox.fates.update(fates)
        if fates[DROPPED]:
            state.note(export.reason)
        elif fates[DELIVERED]:
            state.note(None)
        if len(calls) < MAX_BATCH:
            await outbox.pause(PACE_SECONDS)

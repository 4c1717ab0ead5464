"""Tracing: a span for every audited call and every tool call, made and sent beside the calls.

What needs OpenTelemetry is in `spans`, which imports this module; this one needs no extra.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Protocol

import structlog

from audit_log.process.changes import LoggedState
from audit_log.process.disk_thread import DiskThread
from proxy.audit.record_text import TracedRecord
from proxy.audit.tool_span import TracedInvocation
from proxy.telemetry.health import Health
from proxy.telemetry.outbox import DELIVERED, DROPPED, Outbox, emptied

CAPACITY: Final = 10_000
"""How many calls wait for the collector before the oldest is dropped."""
MAX_BATCH: Final = 512
PACE_SECONDS: Final = 0.5
"""The pause after a batch that was not full."""
DRAIN_SECONDS: Final = 2.0
UNSAMPLED: Final = "unsampled"
"""The fate of a span that the sampler of `OTEL_TRACES_SAMPLER` leaves out."""
Traced = TracedRecord | TracedInvocation
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class TracingUnavailableError(Exception):
    """Spans cannot be made. The message says what the operator can do."""


class Export(Protocol):
    """What makes and sends spans: all that tracing needs of OpenTelemetry. Its calls may block."""

    reason: str
    """Why the last export failed."""

    def export(self, records: Sequence[Traced], /) -> Counter[str]:
        """Send the spans of *records*; return how many of them met each fate."""

    def end(self) -> None:
        """Let a running export make no further attempt."""


@asynccontextmanager
async def tracing(
    export: Export, fates: Counter[str], health: Health
) -> AsyncIterator[Callable[[Traced], None]]:
    """Yield the observer of calls; send their spans with *export* and count them in *fates*."""
    outbox: Outbox[Traced] = Outbox(CAPACITY, fates)
    # Not an executor: a collector that does not respond must not keep a stopped sidecar alive.
    thread = DiskThread("tracing")
    begin = partial(_send, outbox, export, thread)
    try:
        async with emptied(outbox, begin, "tracing", health=health, drain_seconds=DRAIN_SECONDS):
            yield outbox.offer
    finally:
        export.end()
        thread.end()


async def _send(outbox: Outbox[Traced], export: Export, thread: DiskThread) -> None:
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

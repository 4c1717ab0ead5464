"""Spans of OpenTelemetry: of API calls by its semantic conventions for HTTP, and of tool calls.

An API call is a child of the span that its own `traceparent` names, and linked to the tool call
that caused it. Without a `traceparent` it is a child of the tool call.

Importing this needs the extra `otel`. Everything here runs in the thread of `tracing`.
"""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from audit_log.record import AuditRecord, Invocation
from proxy.audit.tool_span import TracedInvocation
from proxy.telemetry.outbox import DELIVERED, DROPPED
from proxy.telemetry.tool_errors import error_type_of
from proxy.telemetry.tool_spans import (
    Ids,
    context_in,
    name_of,
    own_trace_id_of,
    span_context_in,
    span_id_of,
    tool_call_attributes,
)
from proxy.telemetry.tracing import UNSAMPLED, Traced, TracedRecord

SERVICE: Final = "podwarden-audit-proxy"
# https://opentelemetry.io/docs/specs/semconv/http/http-spans: the methods of RFC 9110 and PATCH.
# Any other is sent as _OTHER, so that clients cannot create values without limit.
_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
_OTHER_METHOD: Final = "_OTHER"
_FIRST_FAILURE: Final = 500
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class SpanExport:
    """Makes spans and sends them by OTLP over HTTP, as the `OTEL_…` variables configure it."""

    def __init__(self, instance: str) -> None:
        """Send as *instance*. Raises ValueError when one of the variables is invalid."""
        resource = Resource.create({"service.instance.id": instance})
        if "OTEL_SERVICE_NAME" not in os.environ:
            resource = resource.merge(Resource({"service.name": SERVICE}))
        self._made = InMemorySpanExporter()
        self._ids = Ids()
        self._provider = provider = TracerProvider(
            resource=resource, shutdown_on_exit=False, id_generator=self._ids
        )
        provider.add_span_processor(SimpleSpanProcessor(self._made))
        self._tracer = provider.get_tracer(SERVICE)
        self._exporter = OTLPSpanExporter()
        self.reason = ""
        """Why the last export failed: the first line that the exporter logged."""
        # The exporter logs each attempt; `tracing` logs only the first failure.
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(self._overhear)
        # It warns of each trace context that is wrong, with its text: a client could fill the log.
        logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)

    def export(self, records: Sequence[Traced]) -> Counter[str]:
        """Send the spans of *records*, within `OTEL_EXPORTER_OTLP_TIMEOUT`.

        Return how many met each fate.
        """
        self.reason = ""
        for record in records:
            if isinstance(record, TracedRecord):
                self._make_call_span(record)
            else:
                self._make_tool_span(record)
        spans = self._made.get_finished_spans()
        self._made.clear()
        fates = Counter({UNSAMPLED: len(records) - len(spans)})
        if spans:
            is_sent = self._exporter.export(spans) is SpanExportResult.SUCCESS
            fates[DELIVERED if is_sent else DROPPED] = len(spans)
        return fates

    def end(self) -> None:
        """Let a running export make no further attempt."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # OpenTelemetry left them out

    def _make_call_span(self, record: TracedRecord) -> None:
        cause = self._cause_of(record)
        parent = context_in(record.traceparent, record.tracestate)
        if cause is not None and not parent:
            parent, cause = set_span_in_context(NonRecordingSpan(cause), parent), None
        span = self._tracer.start_span(
            record.method if record.method in _METHODS else "HTTP",
            context=parent,
            kind=SpanKind.SERVER,
            attributes=attributes_of(record),
            links=None if cause is None else [Link(cause)],
            start_time=_nanoseconds(record.created_at),
        )
        if record.status_code >= _FIRST_FAILURE or not record.status_code:
            span.set_status(StatusCode.ERROR)
        _end(span, record)

    def _make_tool_span(self, invocation: TracedInvocation) -> None:
        linked = span_context_in(invocation.linked)
        self._ids.tool_call = invocation.id
        span = self._tracer.start_span(
            name_of(invocation),
            context=context_in(invocation.traceparent, invocation.tracestate),
            kind=SpanKind.SERVER,
            attributes=tool_call_attributes(invocation),
            links=None if linked is None else [Link(linked)],
            start_time=_nanoseconds(invocation.created_at),
        )
        self._ids.tool_call = None
        if error_type_of(invocation) is not None:
            span.set_status(StatusCode.ERROR)
        _end(span, invocation)

    def _cause_of(self, record: TracedRecord) -> SpanContext | None:
        """Return what names the span of the tool call that caused *record*."""
        if record.invocation_id is None:
            return None
        trace = span_context_in(record.tool_traceparent)
        if trace is not None:
            trace_id, flags = trace.trace_id, trace.trace_flags
        else:
            trace_id = own_trace_id_of(record.invocation_id)
            # As the sampler will decide of the tool call, which begins this trace.
            decision = self._provider.sampler.should_sample(None, trace_id, "").decision
            flags = TraceFlags(decision is Decision.RECORD_AND_SAMPLE)
        return SpanContext(
            trace_id, span_id_of(record.invocation_id), is_remote=True, trace_flags=flags
        )

    def _overhear(self, said: logging.LogRecord) -> bool:
        self.reason = self.reason or said.getMessage()
        return False


def attributes_of(record: AuditRecord) -> dict[str, AttributeValue]:
    """Return the attributes of the span of *record*: no token, no token hash and no query."""
    is_known = record.method in _METHODS
    failure = str(record.status_code) if record.status_code >= _FIRST_FAILURE else None
    given: dict[str, AttributeValue | None] = {
        "http.request.method": record.method if is_known else _OTHER_METHOD,
        "http.request.method_original": None if is_known else record.method,
        "url.path": record.path,
        "http.response.status_code": record.status_code or None,
        "error.type": failure if record.status_code else record.outcome.value,
        "client.address": record.client_ip,
        "user_agent.original": record.user_agent,
        "gen_ai.tool.name": record.tool,
        "podwarden.audit.record_id": str(record.id),
        "podwarden.audit.outcome": record.outcome.value,
        "podwarden.audit.token_name": record.token_name,
        "podwarden.audit.invocation_id": str(record.invocation_id or "") or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _end(span: Span, record: AuditRecord | Invocation) -> None:
    span.end(_nanoseconds(record.created_at) + round((record.duration_ms or 0) * 1_000_000))


def _nanoseconds(moment: datetime) -> int:
    # In integers: a float has too few digits for nanoseconds since 1970.
    since = moment - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000

"""Spans of OpenTelemetry, made of records by the semantic conventions for HTTP.

Importing this needs the extra `otel`. Everything here runs in the thread of `tracing`.
"""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from audit_log.record import AuditRecord
from proxy.telemetry.outbox import DELIVERED, DROPPED
from proxy.telemetry.tracing import UNSAMPLED, TracedRecord

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
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._made))
        self._tracer = provider.get_tracer(SERVICE)
        self._exporter = OTLPSpanExporter()
        self.reason = ""
        """Why the last export failed: the first line that the exporter logged."""
        # The exporter logs each attempt; `tracing` logs only the first failure.
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(self._overhear)

    def export(self, records: Sequence[TracedRecord]) -> Counter[str]:
        """Send the spans of *records*, within `OTEL_EXPORTER_OTLP_TIMEOUT`.

        Return how many met each fate.
        """
        self.reason = ""
        for record in records:
            self._make_span(record)
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

    def _make_span(self, record: TracedRecord) -> None:
        started = _nanoseconds(record.created_at)
        span = self._tracer.start_span(
            record.method if record.method in _METHODS else "HTTP",
            context=parent_of(record),
            kind=SpanKind.SERVER,
            attributes=attributes_of(record),
            start_time=started,
        )
        if record.status_code >= _FIRST_FAILURE or not record.status_code:
            span.set_status(StatusCode.ERROR)
        span.end(started + round((record.duration_ms or 0) * 1_000_000))

    def _overhear(self, said: logging.LogRecord) -> bool:
        self.reason = self.reason or said.getMessage()
        return False


def parent_of(record: TracedRecord) -> Context:
    """Return the client's span, as its `traceparent` names it; an empty context without one."""
    fields = {"traceparent": record.traceparent, "tracestate": record.tracestate}
    carrier = {name: value for name, value in fields.items() if value}
    return TraceContextTextMapPropagator().extract(carrier, context=Context())


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


def _nanoseconds(moment: datetime) -> int:
    # In integers: a float has too few digits for nanoseconds since 1970.
    since = moment - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000

"""Spans of tool calls, by OpenTelemetry's semantic conventions for MCP and GenAI 0.1.

A tool call's span has ids that follow from the tool call's own id. So the span of an API call that
it caused can name it as its parent although it is made earlier, in whichever worker.

Importing this needs the extra `otel`.
"""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from audit_log.record import Invocation, Origin, ToolOutcome
from proxy.audit.tool_span import TracedInvocation
from proxy.telemetry.tool_errors import error_type_of

METHOD: Final = "tools/call"
_NETWORKS: Final[Mapping[Origin, Mapping[str, str]]] = MappingProxyType(
    {
        Origin.MCP: {"network.transport": "tcp", "network.protocol.name": "http"},
        Origin.HUB: {"network.transport": "tcp", "network.protocol.name": "websocket"},
    }
)


class Ids(RandomIdGenerator):
    """Makes the ids of spans: those of `tool_call` while it is set, else random ones."""

    tool_call: UUID | None = None

    def generate_span_id(self) -> int:
        """Return the next span's id."""
        given = self.tool_call
        return super().generate_span_id() if given is None else span_id_of(given)

    def generate_trace_id(self) -> int:
        """Return the id of the trace that the next span begins."""
        given = self.tool_call
        return super().generate_trace_id() if given is None else own_trace_id_of(given)


def own_trace_id_of(invocation_id: UUID) -> int:
    """Return the id of a tool call's trace where its client has none.

    Hashed, as samplers take a part of the ids, and those of a UUIDv7 are not evenly spread.
    """
    return int.from_bytes(hashlib.blake2b(invocation_id.bytes, digest_size=16).digest())


def span_id_of(invocation_id: UUID) -> int:
    """Return the id of a tool call's span."""
    return int.from_bytes(hashlib.blake2b(invocation_id.bytes, digest_size=8).digest())


def context_in(traceparent: str | None, tracestate: str | None = None) -> Context:
    """Return the context of the span that the two values name; an empty one if they name none."""
    fields = {"traceparent": traceparent, "tracestate": tracestate}
    carrier = {name: value for name, value in fields.items() if value}
    return TraceContextTextMapPropagator().extract(carrier, context=Context())


def span_context_in(traceparent: str | None) -> SpanContext | None:
    """Return what names the span in *traceparent*; None if that names none."""
    found = get_current_span(context_in(traceparent)).get_span_context()
    return found if found.is_valid else None


def name_of(invocation: Invocation) -> str:
    """Return the name of the span; without the tool if no such tool may exist.

    A client could make names without limit otherwise.
    """
    if invocation.outcome is ToolOutcome.PROTOCOL_ERROR:
        return METHOD
    return f"{METHOD} {invocation.tool}"


def tool_call_attributes(invocation: TracedInvocation) -> dict[str, AttributeValue]:
    """Return the attributes of the span of *invocation*: no arguments, no result and no token."""
    code = invocation.error_code
    given: dict[str, AttributeValue | None] = {
        "mcp.method.name": METHOD,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": invocation.tool,
        "error.type": error_type_of(invocation),
        "jsonrpc.request.id": invocation.rpc_id,
        "rpc.response.status_code": None if code is None else str(code),
        # What stands for the `Mcp-Session-Id`: with that itself the session could be entered.
        "mcp.session.id": None if invocation.session is None else str(invocation.session),
        "mcp.protocol.version": invocation.protocol_version,
        "client.address": invocation.client_ip,
        "user_agent.original": invocation.user_agent,
        **_NETWORKS[invocation.origin],
        "podwarden.audit.invocation_id": str(invocation.id),
        "podwarden.audit.outcome": invocation.outcome.value,
        "podwarden.audit.token_name": invocation.token_name,
        "podwarden.audit.api_calls": invocation.api_calls,
        "podwarden.audit.client_name": invocation.client_name,
        "podwarden.audit.client_version": invocation.client_version,
    }
    return {name: value for name, value in given.items() if value is not None}

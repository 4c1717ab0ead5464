"""What a tool call's span is made of, where spans are sent. Pure.

MCP (SEP-414) carries the client's span in `params._meta`. It has precedence over that in the head,
which may be of the transport alone, and which is linked then (OpenTelemetry, semantic conventions
for MCP).
"""

from typing import NamedTuple

from audit_log.record import Invocation
from proxy.audit.trace_context import MAX_CONTEXT_BYTES, TraceContext

MAX_RPC_ID_CHARACTERS = 128


class ToolSpan(NamedTuple):
    """The names are those of `TracedInvocation`."""

    traceparent: str | None = None
    tracestate: str | None = None
    linked: str | None = None
    rpc_id: str | None = None


NO_SPAN = ToolSpan()
"""Of a tool call of which no span is sent."""


class TracedInvocation(Invocation, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A tool call with the span of its client (W3C Trace Context), as the journal has it."""

    traceparent: str | None = None
    tracestate: str | None = None
    linked: str | None = None
    """The `traceparent` of the head, where `_meta` has another one."""
    rpc_id: str | None = None
    """The id of the JSON-RPC request."""


def tool_span(
    meta: TraceContext | None, head: TraceContext, rpc_id: str | float | None
) -> ToolSpan:
    """Return the span of a tool call: *meta* is of its message, if it has any, *head* of its head.

    What is longer than `MAX_CONTEXT_BYTES` is left out.
    """
    if meta is not None and len(meta.traceparent or "") > MAX_CONTEXT_BYTES:
        meta = None
    parent = head if meta is None else meta
    state = parent.tracestate
    return ToolSpan(
        parent.traceparent,
        state if state is None or len(state) <= MAX_CONTEXT_BYTES else None,
        None if meta is None else head.traceparent,
        None if rpc_id is None else str(rpc_id)[:MAX_RPC_ID_CHARACTERS],
    )

"""What of a request names the client's span (W3C Trace Context). Pure."""

from typing import Final, NamedTuple

from proxy.http.request import RequestHead

MAX_CONTEXT_BYTES: Final = 512
"""A longer `tracestate` need not be propagated (W3C Trace Context, section 3.3.1.5)."""


class TraceContext(NamedTuple):
    """The values of the two fields."""

    traceparent: str | None = None
    tracestate: str | None = None


NO_TRACE: Final = TraceContext()


def trace_context(head: RequestHead) -> TraceContext:
    """Return what names the span of the client that sent *head*.

    A `traceparent` of more than `MAX_CONTEXT_BYTES` is left out. A longer `tracestate` loses
    whole members from its end (W3C Trace Context, section 3.3.1.5).
    """
    parent, state = head.field(b"traceparent"), head.field(b"tracestate")
    if parent is not None and len(parent) > MAX_CONTEXT_BYTES:
        parent = None
    if state is not None and len(state) > MAX_CONTEXT_BYTES:
        state = state[: MAX_CONTEXT_BYTES + 1].rpartition(b",")[0]
    return TraceContext(
        None if parent is None else parent.decode("latin-1"),
        None if state is None else state.decode("latin-1"),
    )

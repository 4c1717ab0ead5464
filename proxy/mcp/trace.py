"""Ids that travel with a request: W3C trace context and X-Request-Id. Pure."""

import re
import secrets
from typing import Final

from proxy.http.fields import FieldList
from proxy.http.request import RequestHead

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

TravelIds = frozenset[str]
"""Ids that tie an API call to its tool call, if the MCP server passes them on."""

NO_IDS: Final[TravelIds] = frozenset()


def travel_ids_of(head: RequestHead) -> TravelIds:
    """Return the ids that the client sent in *head*. They are its claim, and no proof."""
    traceparent = head.field(b"traceparent")
    trace_id = None if traceparent is None else trace_id_of(traceparent.decode("latin-1"))
    return frozenset(given for given in (trace_id, head.request_id) if given)


def trace_id_of(traceparent: str) -> str | None:
    """Return the trace id of a `traceparent` value (W3C Trace Context, section 3.2), or None."""
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    return found[1] if found and found[1].strip("0") else None


def ids_to_add(head: RequestHead) -> tuple[TravelIds, FieldList]:
    """Return new ids for the fields that *head* lacks, and those fields.

    They are random: only a party that received them can send them.
    """
    trace_id, request_id = secrets.token_hex(16), secrets.token_hex(16)
    added = []
    if head.field(b"traceparent") is None:
        # Not sampled: the sidecar does not decide whether a trace is kept.
        traceparent = f"00-{trace_id}-{secrets.token_hex(8)}-00"
        added.append((trace_id, (b"traceparent", traceparent.encode())))
    if head.field(b"x-request-id") is None:
        added.append((request_id, (b"X-Request-Id", request_id.encode())))
    return frozenset(given for given, _ in added), [field for _, field in added]

"""Ids that travel with a request: W3C trace context and X-Request-Id. Pure."""

import re
import secrets
from typing import Final

from proxy.http.fields import FieldList
from proxy.http.request import RequestHead

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

TravelIds = frozenset[str]
"""What ties an API call to the tool call behind it, if the MCP server passes it on."""

NO_IDS: Final[TravelIds] = frozenset()


def travel_ids_of(head: RequestHead) -> TravelIds:
    """Return the ids that the client of *head* sent: its own words."""
    traceparent = head.field(b"traceparent")
    trace_id = None if traceparent is None else trace_id_of(traceparent.decode("latin-1"))
    return frozenset(given for given in (trace_id, head.request_id) if given)


def trace_id_of(traceparent: str) -> str | None:
    """Return the trace id of a `traceparent` value (W3C Trace Context, section 3.2), or None."""
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    return found[1] if found and found[1].strip("0") else None


def ids_to_add(head: RequestHead) -> tuple[TravelIds, FieldList]:
    """Return ids of ours for the fields that *head* lacks, and those fields.

    They are random: nobody can name them who has not been given them.
    """
    trace_id, request_id = secrets.token_hex(16), secrets.token_hex(16)
    added = []
    if head.field(b"traceparent") is None:
        # Not sampled: whether a trace is kept is not for us to decide.
        traceparent = f"00-{trace_id}-{secrets.token_hex(8)}-00"
        added.append((trace_id, (b"traceparent", traceparent.encode())))
    if head.field(b"x-request-id") is None:
        added.append((request_id, (b"X-Request-Id", request_id.encode())))
    return frozenset(given for given, _ in added), [field for _, field in added]

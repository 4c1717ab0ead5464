"""Ids that travel with a request: W3C baggage and trace context, and X-Request-Id. Pure.

An id is written with its kind before it, such as `trace 0af7…`, so that an id of one kind is
never taken for one of another.

The sidecar's own id travels as a member of `baggage` (W3C Baggage, section 3): a server that is
instrumented with OpenTelemetry passes it on with its API calls, whatever trace they are in, and no
sampler looks at it.
"""

import re
import secrets
from itertools import islice
from typing import Final

from proxy.http.fields import FieldList
from proxy.http.request import RequestHead

BAGGAGE_KEY: Final = b"podwarden.call"
MAX_BAGGAGE_BYTES: Final = 8_192
MAX_BAGGAGE_MEMBERS: Final = 64
"""W3C Baggage, section 3.3.2: what a platform must pass on. It may drop what is beyond."""
_MAX_OURS: Final = 8
"""So many ids in the baggage of one request are looked at."""

_CALL: Final = "call "
_TRACE: Final = "trace "
_REQUEST: Final = "request "
_OURS: Final = re.compile(
    rb"(?:^|,)[ \t]*%b[ \t]*=[ \t]*([0-9a-f]{32})[ \t]*(?=[,;]|$)" % re.escape(BAGGAGE_KEY)
)
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

TravelIds = frozenset[str]
"""Ids that an MCP server may pass on with its API calls, each with its kind."""

NO_IDS: Final[TravelIds] = frozenset()


def travel_ids_of(head: RequestHead) -> TravelIds:
    """Return the ids in *head*. They are the client's claim, and no proof."""
    ids = set()
    if head.field(b"baggage") is not None:
        for line in head.fields.all(b"baggage"):
            ids |= {_CALL + found[1].decode() for found in islice(_OURS.finditer(line), _MAX_OURS)}
    traceparent = head.field(b"traceparent")
    if traceparent is not None and (trace_id := trace_id_of(traceparent.decode("latin-1"))):
        ids.add(trace_id)
    if head.request_id:
        ids.add(_REQUEST + head.request_id)
    return frozenset(ids)


def ids_of_the_client(head: RequestHead) -> TravelIds:
    """Return the ids in *head*, a tool call, that its client chose.

    Another sidecar's id in its baggage is none of them: a server passes on the last one only.
    """
    return frozenset(given for given in travel_ids_of(head) if not given.startswith(_CALL))


def trace_id_of(traceparent: str) -> str | None:
    """Return the trace of a `traceparent` value (W3C Trace Context, section 3.2), or None."""
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    return _TRACE + found[1] if found and found[1].strip("0") else None


def names_a_trace(ids: TravelIds) -> bool:
    """Return whether a trace is among *ids*."""
    return any(given.startswith(_TRACE) for given in ids)


def names_a_call(ids: TravelIds) -> bool:
    """Return whether *ids* hold one that a sidecar made, known or not."""
    return any(given.startswith(_CALL) for given in ids)


def ids_to_add(
    head: RequestHead, *, with_traceparent: bool = False
) -> tuple[TravelIds, FieldList]:
    """Return new ids, and the fields with them: what *head* lacks, and a member for its baggage.

    They are random: only a party that received them can send them. Baggage that is full gets no
    member.
    """
    ids, fields = set(), []
    if _has_room(head):
        call_id = secrets.token_hex(16)
        ids.add(_CALL + call_id)
        fields.append((b"baggage", b"%b=%b" % (BAGGAGE_KEY, call_id.encode())))
    if head.field(b"x-request-id") is None:
        request_id = secrets.token_hex(16)
        ids.add(_REQUEST + request_id)
        fields.append((b"X-Request-Id", request_id.encode()))
    if with_traceparent and head.field(b"traceparent") is None:
        trace_id = secrets.token_hex(16)
        ids.add(_TRACE + trace_id)
        # Not sampled: the sidecar does not decide whether a trace is kept.
        traceparent = f"00-{trace_id}-{secrets.token_hex(8)}-00"
        fields.append((b"traceparent", traceparent.encode()))
    return frozenset(ids), fields


def _has_room(head: RequestHead) -> bool:
    """Return whether the baggage of *head* stays within the limits with a member more."""
    if head.field(b"baggage") is None:
        return True
    given = b",".join(head.fields.all(b"baggage"))
    ours = len(BAGGAGE_KEY) + len(b",=") + 32
    return len(given) + ours <= MAX_BAGGAGE_BYTES and given.count(b",") + 2 <= MAX_BAGGAGE_MEMBERS

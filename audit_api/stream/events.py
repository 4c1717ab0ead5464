"""Server-sent events of the live stream (WHATWG HTML, section 9.2)."""

from collections.abc import Iterable
from typing import Final

import msgspec

from audit_api.formats.entries import DetailedEntry, MissingEntries
from audit_api.formats.tool_calls import ToolCall
from audit_log.record import AuditRecord, Gap, Invocation

CONTENT_TYPE: Final = "text/event-stream"


def event_of(record: AuditRecord | Invocation, mark: str) -> bytes:
    """Return the event of *record*. Its id is the mark from which a client resumes after it."""
    if isinstance(record, Invocation):
        kind, data = b"tool_call", msgspec.json.encode(ToolCall.of(record))
    else:
        kind, data = b"entry", msgspec.json.encode(DetailedEntry.of(record))
    # msgspec writes no line breaks between tokens and JSON escapes those in strings: one line.
    return b"event: %b\nid: %b\ndata: %b\n\n" % (kind, mark.encode(), data)


def gap_events(gaps: Iterable[Gap]) -> bytes:
    """Return the events of *gaps*, which are before the records that arrived with them.

    They have no id: a client that is cut off before the next record is told of them again.
    """
    told = [msgspec.json.encode(MissingEntries.of(gap)) for gap in gaps]
    return b"".join([b"event: gap\ndata: %b\n\n" % data for data in told])


def rows_in(events: bytes) -> int:
    """Return how many records and gaps *events* tell of."""
    # No data holds a line break, so each of these is the line of an event.
    return sum(events.count(b"event: %b\n" % kind) for kind in (b"entry", b"tool_call", b"gap"))


def notice_event(reason: str) -> bytes:
    """Return the event that says why the stream is about to end."""
    return b"event: notice\ndata: %b\n\n" % msgspec.json.encode({"reason": reason})


def waiting_event(problem: str) -> bytes:
    """Return the event that says for what the stream waits. The stream goes on."""
    return b"event: waiting\ndata: %b\n\n" % msgspec.json.encode({"reason": problem})


def resumed_event() -> bytes:
    """Return the event that says that the stream waits no longer."""
    return b"event: resumed\ndata: {}\n\n"


def heartbeat(mark: str) -> bytes:
    """Return a comment with an id: keeps the connection alive and dispatches no event.

    A browser remembers the id, so a client that received no entry for hours resumes at the last
    heartbeat and not at its last entry.
    """
    return b": heartbeat\nid: %b\n\n" % mark.encode()

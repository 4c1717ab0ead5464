"""Server-sent events of the live stream (WHATWG HTML, section 9.2)."""

from typing import Final

import msgspec

from audit_api.formats.entries import DetailedEntry
from audit_log.record import AuditRecord

CONTENT_TYPE: Final = "text/event-stream"


def entry_event(record: AuditRecord, mark: str) -> bytes:
    """Return the event of *record*. Its id is the mark from which a client resumes after it."""
    data = msgspec.json.encode(DetailedEntry.of(record))
    # msgspec writes no line breaks between tokens and JSON escapes those in strings: one line.
    return b"event: entry\nid: %b\ndata: %b\n\n" % (mark.encode(), data)


def notice_event(reason: str) -> bytes:
    """Return the event that says why the stream is about to end."""
    return b"event: notice\ndata: %b\n\n" % msgspec.json.encode({"reason": reason})


def waiting_event(problem: str) -> bytes:
    """Return the event that says for what the stream waits. The stream goes on."""
    return b"event: waiting\ndata: %b\n\n" % msgspec.json.encode({"reason": problem})


def heartbeat(mark: str) -> bytes:
    """Return a comment with an id: keeps the connection alive and dispatches no event.

    A browser remembers the id, so a client that received no entry for hours resumes at the last
    heartbeat and not at its last entry.
    """
    return b": heartbeat\nid: %b\n\n" % mark.encode()

"""Server-sent events as the live tail sends them (WHATWG HTML, section 9.2)."""

from typing import Final

import msgspec

from audit_api.formats.entries import DetailedEntry
from audit_log.record import AuditRecord

CONTENT_TYPE: Final = "text/event-stream"


def entry_event(record: AuditRecord, mark: str) -> bytes:
    """Return the event that tells of *record*. Its id is where a listener stands after it."""
    data = msgspec.json.encode(DetailedEntry.of(record))
    # JSON has no line breaks outside of strings and escapes those within: one line it is.
    return b"event: entry\nid: %b\ndata: %b\n\n" % (mark.encode(), data)


def notice_event(reason: str) -> bytes:
    """Return the event that tells why the stream is about to end."""
    return b"event: notice\ndata: %b\n\n" % msgspec.json.encode({"reason": reason})


def heartbeat(mark: str) -> bytes:
    """Return what keeps the line open, and tells a browser where it stands. No event comes of it.

    So a listener that heard nothing for hours resumes there, not where it heard the last entry.
    """
    return b": heartbeat\nid: %b\n\n" % mark.encode()

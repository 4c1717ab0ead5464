"""Writes journal lines: the text of a record, bounded, numbered and checksummed (see `line`).

A record that is text already is only copied here, once for its line and once into the ring.
"""

from binascii import hexlify
from collections.abc import Callable
from operator import itemgetter
from typing import Final
from zlib import crc32

import msgspec

from audit_log.record import AuditRecord, Event, Gap, Invocation, Kept
from proxy.audit.record_text import RecordText, record_of
from proxy.audit.tool_span import TracedInvocation
from proxy.journal.line import MAX_LINE_BYTES

_ENVELOPE_BYTES: Final = 128
_MAX_BODY_BYTES: Final = MAX_LINE_BYTES - _ENVELOPE_BYTES
_TEXTS: Final = {
    kind: tuple(
        field.name
        for field in msgspec.structs.fields(kind)
        if field.type is str or field.type == str | None
    )
    for kind in (AuditRecord, Invocation, TracedInvocation)
}
_encode = msgspec.json.Encoder().encode


def record_line(number: int, record: Kept | RecordText) -> bytes:
    """Return the line of *record*, whatever its texts are: see `record_body`."""
    kind = b"invocation" if is_invocation(record) else b"record"
    return _line(number, kind, record_body(record, _MAX_BODY_BYTES))


def gap_line(number: int, gap: Gap) -> bytes:
    """Return the line of *gap*."""
    return _line(number, b"gap", _encode(gap))


def event_line(number: int, event: Event) -> bytes:
    """Return the line of *event*; raise ValueError if it is longer than a line can be."""
    body = _encode(event)
    if len(body) > _MAX_BODY_BYTES:
        raise ValueError(f"an event of {len(body)} bytes is too long for the journal")
    return _line(number, b"event", body)


def record_body(record: Kept | RecordText, limit: int) -> bytes:
    """Return the JSON of *record* in at most *limit* bytes (4,000 are always enough).

    Texts that are too long are cut, and lone surrogates, which JSON cannot carry, are escaped: an
    altered record is worth more than a lost one.
    """
    if isinstance(record, bytes):
        if len(record) <= limit:
            return record
        record = record_of(record)
    try:
        body = _encode(record)
    except UnicodeEncodeError:
        record = _changed(record, _escaped)
        body = _encode(record)
    for characters in (1_024, 256, 64, 16):
        if len(body) <= limit:
            break
        body = _encode(_changed(record, itemgetter(slice(characters))))
    return body


def is_invocation(record: Kept | RecordText) -> bool:
    """Say whether *record* is one of a tool call. The first question is the cheaper one."""
    return not isinstance(record, bytes) and isinstance(record, Invocation)


def _line(number: int, kind: bytes, body: bytes) -> bytes:
    # Joined, because `%` takes twice as long.
    rest = b"".join((b',"n":', str(number).encode(), b',"', kind, b'":', body, b"}"))
    checksum = hexlify(crc32(rest).to_bytes(4, "big"))
    return b"".join((b'{"crc":"', checksum, b'"', rest, b"\n"))


def _changed(record: Kept, change: Callable[[str], str]) -> Kept:
    texts = {
        name: text for name in _TEXTS[type(record)] if (text := getattr(record, name)) is not None
    }
    return msgspec.structs.replace(record, **{name: change(text) for name, text in texts.items()})


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()

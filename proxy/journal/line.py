"""Journal lines: one JSON object in each line, numbered and checksummed, readable with jq.

    {"crc":"89abcdef","n":17,"record":{…}}

`crc` is the CRC-32 of everything after its value, up to the end of the line. `n` grows by one with
each line, so that missing lines can be counted. The third key names the kind.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Final
from zlib import crc32

import msgspec

from audit_log.record import AuditRecord, Gap, Invocation, Kept, RecordRow
from proxy.audit.record_text import RecordText, record_of
from proxy.audit.tool_span import TracedInvocation

MAX_LINE_BYTES: Final = 32_768
"""The longest line: twice the size of a record in which every character is escaped."""

_CRC_AT: Final = len(b'{"crc":"')
_REST_AT: Final = _CRC_AT + 8 + len(b'"')
_ENVELOPE_BYTES: Final = 128
_TEXTS: Final = {
    kind: tuple(
        field.name
        for field in msgspec.structs.fields(kind)
        if field.type is str or field.type == str | None
    )
    for kind in (AuditRecord, Invocation, TracedInvocation)
}
_KINDS: Final = {
    AuditRecord: b"record",
    bytes: b"record",
    Invocation: b"invocation",
    TracedInvocation: b"invocation",
}
_encode = msgspec.json.Encoder().encode


class Line(msgspec.Struct, frozen=True, gc=False):
    """The contents of a line. Exactly one of the three kinds is not None."""

    n: int
    record: RecordRow | None = None
    invocation: Invocation | None = None
    gap: Gap | None = None

    @property
    def kept(self) -> RecordRow | Invocation | None:
        """The record or the invocation; None for a gap."""
        return self.record or self.invocation

    @property
    def moment(self) -> datetime | None:
        """The time of the call, or the end of the gap."""
        if (kept := self.kept) is not None:
            return kept.created_at
        return self.gap.ended_at if self.gap is not None else None

    @property
    def ended_at(self) -> datetime | None:
        """When the call or the gap ended: all lines before this one were appended by then."""
        kept = self.kept
        if kept is None or kept.duration_ms is None:
            return self.moment
        return kept.created_at + timedelta(milliseconds=kept.duration_ms)


_decode = msgspec.json.Decoder(Line).decode
_decode_lines = msgspec.json.Decoder(Line).decode_lines


def record_line(number: int, record: Kept | RecordText) -> bytes:
    """Return the line of *record*, whatever its texts are: see `record_body`."""
    body = record_body(record, MAX_LINE_BYTES - _ENVELOPE_BYTES)
    return _line(number, _KINDS[type(record)], body)


def gap_line(number: int, gap: Gap) -> bytes:
    """Return the line of *gap*."""
    return _line(number, b"gap", _encode(gap))


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
    for characters in (1_024, 256, 64):
        if len(body) <= limit:
            break
        body = _encode(_changed(record, itemgetter(slice(characters))))
    return body


def parse(line: bytes) -> Line | None:
    """Return the contents of *line*, without its line feed; None when it is damaged."""
    if not is_whole(line):
        return None
    try:
        said = _decode(line)
    except (ValueError, RecursionError):
        return None
    return said if _is_of_one_kind(said) else None


def parse_all(lines: list[bytes]) -> list[Line | None]:
    """Return `parse` of each of *lines*, by one call into C if all are sound."""
    if all(map(is_whole, lines)):
        with suppress(ValueError, RecursionError):
            said = _decode_lines(b"\n".join(lines))
            if len(said) == len(lines) and all(map(_is_of_one_kind, said)):
                return list(said)
    return [parse(line) for line in lines]


def is_whole(line: bytes) -> bool:
    """Say whether the checksum of *line*, without its line feed, is right."""
    return line[:_REST_AT] == b'{"crc":"%08x"' % crc32(line[_REST_AT:])


def _is_of_one_kind(said: Line) -> bool:
    if said.record is not None:
        return said.invocation is None and said.gap is None
    return (said.invocation is None) != (said.gap is None)


def split(data: bytes, count: int) -> list[bytes]:
    """Return the first *count* lines of *data* without line feeds; the last may be incomplete."""
    lines = data.split(b"\n", count)
    # The last part is empty, or lies beyond the count.
    if len(lines) > count or not lines[-1]:
        lines.pop()
    return lines


def _line(number: int, kind: bytes, body: bytes) -> bytes:
    rest = b',"n":%d,"%b":%b}' % (number, kind, body)
    return b'{"crc":"%08x"%b\n' % (crc32(rest), rest)


def _changed(record: Kept, change: Callable[[str], str]) -> Kept:
    texts = {
        name: text for name in _TEXTS[type(record)] if (text := getattr(record, name)) is not None
    }
    return msgspec.structs.replace(record, **{name: change(text) for name, text in texts.items()})


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()

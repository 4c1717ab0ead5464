"""Reads journal lines: one JSON object in each, numbered and checksummed, readable with jq.

    {"crc":"89abcdef","n":17,"record":{…}}

`crc` is the CRC-32 of everything after its value, up to the end of the line. `n` grows by one with
each line, so that missing lines can be counted. The third key names the kind: `record`,
`invocation` (a tool call), `gap` or `event`. `line_text` writes them.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final
from zlib import crc32

import msgspec

from audit_log.record import Event, Gap, Invocation, RecordRow

MAX_LINE_BYTES: Final = 32_768
"""The longest line: twice the size of a record in which every character is escaped."""

_CRC_AT: Final = len(b'{"crc":"')
_OTHER_KINDS: Final = 3
_REST_AT: Final = _CRC_AT + 8 + len(b'"')


class Line(msgspec.Struct, frozen=True, gc=False):
    """The contents of a line. Exactly one of the four kinds is not None."""

    n: int
    record: RecordRow | None = None
    invocation: Invocation | None = None
    gap: Gap | None = None
    event: Event | None = None

    @property
    def kept(self) -> RecordRow | Invocation | None:
        """The record or the invocation; None for a gap or an event."""
        return self.record or self.invocation

    @property
    def said(self) -> RecordRow | Invocation | Gap | Event | None:
        """The contents; None if there are none."""
        return self.kept or self.gap or self.event

    @property
    def moment(self) -> datetime | None:
        """The time of the call or the event, or the end of the gap."""
        if (kept := self.kept) is not None:
            return kept.created_at
        if self.gap is not None:
            return self.gap.ended_at
        return self.event.at if self.event is not None else None

    @property
    def ended_at(self) -> datetime | None:
        """When that ended: all lines before this one were appended by then."""
        kept = self.kept
        if kept is None or kept.duration_ms is None:
            return self.moment
        return kept.created_at + timedelta(milliseconds=kept.duration_ms)


_decode = msgspec.json.Decoder(Line).decode
_decode_lines = msgspec.json.Decoder(Line).decode_lines


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
    # The first question is asked of each line of the journal.
    if said.record is not None:
        return said.invocation is None and said.gap is None and said.event is None
    return (said.invocation, said.gap, said.event).count(None) == _OTHER_KINDS - 1


def split(data: bytes, count: int) -> list[bytes]:
    """Return the first *count* lines of *data* without line feeds; the last may be incomplete."""
    lines = data.split(b"\n", count)
    # The last part is empty, or lies beyond the count.
    if len(lines) > count or not lines[-1]:
        lines.pop()
    return lines

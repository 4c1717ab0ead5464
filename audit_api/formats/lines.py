"""NDJSON: one JSON object on each line."""

from collections.abc import Sequence

import msgspec

from audit_api.formats.entries import MissingEntries
from audit_log.record import Gap


class GapLine(MissingEntries, frozen=True, gc=False, tag_field="kind", tag="gap"):
    """A gap among lines of another kind: no other line has a member `kind`."""


def json_lines(shapes: Sequence[msgspec.Struct]) -> bytes:
    """Return *shapes*, one JSON object on each line."""
    encode = msgspec.json.encode
    return b"".join([encode(each) + b"\n" for each in shapes])


def gap_lines(gaps: Sequence[Gap]) -> bytes:
    """Return *gaps* as lines of their own kind."""
    return json_lines([GapLine.of(gap) for gap in gaps])

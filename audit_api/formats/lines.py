"""NDJSON: one detailed entry on each line."""

from collections.abc import Sequence

import msgspec

from audit_api.formats.entries import DetailedEntry
from audit_log.record import AuditRecord


def json_lines(records: Sequence[AuditRecord]) -> bytes:
    """Return *records* as detailed entries, one JSON object on each line."""
    encode = msgspec.json.encode
    return b"".join([encode(DetailedEntry.of(record)) + b"\n" for record in records])

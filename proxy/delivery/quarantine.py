"""Quarantine: what the store refuses for good is kept in a readable file, counted, and skipped."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Final, Protocol
from uuid import NAMESPACE_OID, uuid5

import msgspec
import structlog

from audit_log.delivery_loop import AnyItem, kind_of
from audit_log.errors import RecordRefusedError
from audit_log.record import AnyRecord, Gap, Invocation
from audit_log.seal.stored import Sealed

REASON: Final = "record_refused"
"""The reason of the gap. It stands in databases, so it keeps its name."""
_PATIENCE_SECONDS: Final = 5.0
"""How long the disk may take to keep one item."""
_REMINDER_SECONDS: Final = 60.0
"""A log line is written at most this often, however many records are refused."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class QuarantineFile(Protocol):
    """Where quarantined items are kept."""

    async def quarantine(self, line: bytes) -> Path:
        """Append *line* to a readable file and return its path; raise OSError if that fails."""


class Quarantine:
    """Keeps refused items. If that fails, a record becomes a gap of one record."""

    def __init__(self, file: QuarantineFile) -> None:
        self._file = file
        self._gaps: list[Gap] = []
        self._said_at: float | None = None
        self.records = 0
        """How many records were refused; gaps do not count."""
        self.places: set[int] = set()
        """Where the seal has the items that were refused and are not sealed yet."""

    async def take(self, item: AnyItem, error: RecordRefusedError) -> None:
        """Keep *item* with the reason that *error* gives. Never raises for the disk."""
        kept: str
        if not isinstance(item, Sealed) and item.seq is not None:
            self.places.add(item.seq)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                kept = str(await self._file.quarantine(_line(item, str(error))))
        except OSError as failure:  # a TimeoutError is one too
            kept = f"nowhere: {failure}"
            if not isinstance(item, Gap | Sealed):
                self._gaps.append(_gap(item))
        self.records += not isinstance(item, Gap)
        self._say(item, str(error), kept)

    def gaps(self) -> list[Gap]:
        """Return the gaps of the records that could not be kept; forget them."""
        gaps, self._gaps = self._gaps, []
        return gaps

    def _say(self, item: AnyItem, reason: str, kept: str) -> None:
        now = monotonic()
        if self._said_at is None or now - self._said_at >= _REMINDER_SECONDS:
            self._said_at = now
            log.error(
                "audit.record_quarantined",
                id=str(item.id),
                reason=reason,
                kept=kept,
                so_far=self.records,
            )


def _line(item: AnyItem, reason: str) -> bytes:
    # Its keys stay as they are: a file that an earlier version began is continued.
    line = {"set_aside_at": datetime.now(UTC), "reason": reason, kind_of(item): item}
    return msgspec.json.encode(line) + b"\n"


def _gap(record: AnyRecord | Invocation) -> Gap:
    return Gap(
        # The same each time: the record may be refused again after a restart.
        id=uuid5(NAMESPACE_OID, f"refused {record.id}"),
        started_at=record.created_at,
        ended_at=record.created_at,
        count=1,
        reason=REASON,
        instance=record.instance,
    )

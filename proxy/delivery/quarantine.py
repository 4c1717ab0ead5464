"""What the store refuses for good: kept in a readable file, counted, and never in the way."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Final, Protocol
from uuid import NAMESPACE_OID, uuid5

import msgspec
import structlog

from audit_log.errors import RecordRefusedError
from audit_log.record import AuditRecord, Gap, Invocation, Kept

_KINDS: Final = {AuditRecord: "record", Invocation: "invocation", Gap: "gap"}
REASON: Final = "record_refused"
_PATIENCE_SECONDS: Final = 5.0
_REMINDER_SECONDS: Final = 60.0
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class SetAside(Protocol):
    """Where refused records are kept."""

    async def set_aside(self, line: bytes) -> Path:
        """Append *line* to a readable file and return its path; raise OSError if that fails."""


class Quarantine:
    """Sets records aside. Where even that fails, the record becomes a gap of one."""

    def __init__(self, shelf: SetAside) -> None:
        self._shelf = shelf
        self._gaps: list[Gap] = []
        self._said_at: float | None = None
        self.records = 0

    async def take(self, item: Kept | Gap, error: RecordRefusedError) -> None:
        """Set *item* aside, for the reason that *error* gives."""
        kept: str
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                kept = str(await self._shelf.set_aside(_line(item, str(error))))
        except OSError as failure:
            kept = f"nowhere: {failure}"
            if not isinstance(item, Gap):
                self._gaps.append(_gap(item))
        self.records += not isinstance(item, Gap)
        self._say(item, str(error), kept)

    def gaps(self) -> list[Gap]:
        """Return the gaps of the records that could be kept nowhere; forget them."""
        gaps, self._gaps = self._gaps, []
        return gaps

    def _say(self, item: Kept | Gap, reason: str, kept: str) -> None:
        now = monotonic()
        if self._said_at is None or now - self._said_at >= _REMINDER_SECONDS:
            self._said_at = now
            log.error(
                "audit.record_refused",
                id=str(item.id),
                reason=reason,
                kept=kept,
                so_far=self.records,
            )


def _line(item: Kept | Gap, reason: str) -> bytes:
    kind = _KINDS[type(item)]
    line = {"set_aside_at": datetime.now(UTC), "reason": reason, kind: item}
    return msgspec.json.encode(line) + b"\n"


def _gap(record: Kept) -> Gap:
    return Gap(
        # The same each time: the record may be refused again after a restart.
        id=uuid5(NAMESPACE_OID, f"refused {record.id}"),
        started_at=record.created_at,
        ended_at=record.created_at,
        count=1,
        reason=REASON,
        instance=record.instance,
    )

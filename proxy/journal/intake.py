"""The side of the journal that calls see: microseconds, no disk, no waiting, no exception."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from audit_log.record import Gap, Kept
from proxy.audit.record import RecordText
from proxy.journal.calls import Calls
from proxy.journal.line import gap_line, record_line
from proxy.journal.ring import Ring

FULL: Final = "journal_full"
_REMINDER_SECONDS: Final = 60.0
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Intake:
    """Takes records into the ring. Belongs to the event loop.

    Records that find no room are counted in the ring itself, so that neither a kill nor a restart
    forgets them, and reported as a gap as soon as there is room for one.
    """

    def __init__(self, ring: Ring, calls: Calls, instance: str) -> None:
        self._ring = ring
        self._calls = calls
        self._instance = instance
        last = ring.last_line()
        self._next_number = ring.next_number()
        self._interrupted: list[tuple[int, Kept]] = []
        self._said_at = -_REMINDER_SECONDS
        self.accepted = 0
        self.refused = 0
        self.unprotected = 0
        self._find_interrupted(last.kept if last else None)
        self.is_behind = not self.catch_up()

    def _find_interrupted(self, last: Kept | None) -> None:
        for slot, record in self._calls.taken():
            # A slot is freed right after its real record is appended. At a kill between the two
            # that record is the last line of all.
            if last is not None and record.id == last.id:
                self._calls.end(slot)
            else:
                self._interrupted.append((slot, record))
        self._interrupted.sort(key=lambda taken: taken[1].created_at, reverse=True)

    def begin(self, record: Kept | RecordText) -> int:
        """Keep *record* in case we are killed before `end`; return what `end` wants to be given.

        When there is no slot left, the call goes on unprotected, which is counted.
        """
        slot = self._calls.begin(record)
        if slot < 0:
            self.unprotected += 1
        return slot

    def end(self, slot: int, record: Kept | RecordText) -> bool:
        """Keep *record* instead of what `begin` kept in *slot*; say whether there was room."""
        kept = (not self.is_behind or self.catch_up()) and self._append(record)
        if not kept:
            self._refuse()
        if slot >= 0:
            self._calls.end(slot)
        return kept

    def finish(self) -> None:
        """Record the calls that nobody will end any more, as `begin` was given them."""
        self.catch_up()
        for slot, record in list(self._calls.taken()):
            if self._append(record):
                self._calls.end(slot)

    def catch_up(self) -> bool:
        """Append what had to wait for room; say whether that is done."""
        while self._interrupted:
            slot, record = self._interrupted[-1]
            if not self._append(record):
                return False
            self._calls.end(slot)
            self._interrupted.pop()
        self.is_behind = not self._report_refusals()
        return not self.is_behind

    def _append(self, record: Kept | RecordText) -> bool:
        if not self._ring.append(record_line(self._next_number, record)):
            return False
        self._next_number += 1
        self.accepted += 1
        return True

    def _refuse(self) -> None:
        self._ring.refuse(time.time_ns() // 1_000)
        self.refused += 1
        self.is_behind = True
        now = time.monotonic()
        if now - self._said_at >= _REMINDER_SECONDS:
            self._said_at = now
            log.error("journal.full", lost=self.refused)

    def _report_refusals(self) -> bool:
        refusals = self._ring.refusals()
        if refusals is None:
            return True
        gap = Gap(
            id=refusals.gap_id,
            started_at=_EPOCH + timedelta(microseconds=refusals.first_us),
            ended_at=_EPOCH + timedelta(microseconds=refusals.last_us),
            count=refusals.count,
            reason=FULL,
            instance=self._instance,
        )
        if not self._ring.append(gap_line(self._next_number, gap)):
            return False
        self._next_number += 1
        self._ring.forget_refusals()
        return True

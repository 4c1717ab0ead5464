"""The writing side of the journal: a call appends in microseconds, without disk or waiting."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from audit_log.record import Gap, Kept
from proxy.audit.record import RecordText
from proxy.journal.calls import Calls
from proxy.journal.line import gap_line, record_line
from proxy.journal.ring import Ring

FULL: Final = "journal_full"
_RETRY_SECONDS: Final = 0.5
_REMINDER_SECONDS: Final = 60.0
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Intake:
    """Takes records into the ring. Belongs to the event loop; never raises.

    The ring itself counts the records that find no room, so neither a kill nor a restart forgets
    them. A gap reports them as soon as there is room for it.
    """

    def __init__(
        self, ring: Ring, calls: Calls, instance: str, arrived: Callable[[], None]
    ) -> None:
        """Append to *ring* as *instance*; call *arrived* when there may be a new line."""
        self._ring = ring
        self._calls = calls
        self._instance = instance
        self._arrived = arrived
        last = ring.last_line()
        self._next_number = ring.next_number()
        self._interrupted: list[tuple[int, Kept]] = []
        self._said_at = -_REMINDER_SECONDS
        self._retry_timer: asyncio.TimerHandle | None = None
        self.accepted = 0
        """Records that were appended."""
        self.refused = 0
        """Records lost for want of room."""
        self.unprotected = 0
        """Calls that began without a slot, and would have been forgotten at a kill."""
        self._find_interrupted(last.kept if last else None)
        self.is_behind = not self.catch_up()
        """Whether something waits for room: a gap to report, or calls interrupted by a kill."""
        if self.is_behind:
            self._retry_later()

    def _find_interrupted(self, last: Kept | None) -> None:
        for slot, record in self._calls.taken():
            # A slot is freed right after its final record is appended. After a kill between the
            # two that record is the last line of the ring.
            if last is not None and record.id == last.id:
                self._calls.end(slot)
            else:
                self._interrupted.append((slot, record))
        self._interrupted.sort(key=lambda taken: taken[1].created_at, reverse=True)

    def begin(self, record: Kept | RecordText) -> int:
        """Keep *record* in case the process is killed before `end`; return the slot for `end`.

        Without a free slot the call goes on unprotected, which is counted; the slot is then -1.
        """
        slot = self._calls.begin(record)
        if slot < 0:
            self.unprotected += 1
        return slot

    def end(self, slot: int, record: Kept | RecordText) -> bool:
        """Keep *record* instead of what `begin` kept in *slot*; return whether there was room."""
        kept = (not self.is_behind or self.catch_up()) and self._append(record)
        if not kept:
            self._refuse()
        if slot >= 0:
            self._calls.end(slot)
        self._arrived()
        if not kept and self._retry_timer is None:
            self._retry_later()
        return kept

    def finish(self) -> None:
        """Record the calls that will not end any more, as `begin` was given them."""
        self.catch_up()
        for slot, record in list(self._calls.taken()):
            if self._append(record):
                self._calls.end(slot)

    def catch_up(self) -> bool:
        """Append what had to wait for room; return whether all of it is appended."""
        while self._interrupted:
            slot, record = self._interrupted[-1]
            if not self._append(record):
                return False
            self._calls.end(slot)
            self._interrupted.pop()
        self.is_behind = not self._report_refusals()
        return not self.is_behind

    def close(self) -> None:
        """Stop the retries."""
        if self._retry_timer is not None:
            self._retry_timer.cancel()

    def _retry_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._retry_timer = loop.call_later(_RETRY_SECONDS, self._retry)

    def _retry(self) -> None:
        """Report what was lost even when no further call comes."""
        self._retry_timer = None
        if self.is_behind and not self.catch_up():
            self._retry_later()
        self._arrived()

    def _append(self, record: Kept | RecordText) -> bool:
        if not self._ring.append(record_line(self._next_number, record)):
            return False
        self._next_number += 1
        self.accepted += 1
        return True

    def _refuse(self) -> None:
        self._ring.refusals.add(time.time_ns() // 1_000)
        self.refused += 1
        self.is_behind = True
        now = time.monotonic()
        if now - self._said_at >= _REMINDER_SECONDS:
            self._said_at = now
            log.error("journal.full", lost=self.refused)

    def _report_refusals(self) -> bool:
        refused = self._ring.refusals.pending()
        if refused is None:
            return True
        gap = Gap(
            id=refused.gap_id,
            started_at=_EPOCH + timedelta(microseconds=refused.first_us),
            ended_at=_EPOCH + timedelta(microseconds=refused.last_us),
            count=refused.count,
            reason=FULL,
            instance=self._instance,
        )
        if not self._ring.append(gap_line(self._next_number, gap)):
            return False
        self._next_number += 1
        self._ring.refusals.forget()
        return True

"""What the journal could not keep: counted in the ring's header, and reported as gaps.

Theory of operation. Each reason has a count, which survives a kill:

- *No room.* A record found the ring full.
- *Beyond the share.* A record of a caller that is not known came while a quarter of the journal
  was in use, or three quarters while the tokens cannot be looked up. The rest is for known
  callers: strangers can send a hundred tool calls at once.
- *Unprotected.* A call began without a slot. It is counted while it is in flight, because only a
  kill, or a stop that does not wait for it, loses its record.
- *Unreadable.* A message of the Hub could not be read. It may have been a tool call.

A gap reports each as soon as there is room for it. Records beyond the share are reported together
every GATHER_SECONDS: a gap for each would take the room that they must not have.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from audit_log.record import Gap
from proxy.audit.exchange import NOT_BEGUN
from proxy.audit.shares import Share, Standing
from proxy.journal.ring import Ring
from proxy.journal.ring_header import Count, Counted

FULL: Final = "journal_full"
BEYOND_SHARE: Final = "unknown_callers"
UNPROTECTED: Final = "unprotected"
UNREADABLE: Final = "unreadable"
KNOWN_WITHOUT_SLOT: Final = -1
STRANGER_WITHOUT_SLOT: Final = -2
"""Stand for the slot of a call that found none. A call that was not begun has NOT_BEGUN."""
GATHER_SECONDS: Final = 10.0
_KNOWN: Final = Standing.KNOWN
_QUARTERS: Final = {Standing.UNKNOWN: 1, Standing.UNRESOLVED: 3}
"""How many quarters of the journal may be in use when a record of such a caller comes."""
_REMINDER_SECONDS: Final = 60.0
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Losses:
    """Counts what is not kept. Belongs to the event loop; never raises."""

    def __init__(self, ring: Ring, instance: str, max_bytes: int) -> None:
        """Count in *ring*, for gaps of *instance*; *max_bytes* may wait in the journal."""
        self._ring = ring
        self._instance = instance
        self._max_bytes = max_bytes
        self._in_flight = {
            KNOWN_WITHOUT_SLOT: ring.counts.known_in_flight,
            STRANGER_WITHOUT_SLOT: ring.counts.strangers_in_flight,
        }
        self._said_at = -_REMINDER_SECONDS
        self.refused = 0
        """Records lost for want of room."""
        self.beyond_share = 0
        """Records of callers that are not known, beyond their share."""
        self.unprotected = 0
        """Calls that began without a slot."""
        self.close_in_flight()

    @property
    def problem(self) -> str | None:
        """Which calls in flight a kill would lose, or None."""
        counted = self._ring.counts.known_in_flight.pending()
        if counted is None:
            return None
        count = counted.count
        calls = "1 call in flight has" if count == 1 else f"{count} calls in flight have"
        return f"{calls} no slot and would be lost at a kill"

    @property
    def in_flight(self) -> int:
        """How many calls without a slot have begun and not ended."""
        counts = [count.pending() for count in self._in_flight.values()]
        return sum(counted.count for counted in counts if counted)

    @property
    def is_pending(self) -> bool:
        """Whether anything counted has not been reported."""
        return any(count.pending() for count, _ in self._counts())

    def begin_without_slot(self, share: Share | None) -> int:
        """Count a call that found no slot; return what stands for the slot until its end."""
        self.unprotected += 1
        is_known = share is None or share.standing is Standing.KNOWN
        slot = KNOWN_WITHOUT_SLOT if is_known else STRANGER_WITHOUT_SLOT
        self._in_flight[slot].add(_now_us())
        return slot

    def end_without_slot(self, slot: int) -> None:
        """Note that a call without a slot has ended, and its record is kept or counted."""
        if slot != NOT_BEGUN:
            self._in_flight[slot].take_back()

    def close_in_flight(self) -> None:
        """Count the calls without a slot as lost: they will not end any more."""
        self._ring.counts.unprotected.add_all_of(self._ring.counts.known_in_flight)
        self._ring.counts.beyond_share.add_all_of(self._ring.counts.strangers_in_flight)

    def is_beyond_share(self, share: Share | None) -> bool:
        """Count a record of *share*, and return True, if the journal has no room for strangers."""
        if share is None or share.standing is _KNOWN:
            return False
        ring, quarters = self._ring, _QUARTERS[share.standing]
        has_room = (
            ring.written - ring.committed < self._max_bytes * quarters // 4
            and ring.written - ring.floor < ring.size * quarters // 4
        )
        if not has_room:
            if not self.beyond_share:
                log.warning("journal.share_used_up", of="callers that are not known")
            self.beyond_share += 1
            ring.counts.beyond_share.add(_now_us())
        return not has_room

    def miss(self) -> None:
        """Count a message that may have been a tool call, and could not be read."""
        self._ring.counts.unreadable.add(_now_us())

    def refuse(self) -> None:
        """Count a record for which there is no room."""
        self._ring.counts.refusals.add(_now_us())
        self.refused += 1
        now = time.monotonic()
        if now - self._said_at >= _REMINDER_SECONDS:
            self._said_at = now
            log.error("journal.full", lost=self.refused)

    def report(self, append: Callable[[Gap], bool], *, at_once: bool = False) -> bool:
        """Have each gap that is due appended; return whether *append* had room for all."""
        for count, reason in self._counts():
            counted = count.pending()
            if counted is None or not (at_once or _is_due(counted, reason)):
                continue
            if not append(self._gap(counted, reason)):
                return False
            count.forget()
        return True

    def _counts(self) -> Iterator[tuple[Count, str]]:
        yield self._ring.counts.refusals, FULL
        yield self._ring.counts.unprotected, UNPROTECTED
        yield self._ring.counts.beyond_share, BEYOND_SHARE
        yield self._ring.counts.unreadable, UNREADABLE

    def _gap(self, counted: Counted, reason: str) -> Gap:
        return Gap(
            id=counted.gap_id,
            started_at=_EPOCH + timedelta(microseconds=counted.first_us),
            ended_at=_EPOCH + timedelta(microseconds=counted.last_us),
            count=counted.count,
            reason=reason,
            instance=self._instance,
        )


def _is_due(counted: Counted, reason: str) -> bool:
    age_seconds = (_now_us() - counted.first_us) / 1_000_000
    # Negative after the clock was set back.
    return reason != BEYOND_SHARE or not 0 <= age_seconds < GATHER_SECONDS


def _now_us() -> int:
    return time.time_ns() // 1_000

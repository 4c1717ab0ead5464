"""The writing side of the journal: a call appends in microseconds, without disk or waiting."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from audit_log.record import UNFINISHED, Event, Gap, Kept, new_record_id
from proxy.audit.exchange import NOT_BEGUN, Recorder
from proxy.audit.record_text import RecordText
from proxy.audit.shares import Share
from proxy.journal.line_text import event_line, gap_line, record_line
from proxy.journal.losses import Losses
from proxy.journal.parts import Limits, Parts
from proxy.journal.rings.memory_upkeep import MemoryUpkeep

START, DAY, STOP = "start", "day", "stop"
_DAY_SECONDS: Final = 86_400.0
_RETRY_SECONDS: Final = 0.5


class Intake(Recorder):
    """Takes records into the ring. Belongs to the event loop; never raises.

    What is not kept is counted by `Losses`. A gap reports it as soon as there is room for it.
    """

    def __init__(
        self,
        parts: Parts,
        instance: str,
        limits: Limits,
        upkeep: MemoryUpkeep,
        details: Mapping[str, str] | None = None,
    ) -> None:
        """Append to the ring of *parts* for *instance*; have *upkeep* add slots.

        With *details*, and if the lines are sealed, start and stop are lines too.
        """
        ring, calls = parts.ring, parts.calls
        self.losses = Losses(ring, instance, limits.max_bytes)
        self._upkeep = upkeep
        self._ring = ring
        self._calls = calls
        last = ring.last_line()
        self._next_number = ring.next_number()
        self._placing_problem = parts.placing_problem
        self.is_telling = details is not None and ring.sealed_log is not None
        """Whether events are lines."""
        self._started = _event(START, details or {}) if self.is_telling else None
        """What tells of the start, until it is appended."""
        self._interrupted: list[tuple[int, Kept]] = []
        self._retry_timer: asyncio.TimerHandle | None = None
        self.accepted = 0
        """Records that were appended."""
        ended = last.kept if last and last.kept and last.kept.outcome not in UNFINISHED else None
        self._find_interrupted(str(ended.id) if ended else None)
        self.is_behind = not self.catch_up(at_once=True)
        """Whether something waits for room: a gap to report, or calls interrupted by a kill."""
        self._retry_if_needed()

    @property
    def ring_bytes_in_use(self) -> int:
        """How many bytes of the ring may not be overwritten yet."""
        return self._ring.written - self._ring.floor

    @property
    def in_flight(self) -> int:
        """How many calls have begun and not ended."""
        return self._calls.in_flight + self.losses.in_flight

    @property
    def problem(self) -> str | None:
        """What a kill would lose, and why, or None."""
        return self.losses.problem or self._upkeep.problem or self._placing_problem

    @property
    def refused(self) -> int:
        """Records lost for want of room."""
        return self.losses.refused

    @property
    def unprotected(self) -> int:
        """Calls that began without a slot, and would have been lost at a kill."""
        return self.losses.unprotected

    def _find_interrupted(self, last_id: str | None) -> None:
        for slot, record in self._calls.taken():
            # A slot is freed right after its final record is appended. After a kill between the
            # two that record is the last line of the ring.
            if str(record.id) == last_id:
                self._calls.end(slot)
            else:
                self._interrupted.append((slot, record))
        self._interrupted.sort(key=lambda taken: taken[1].created_at, reverse=True)

    def begin(self, record: Kept | RecordText, share: Share | None = None) -> int:
        """Keep *record* in case the process is killed before `end`; return the slot for `end`.

        If *share* has no slot left the call goes on unprotected, which is counted until its end;
        the slot is then negative.
        """
        slot = self._calls.begin(record, share)
        return slot if slot >= 0 else self.losses.begin_without_slot(share)

    def change(self, slot: int, record: Kept) -> None:
        """Keep *record* instead of what *slot* holds, for a kill before `end`."""
        if slot >= 0:
            self._calls.change(slot, record)

    def end(self, slot: int, record: Kept | RecordText, share: Share | None = None) -> bool:
        """Keep *record* instead of what `begin` kept in *slot*; return whether there was room."""
        kept = not self.losses.is_beyond_share(share) and self._take(record)
        if slot >= 0:
            self._calls.end(slot)
        elif slot != NOT_BEGUN:
            self.losses.end_without_slot(slot)
        if not kept:
            self._retry_if_needed()
        return kept

    def withdraw(self, slot: int) -> None:
        """Forget what `begin` kept in *slot*: there is nothing to record."""
        if slot >= 0:
            self._calls.end(slot)
        else:
            self.losses.end_without_slot(slot)

    def offer(self, record: Kept, share: Share | None = None) -> bool:
        """Keep *record*, which frees no slot; return whether there was room."""
        return self.end(NOT_BEGUN, record, share)

    def tell(self, said: Gap | Event) -> bool:
        """Append *said*; return whether there was room."""
        number = self._next_number
        line = gap_line(number, said) if isinstance(said, Gap) else event_line(number, said)
        if not self._ring.append(line):
            return False
        self._next_number += 1
        return True

    def miss(self) -> None:
        """Count a tool call that may be missing; a gap reports it as soon as there is room."""
        self.losses.miss()
        self._retry_if_needed()

    def finish(self) -> None:
        """Record the calls that will not end any more, as `begin` was given them. The last act.

        But for the stop itself, if lines are sealed.
        """
        if self._retry_timer is not None:
            self._retry_timer.cancel()
        self.losses.close_in_flight()
        self.catch_up(at_once=True)
        for slot, record in list(self._calls.taken()):
            if self._append(record):
                self._calls.end(slot)
        if self.is_telling:
            self.is_telling = not self.tell(_event(STOP, {}))  # once
        self._ring.end(is_empty=self._calls.in_flight == 0)

    def catch_up(self, *, at_once: bool = False) -> bool:
        """Append what had to wait for room; return whether all of it is appended.

        With *at_once* also the gaps that are not due.
        """
        if self._started is not None:
            if not self.tell(self._started):
                return False
            self._started = None
        while self._interrupted:
            slot, record = self._interrupted[-1]
            if not self._append(record):
                return False
            self._calls.end(slot)
            self._interrupted.pop()
        self.is_behind = not self.losses.report(self.tell, at_once=at_once)
        return not self.is_behind

    def _retry_if_needed(self) -> None:
        """Report what was lost even when no further call comes."""
        if self._retry_timer is None and (self.is_behind or self.losses.is_pending):
            loop = asyncio.get_running_loop()
            self._retry_timer = loop.call_later(_RETRY_SECONDS, self._retry)

    def _retry(self) -> None:
        self._retry_timer = None
        self.catch_up()
        self._retry_if_needed()

    def _take(self, record: Kept | RecordText) -> bool:
        if (not self.is_behind or self.catch_up()) and self._append(record):
            return True
        self.losses.refuse()
        self.is_behind = True
        return False

    def _append(self, record: Kept | RecordText) -> bool:
        if not self._ring.append(record_line(self._next_number, record)):
            return False
        self._next_number += 1
        self.accepted += 1
        return True


def _event(name: str, details: Mapping[str, str]) -> Event:
    return Event(id=new_record_id(), at=datetime.now(UTC), name=name, details=details)


async def tell_days(intake: Intake) -> None:
    """Tell once a day, after new records, that it is another one: this dates them."""
    while intake.is_telling:
        accepted = intake.accepted
        await asyncio.sleep(_DAY_SECONDS)
        if intake.accepted != accepted:
            intake.tell(_event(DAY, {}))

"""Turns bytes of the log into batches: the records, and gaps for records known to be missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import NAMESPACE_OID, UUID, uuid5

from audit_log.record import Event, Gap, Invocation, RecordRow
from audit_log.seal.leaves import AnyLine, Leaves, place_rows, placed
from audit_log.seal.places import Sealing
from proxy.journal.line import Line, parse_all, split
from proxy.journal.ring_header import Place

DAMAGED: Final = "journal_damaged"
HEAD_LOST: Final = "head_lost"
"""The ring was lost. Stored gaps and webhooks have carried this word since the first version."""
STORE_LOST: Final = "store_lost"
"""A store may lack what it had confirmed, and the journal keeps it no longer."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of the log that are not valid lines."""

    offset: int
    raw: bytes


@dataclass(slots=True)
class Batch:
    """The contents of a part of the log, in the order of the log."""

    end: int
    """The offset at which the next batch begins."""
    next_number: int
    """The number of the line at `end`; 0 when it is not known."""
    first_number: int = 0
    """The number of its first line; 0 when it is not known."""
    moment: datetime | None = None
    """When its last line came, or one before it, if that is known."""
    records: list[RecordRow] = field(default_factory=list)
    invocations: list[Invocation] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    leaves: Leaves = field(default_factory=Leaves)
    """Of its lines and of those missing between them; none without a seal."""

    @property
    def size(self) -> int:
        """How many records, invocations and gaps there are to write."""
        return len(self.records) + len(self.invocations) + len(self.gaps)

    @property
    def is_sealed(self) -> bool:
        """Whether it has leaves."""
        return bool(self.leaves.hashes)

    @property
    def following(self) -> Place:
        """Where the next batch begins."""
        return Place(self.end, self.next_number, self.moment)

    def add(self, said: AnyLine) -> None:
        """Append what a line says."""
        if isinstance(said, RecordRow):
            self.records.append(said)
        elif isinstance(said, Invocation):
            self.invocations.append(said)
        elif isinstance(said, Gap):
            self.gaps.append(said)
        else:
            self.events.append(said)

    def go_on_with(self, following: "Batch") -> None:
        """Append the contents of *following*, which begins where this batch ends."""
        self.first_number = self.first_number or following.first_number
        self.end, self.next_number = following.end, following.next_number
        self.moment = following.moment
        self.records += following.records
        self.invocations += following.invocations
        self.gaps += following.gaps
        self.events += following.events
        self.damages += following.damages
        self.leaves.go_on_with(following.leaves)

    @property
    def missing(self) -> int:
        """How many lines are missing, by the line numbers."""
        return sum(gap.count or 0 for gap in self.gaps if gap.reason == DAMAGED)


class Assembly:
    """Turns bytes of the log into batches; finds missing lines by their numbers. Does no I/O.

    What it makes depends on the bytes and the place where they begin, and on nothing before: a
    batch that is read again after a kill has the same gaps, and the same leaves.
    """

    def __init__(self, instance: str, sealing: Sealing | None = None) -> None:
        """*sealing*: the log that the lines are sealed in, if they are."""
        self._instance = instance
        self._sealing = sealing

    def batch(self, data: bytes, start: Place, max_lines: int) -> Batch:
        """Return the batch in the first *max_lines* lines of *data*, the log from *start* on.

        Never raises, whatever the bytes are; each record in the batch has a correct checksum in
        *data*.
        """
        lines = split(data, max_lines)
        said = parse_all(lines)
        # A torn last line has no line feed.
        end = start.offset + min(sum(map(len, lines)) + len(lines), len(data))
        first = start.number or _first_number(said)
        if records := _records_in_turn(said, first):
            batch = Batch(end, first + len(records), first, records[-1].created_at, records)
            self._seal(batch)
            return batch
        batch = Batch(end, start.number, first, start.moment)
        at, damaged_from = start.offset, None
        for raw, line in zip(lines, said, strict=True):
            if line is not None:
                if damaged_from is not None:
                    batch.damages.append(_damage(data, start.offset, damaged_from, at))
                    damaged_from = None
                self._take(batch, line)
            elif damaged_from is None:
                damaged_from = at
            at += len(raw) + 1
        if damaged_from is not None:
            batch.damages.append(_damage(data, start.offset, damaged_from, end))
        return batch

    def missing(self, end: int, start: Place, following: int, until: datetime) -> Batch:
        """Return the batch from *start* to *end*, where line *following* begins.

        All of it is missing, and was gone by *until*.
        """
        batch = Batch(end, start.number, start.number, start.moment)
        if start.number != following:
            self._miss(batch, following, until)
        batch.next_number = following
        return batch

    def kept_no_longer(self, start: Place, batch: Batch) -> Gap:
        """Return the gap of the lines from *start* to the first of *batch*.

        They were stored and sealed, so it has no place: these are those of the lines themselves.
        """
        until = batch.records[0].created_at if batch.records else batch.moment
        until = until or start.moment or datetime.now(UTC)
        count = batch.first_number - start.number
        return Gap(
            id=_gap_id(self._instance, count, batch.first_number, until),
            started_at=min(start.moment or until, until),
            ended_at=until,
            count=count,
            reason=STORE_LOST,
            instance=self._instance,
        )

    def _take(self, batch: Batch, line: Line) -> None:
        said, moment = line.said, line.moment
        if said is None or moment is None:
            return
        if 0 < batch.next_number < line.n:
            self._fill(batch, line, moment)
        if self._sealing is not None and line.n >= self._sealing.first_line:
            said = placed(said, line.n, self._sealing)
            if line.n >= batch.next_number:
                batch.leaves.add_line(line.n, said)
        # A line below the expected number is repeated or displaced. Its record has an id, so
        # storing it twice is harmless.
        batch.next_number = max(batch.next_number, line.n + 1)
        batch.moment = moment
        batch.add(said)

    def _fill(self, batch: Batch, line: Line, moment: datetime) -> None:
        """Add what explains that *line* does not follow what *batch* has."""
        if line.gap is None or line.gap.reason != HEAD_LOST:
            self._miss(batch, line.n, line.ended_at or moment)
        elif self._sealing is not None:
            # This gap tells what is lost. The numbers before it were skipped.
            first = max(batch.next_number, self._sealing.first_line)
            batch.leaves.add_void(first, line.n - first)

    def _miss(self, batch: Batch, following: int, until: datetime) -> None:
        """Add that all lines before line *following* are missing, and were gone by *until*."""
        count = following - batch.next_number if batch.next_number else None
        neighbours = (batch.moment or until, until)
        gap = Gap(
            id=_gap_id(self._instance, count, following, until),
            started_at=min(neighbours),
            ended_at=max(neighbours),
            count=count,
            reason=DAMAGED,
            instance=self._instance,
        )
        if count and self._sealing is not None:
            first = max(batch.next_number, self._sealing.first_line)
            if first < following:
                gap = placed(gap, first, self._sealing)
                batch.leaves.add_missing(first, following - first, gap)
        batch.gaps.append(gap)

    def _seal(self, batch: Batch) -> None:
        """Give each record of *batch*, which has nothing else, its place and its leaf."""
        if self._sealing is None:
            return
        first = max(batch.first_number, self._sealing.first_line)
        rows = batch.records[first - batch.first_number :]
        place_rows(rows, first, self._sealing)
        batch.leaves.add_records(first, rows)


def _records_in_turn(said: Sequence[Line | None], first: int) -> list[RecordRow]:
    """Return the records of *said* if it holds only records, numbered in a row from *first*.

    Else return an empty list. This is the normal case, and far cheaper than a loop over the lines.
    """
    sound = [line for line in said if line is not None]
    numbers = [line.n for line in sound]
    records = [line.record for line in sound if line.record is not None]
    is_all = len(records) == len(said) and numbers == list(range(first, first + len(said)))
    return records if is_all and first > 0 else []


def _first_number(said: Sequence[Line | None]) -> int:
    return said[0].n if said and said[0] is not None else 0


def _damage(data: bytes, offset: int, start: int, end: int) -> Damage:
    return Damage(start, data[start - offset : end - offset])


def _gap_id(instance: str, count: int | None, before: int, moment: datetime) -> UUID:
    """Return an id made from the missing lines, so that a repeated gap is stored once."""
    return uuid5(NAMESPACE_OID, f"{instance} {count} {before} {moment.isoformat()}")

"""Turns bytes of the log into batches: the records, and gaps for records known to be missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import NAMESPACE_OID, UUID, uuid5

from audit_log.record import Gap, Invocation, RecordRow
from proxy.journal.line import Line, parse_all, split

DAMAGED: Final = "journal_damaged"


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
    records: list[RecordRow] = field(default_factory=list)
    invocations: list[Invocation] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many records, invocations and gaps there are to write."""
        return len(self.records) + len(self.invocations) + len(self.gaps)

    @property
    def first_number(self) -> int:
        """The number of its first line."""
        holes = sum(gap.reason == DAMAGED for gap in self.gaps)
        return self.next_number - self.missing - (self.size - holes)

    def go_on_with(self, following: "Batch") -> None:
        """Append the contents of *following*, which begins where this batch ends."""
        self.end, self.next_number = following.end, following.next_number
        self.records += following.records
        self.invocations += following.invocations
        self.gaps += following.gaps
        self.damages += following.damages

    @property
    def missing(self) -> int:
        """How many lines are missing, by the line numbers."""
        return sum(gap.count or 0 for gap in self.gaps if gap.reason == DAMAGED)


class Assembly:
    """Turns bytes of the log into batches; finds missing lines by their numbers. Does no I/O."""

    def __init__(self, instance: str, since: datetime | None = None) -> None:
        """*since*: when the last record before the first batch arrived, if that is known."""
        self._instance = instance
        self._last_moment = since

    def batch(self, data: bytes, offset: int, expected: int, max_lines: int) -> Batch:
        """Return the batch in the first *max_lines* lines of *data*, the log from *offset* on.

        *expected* is the number of the first line; 0 when it is not known. Never raises, whatever
        the bytes are; each record in the batch has a correct checksum in *data*.
        """
        lines = split(data, max_lines)
        said = parse_all(lines)
        # A torn last line has no line feed.
        end = offset + min(sum(map(len, lines)) + len(lines), len(data))
        first = expected or _first_number(said)
        if records := _records_in_turn(said, first):
            self._last_moment = records[-1].created_at
            return Batch(end=end, next_number=first + len(records), records=records)
        batch = Batch(end=end, next_number=expected)
        at, damaged_from = offset, None
        for raw, line in zip(lines, said, strict=True):
            if line is not None:
                if damaged_from is not None:
                    batch.damages.append(_damage(data, offset, damaged_from, at))
                    damaged_from = None
                self._take(batch, line)
            elif damaged_from is None:
                damaged_from = at
            at += len(raw) + 1
        if damaged_from is not None:
            batch.damages.append(_damage(data, offset, damaged_from, end))
        return batch

    def _take(self, batch: Batch, line: Line) -> None:
        moment = line.record.created_at if line.record is not None else line.moment
        if moment is None:
            return
        if 0 < batch.next_number < line.n:
            until = line.ended_at or moment
            batch.gaps.append(self._missing(line.n - batch.next_number, line.n, until))
        # A line below the expected number is repeated or displaced. Its record has an id, so
        # storing it twice is harmless.
        batch.next_number = max(batch.next_number, line.n + 1)
        self._last_moment = moment
        if line.record is not None:
            batch.records.append(line.record)
        elif line.invocation is not None:
            batch.invocations.append(line.invocation)
        elif line.gap is not None:
            batch.gaps.append(line.gap)

    def missing(self, end: int, expected: int, following: int, until: datetime) -> Batch:
        """Return the batch up to *end*, where line *following* begins, if it is all missing.

        It was gone by *until*. *expected* is the first missing line; 0 when it is not known.
        """
        batch = Batch(end=end, next_number=following)
        if expected != following:
            count = following - expected if expected else None
            batch.gaps.append(self._missing(count, following, until))
        return batch

    def _missing(self, count: int | None, before: int, moment: datetime) -> Gap:
        neighbours = (self._last_moment or moment, moment)
        return Gap(
            id=_gap_id(self._instance, count, before, moment),
            started_at=min(neighbours),
            ended_at=max(neighbours),
            count=count,
            reason=DAMAGED,
            instance=self._instance,
        )


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

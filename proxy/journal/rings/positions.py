"""How far the log has come, as the header of a ring keeps it."""

from datetime import datetime

from proxy.journal.ring_header import (
    COMMITTED,
    COMMITTED_NUMBER,
    FIRST_NUMBER,
    IS_ENDED,
    MOVED,
    OBSERVED,
    ORIGIN,
    SEALED_LOG,
    WRITTEN,
    Moments,
    Place,
)

_ENDED, _EMPTY = 1, 2
_IS_LOG = 1 << 32
_LOG = _IS_LOG - 1
_NEGATIVE = 1 << 31


class Positions:
    """The positions in the log; see `ring` how they are used, and which process stores which."""

    def __init__(self, counters: memoryview) -> None:
        self._counters = counters
        self.moments = Moments(counters)

    @property
    def origin(self) -> int:
        """The offset at which this ring began; it never held anything before that."""
        return self._counters[ORIGIN]

    @property
    def written(self) -> int:
        """The offset at which the next line begins."""
        return self._counters[WRITTEN]

    @property
    def moved(self) -> int:
        """The offset up to which the log is on disk."""
        return self._counters[MOVED]

    @moved.setter
    def moved(self, offset: int) -> None:
        self._counters[MOVED] = offset

    @property
    def committed(self) -> int:
        """The offset up to which the log is in PostgreSQL."""
        return self._counters[COMMITTED]

    @property
    def committed_number(self) -> int:
        """The number of the line that begins at `committed`; 0 when it is not known."""
        number = self._counters[COMMITTED_NUMBER]
        if not number and self.committed == self.origin:  # of a version before 0.2
            return self._counters[FIRST_NUMBER]
        return number

    @property
    def place(self) -> Place:
        """Up to where everything is in PostgreSQL."""
        return Place(self.committed, self.committed_number, self.moments.committed)

    def commit(self, offset: int, number: int, moment: datetime | None = None) -> None:
        """Note that everything before *offset*, where line *number* begins, is written.

        *moment* is when its last line came, if that is known.
        """
        # In this order: a kill between two leaves a number that is too high, and a line below the
        # expected number is accepted, while one above it would be reported as a gap. A gap that
        # is found again after the kill must begin when it did, so the moment is the last.
        self._counters[COMMITTED_NUMBER] = number
        self._counters[COMMITTED] = offset
        if moment is not None:
            self.moments.committed = moment

    def end(self, *, is_empty: bool) -> None:
        """Note that nothing more will be appended; *is_empty*: and that no call is in flight."""
        self._counters[IS_ENDED] = _EMPTY if is_empty else _ENDED

    def go_on(self) -> None:
        """Note that lines will be appended."""
        self._counters[IS_ENDED] = 0

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will be appended."""
        return self._counters[IS_ENDED] != 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing more will be appended, and no call is in flight."""
        return self._counters[IS_ENDED] == _EMPTY

    @property
    def observed(self) -> int:
        """The offset up to which observers were told of the log."""
        beyond = self._counters[OBSERVED]
        return beyond - 1 if beyond else self.written

    @observed.setter
    def observed(self, offset: int) -> None:
        self._counters[OBSERVED] = offset + 1

    @property
    def sealed_log(self) -> int | None:
        """The log that the lines are sealed in, as rows name it; None when they are not."""
        word = self._counters[SEALED_LOG]
        return ((word & _LOG) ^ _NEGATIVE) - _NEGATIVE if word else None

    @sealed_log.setter
    def sealed_log(self, log: int | None) -> None:
        self._counters[SEALED_LOG] = 0 if log is None else _IS_LOG | log & _LOG

    @property
    def floor(self) -> int:
        """The offset from which the bytes exist nowhere else and may not be overwritten."""
        return max(self._counters[MOVED], self._counters[COMMITTED])

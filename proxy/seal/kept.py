"""The state of a log where it outlives the process: in mapped memory, and on disk.

Theory of operation. The recorder's event loop puts each state into memory before the batch is
committed, so a kill loses none. The journal's mover brings it to disk, at least once a second
while there is something new, always before it saves the position of the journal, and at once for
a checkpoint.

A power cut takes the memory, and the newest lines with it. Places that they had must not be used
again. So a state on disk *reserves* the numbers of lines that may follow it, and a log whose ring
was lost goes on behind them. A line with a number that is not reserved gets no place: this happens
only while the disk hangs or fails. Its row says nothing of the seal then, and its leaf is
`["unsealed"]`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from audit_log.process.sealing.key_file import SealKey
from audit_log.seal.growing.state import RESERVED_LINES, State
from proxy.seal.copies import DiskCopies, MemoryCopies

_RESERVE_AGAIN: Final = RESERVED_LINES // 2


@dataclass(frozen=True, slots=True)
class Found:
    """What the last run has left of a log."""

    state: State | None
    is_whole: bool
    """Whether it is all that the last run knew; else only what was on disk."""

    @property
    def free_number(self) -> int:
        """The first number of a line that nothing of the log stands for; 0 without a log."""
        state = self.state
        return 0 if state is None else max(state.reserved, state.next_line)

    def goes_beyond(self, number: int) -> bool:
        """Say whether the log has leaves of lines from *number* on: there were such lines."""
        return self.state is not None and self.state.next_line > number

    def lasting(self, state: State, number: int, *, is_sealed: bool) -> State:
        """Return *state*, which was found, as it is gone on with; the next line is *number*.

        *is_sealed*: whether the last run has sealed in this log. Of lines that it may have stored
        without a place none gets one now.
        """
        since = state.next_line
        if is_sealed:
            if self.is_whole:
                return state
            since = max(since, state.reserved)
        return state if number <= since else replace(state, placeless=(since, number))


NO_LOG: Final = Found(None, is_whole=False)


def found(disk: DiskCopies, memories: Iterable[bytes]) -> Found:
    """Return the newest state of the log on *disk*, or of *memories*: what earlier files hold."""
    on_disk = State.read(disk.read())
    states = [
        state
        for memory in memories
        if (state := State.read(memory)) is not None
        and (on_disk is None or state.origin == on_disk.origin)
    ]
    newest = max(states, key=lambda state: state.next_line, default=None)
    if on_disk is None or (newest is not None and newest.next_line >= on_disk.next_line):
        return Found(newest, is_whole=newest is not None)
    return Found(on_disk, is_whole=False)


class KeptLog:
    """A log with its state. The event loop puts states; the mover's thread saves them."""

    def __init__(
        self, state: State, memory: MemoryCopies, disk: DiskCopies, key: SealKey | None, file: Path
    ) -> None:
        """Keep *state*, whose checkpoints are signed by *key*, which lies in *file*."""
        self.state = state
        self.key = key
        """None until it can be read."""
        self.key_file = file
        self._memory = memory
        self._disk = disk
        self.limit = state.reserved
        """Lines below this number may have places: on disk it is reserved."""
        self.saved_line = 0
        """The next line of the state that is on disk, as far as this process knows."""
        self.is_wanted = False
        """Whether a state is to be saved at once."""

    def go_on(self) -> None:
        """Go on in another process: one before it may have put states since."""
        memory = self._memory.again()
        self._memory = memory
        self.state = State.read(memory.value) or self.state
        self.limit = self.state.reserved
        self.saved_line = 0

    def put(self, state: State) -> None:
        """Go on with *state*; a kill from now on does not lose it."""
        self.state = replace(state, reserved=self.limit)
        self._memory.write(self.state.written())

    def grow(self, state: State) -> None:
        """Go on with *state*, which has more leaves; the rest may have changed meanwhile."""
        self.put(replace(state, key=self.state.key, placeless=self.state.placeless))

    def may_place(self, first: int, end: int) -> bool:
        """Say whether lines from *first* on and before *end* may have places.

        If not, note it before they are stored: read again, they must not have places either.
        """
        state = self.state
        since, until = state.placeless
        is_open = until > state.next_line
        if end <= self.limit and not (is_open and since < end and first < until):
            return True
        hull = (min(since, first), max(until, end)) if is_open else (first, end)
        if hull != state.placeless:
            self.put(replace(state, placeless=hull))
        return False

    def is_due(self, number: int) -> bool:
        """Say whether to save at once: it is wanted, or line *number* is near the limit."""
        return self.is_wanted or number + _RESERVE_AGAIN > self.limit

    def save(self, number: int) -> None:
        """Bring the state to disk if there is anything new; raise OSError when the disk fails.

        *number* is that of the next line. Used by the mover's thread.
        """
        self.is_wanted = False
        state = self.state
        is_saved = state.next_line == self.saved_line and self._disk.path.exists()
        if is_saved and not self.is_due(number):
            return
        limit = max(self.limit, max(number, state.next_line) + RESERVED_LINES)
        self._disk.write(replace(state, reserved=limit).written())
        # After the disk has it: a place may be given up to here.
        self.limit, self.saved_line = limit, state.next_line

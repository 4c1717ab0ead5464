"""How each worker is, in memory that all of them and their supervisor share.

A worker writes its state every BEAT_SECONDS; one that does not is hung. Each state has a page that
one process writes. Its first word is the time of the last write and its second the length of the
text, which is 0 while the text changes.
"""

import mmap
import os
from time import monotonic_ns
from typing import Final

import msgspec

BEAT_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 3.0
"""A worker without a beat for that long is reported."""
_BEAT, _LENGTH = range(2)
_TEXT_AT: Final = 16
_MAX_TEXT: Final = mmap.PAGESIZE - _TEXT_AT


class State(msgspec.Struct, frozen=True):
    """What a worker says of itself."""

    is_accepting: bool
    """Whether it accepts new calls."""
    reasons: list[str]
    """What is wrong with it: see `Health`."""


class States:
    """The states of all workers, and of the supervisor, which has the last page."""

    def __init__(self, file: int, workers: int) -> None:
        """Map the memory that *file* is open at."""
        self.file = file
        self.workers = workers
        self._bytes = memoryview(mmap.mmap(file, (workers + 1) * mmap.PAGESIZE))
        self._words = self._bytes.cast("Q")

    @classmethod
    def create(cls, workers: int) -> "States":
        """Make the memory for *workers*."""
        file = os.memfd_create("workers", os.MFD_CLOEXEC)
        os.ftruncate(file, (workers + 1) * mmap.PAGESIZE)
        return cls(file, workers)

    @property
    def supervisor(self) -> int:
        """The number of the supervisor's state."""
        return self.workers

    def show(self, number: int, state: State) -> None:
        """Write the state of *number*."""
        text = msgspec.json.encode(state)
        if len(text) > _MAX_TEXT:
            text = msgspec.json.encode(State(state.is_accepting, ["its ops port tells more"]))
        page, word = _place(number)
        self._words[word + _LENGTH] = 0
        self._bytes[page + _TEXT_AT : page + _TEXT_AT + len(text)] = text
        self._words[word + _LENGTH] = len(text)
        self._words[word + _BEAT] = monotonic_ns()

    def clear(self, number: int) -> None:
        """Note that *number* does not run."""
        self._words[_place(number)[1] + _BEAT] = 0

    def beat(self, number: int) -> int:
        """Return what changes with each write of *number*; 0 while it does not run."""
        return self._words[_place(number)[1] + _BEAT]

    def state(self, number: int) -> State | None:
        """Return the state of *number*; None if it does not run, or writes at this moment."""
        page, word = _place(number)
        length = min(self._words[word + _LENGTH], _MAX_TEXT)
        text = bytes(self._bytes[page + _TEXT_AT : page + _TEXT_AT + length])
        if not self._words[word + _BEAT]:
            return None
        try:
            return msgspec.json.decode(text, type=State)
        except ValueError:
            return None

    def problems_besides(self, number: int) -> list[str]:
        """Return what is wrong with the workers other than *number*, and with the supervisor."""
        supervisor = self.state(self.supervisor)
        problems = supervisor.reasons if supervisor else []
        for other in range(self.workers):
            if other != number:
                problems += [f"worker {other}: {reason}" for reason in self._problems_of(other)]
        return problems

    def _problems_of(self, number: int) -> list[str]:
        beat = self.beat(number)
        if not beat:
            return ["does not run"]
        silent = (monotonic_ns() - beat) / 1_000_000_000
        if silent > SILENT_SECONDS:
            return [f"has not answered for {silent:.0f} s"]
        state = self.state(number)
        if state is None:
            return []
        return state.reasons if state.is_accepting else ["no calls are accepted", *state.reasons]


def _place(number: int) -> tuple[int, int]:
    """Return where the page of *number* begins, in bytes and in words."""
    return number * mmap.PAGESIZE, number * mmap.PAGESIZE // 8

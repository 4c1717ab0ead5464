"""A page of memory on which the recorder says how it is, for the ops port of the proxy.

The recorder writes it every `BEAT_SECONDS`, and soon after it was asked for; one that does not is
hung, or does not run. A checksum lets a reader recognise a text that is being changed.
"""

import asyncio
import mmap
from collections.abc import Callable, Sequence
from time import monotonic, monotonic_ns
from typing import Final
from zlib import crc32

import msgspec

BEAT_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.05
"""How often the recorder looks whether a report is asked for."""
_WAIT_SECONDS: Final = 0.01
_PATIENCE_SECONDS: Final = 0.25
"""How long a fresh report is waited for."""
SILENT_SECONDS: Final = 3.0
"""A recorder without a beat for that long is reported."""
_BEAT, _LENGTH, _CRC, _ASKED, _TOLD = range(5)
_TEXT_AT: Final = 40
_SIZE: Final = 64 * mmap.PAGESIZE
_ATTEMPTS: Final = 5


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One number of a metric."""

    name: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, frozen=True, array_like=True):
    """A metric with its numbers."""

    name: str
    documentation: str
    kind: str
    samples: list[Sample]


class Report(msgspec.Struct, frozen=True):
    """What the recorder says of itself."""

    problems: list[str] = []
    """What is wrong with it."""
    dead: list[str] = []
    """Which of its parts only a new process mends."""
    metrics: list[Family] = []


_decode = msgspec.json.Decoder(Report).decode


class Page:
    """The page. One process writes, another one reads."""

    def __init__(self) -> None:
        """Make a page that is shared with the processes that are forked from this one."""
        self._bytes = memoryview(mmap.mmap(-1, _SIZE))
        self._words = self._bytes.cast("Q")
        self._made_at = monotonic()
        self._last = Report()

    async def asked(self) -> None:
        """Return when a report is asked for, or due."""
        for _ in range(int(BEAT_SECONDS / _LOOK_SECONDS)):
            await asyncio.sleep(_LOOK_SECONDS)
            if self._words[_ASKED] != self._words[_TOLD]:
                return

    def show(self, tell: Callable[[], Report]) -> None:
        """Write what *tell* returns; without its metrics if they find no room."""
        asked = self._words[_ASKED]
        report = tell()
        text = msgspec.json.encode(report)
        if len(text) > _SIZE - _TEXT_AT:
            text = msgspec.json.encode(Report(report.problems[:100], report.dead[:100]))
        self._words[_LENGTH] = 0
        self._bytes[_TEXT_AT : _TEXT_AT + len(text)] = text
        self._words[_CRC] = crc32(text)
        self._words[_LENGTH] = len(text)
        self._words[_BEAT] = monotonic_ns()
        self._words[_TOLD] = asked

    async def refresh(self) -> None:
        """Ask for a report of this moment and wait for it, for `_PATIENCE_SECONDS` at most."""
        asked = self._words[_ASKED] = self._words[_ASKED] + 1
        for _ in range(int(_PATIENCE_SECONDS / _WAIT_SECONDS)):
            await asyncio.sleep(_WAIT_SECONDS)
            if self._words[_TOLD] >= asked:
                return

    @property
    def beat(self) -> int:
        """What changes with each report; 0 before the first."""
        return self._words[_BEAT]

    def report(self) -> Report:
        """Return the last report, or the one before it while that is being written."""
        for _ in range(_ATTEMPTS):
            length = min(self._words[_LENGTH], _SIZE - _TEXT_AT)
            text = bytes(self._bytes[_TEXT_AT : _TEXT_AT + length])
            if length and crc32(text) == self._words[_CRC]:
                self._last = _decode(text)
                break
        return self._last

    def problems(self) -> Sequence[str]:
        """Return what is wrong with the recorder, or that it does not say."""
        silent = monotonic() - (self.beat / 1e9 or self._made_at)
        if silent > SILENT_SECONDS:
            return [
                f"the recorder has not answered for {silent:.0f} s: records wait in the journal"
            ]
        return self.report().problems

    def dead(self) -> Sequence[str]:
        """Return which parts of the recorder only a new process mends."""
        return self.report().dead

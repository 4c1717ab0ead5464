"""How far long work has come: one line of standard error, and only on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from audit_api.terminal.screen import Screen

_PACE_SECONDS: Final = 0.2
_MEGABYTE: Final = 1_000_000


class Progress:
    """Counts what has come."""

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._began = monotonic()
        self._shown = self._began - _PACE_SECONDS
        self._records = self._bytes = 0

    def add(self, piece: bytes) -> None:
        """Count *piece*, whose records end with a line break."""
        if not self._is_shown:
            return
        self._records += piece.count(b"\n")
        self._bytes += len(piece)
        now = monotonic()
        if now - self._shown >= _PACE_SECONDS:
            self._shown = now
            seconds = max(now - self._began, _PACE_SECONDS)
            sys.stderr.write(
                f"\r\x1b[K{self._records:,} entries, {self._bytes / _MEGABYTE:,.1f} MB, "
                f"{self._records / seconds:,.0f} a second"
            )
            sys.stderr.flush()


@contextmanager
def progress(screen: Screen, *, is_wanted: bool = True) -> Iterator[Progress]:
    """Show progress beside the block on *screen*, and leave nothing of it behind."""
    is_shown = is_wanted and screen.has_progress
    try:
        yield Progress(is_shown=is_shown)
    finally:
        if is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

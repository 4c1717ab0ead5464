"""A progress bar, on a terminal only."""

import time
from types import TracebackType
from typing import Final, Self, TextIO

_WIDTH: Final = 40
_EVERY_SECONDS: Final = 0.2


class Progress:
    """Draws over one line of a terminal, and clears it at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._drawn_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._is_terminal and self._drawn_at > 0:
            self._write("\r\x1b[K")

    def show(self, done: int, total: int) -> None:
        """Draw *done* of *total*, at most five times a second."""
        now = time.monotonic()
        if not self._is_terminal or not total or now - self._drawn_at < _EVERY_SECONDS:
            return
        self._drawn_at = now
        filled = _WIDTH * done // total
        bar = "#" * filled + "." * (_WIDTH - filled)
        self._write(f"\r[{bar}] {100 * done // total:3} %")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

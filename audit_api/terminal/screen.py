"""What the terminal shows: lines on standard output, remarks on standard error.

Names, paths and User-Agents are text of strangers, so what a terminal might obey is escaped.
"""

import asyncio
import os
import select
import shutil
import sys
import unicodedata
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "bold": "1"}
_NARROWEST: Final = 20
_GAP: Final = "  "
_LOOK_SECONDS: Final = 0.5
_ESCAPED: Final = "backslashreplace"
"""For characters that the terminal's encoding does not have."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a row: its text, and its colour where there are colours."""

    text: str
    colour: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column. The one that *stretches* takes what the others leave of the screen's width."""

    title: str
    width: int
    stretches: bool = False
    to_the_right: bool = False
    yields: int = 0
    """On a narrow screen the column that yields most is left out first; 0 is never left out."""


class Screen:
    """Standard output and standard error of one command."""

    def __init__(self, *, is_local: bool) -> None:
        """Show times in UTC, or in the zone of this machine."""
        self._is_local = is_local
        self._encoding = sys.stdout.encoding
        self._is_terminal = sys.stdout.isatty()
        self._is_dumb = os.environ.get("TERM") == "dumb"
        # https://no-color.org: present and not empty.
        self._has_colours = (
            self._is_terminal and not self._is_dumb and not os.environ.get("NO_COLOR")
        )
        self.has_progress = sys.stderr.isatty() and not self._is_dumb
        self.width = shutil.get_terminal_size().columns if self._is_terminal else None
        """None where lines are not cut: output that is read by a program."""

    def line(self, text: str = "") -> None:
        """Show one line, at once. Raise OSError if it cannot be written."""
        self.lines([text])

    def lines(self, texts: Iterable[str]) -> None:
        """Show *texts* line by line, all at once."""
        to_output("".join(f"{visible(text)}\n" for text in texts).encode(self._encoding, _ESCAPED))

    def rows(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
        """Show *rows* of cells under *columns*."""
        widths = self._widths(columns)
        lines = "".join(f"{self._row(columns, widths, row)}\n" for row in rows)
        to_output(lines.encode(self._encoding, _ESCAPED))

    def titles(self, columns: Sequence[Column]) -> None:
        """Show the titles of *columns*."""
        self.rows(columns, [[Cell(column.title, "bold") for column in columns]])

    def remark(self, text: str) -> None:
        """Say *text* beside the output."""
        clear = "\r\x1b[K" if self.has_progress else ""
        sys.stderr.write(f"{clear}{visible(text)}\n")
        sys.stderr.flush()

    def moment(self, moment: datetime) -> str:
        """Return *moment* to the millisecond, with its offset."""
        told = moment.astimezone(None if self._is_local else UTC)
        return told.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")

    def _widths(self, columns: Sequence[Column]) -> list[int]:
        """Return the width of each column; 0 for those that are left out."""
        if self.width is None:
            return [column.width for column in columns]
        kept = sorted(columns, key=lambda column: column.yields)
        while kept[-1].yields and _least(kept) > self.width:
            kept.pop()
        left = max(self.width - _least(kept), 0) + _NARROWEST
        return [
            0 if each not in kept else left if each.stretches else each.width for each in columns
        ]

    def _row(self, columns: Sequence[Column], widths: Sequence[int], cells: Sequence[Cell]) -> str:
        shown = []
        for column, width, cell in zip(columns, widths, cells, strict=True):
            if not width:
                continue
            text = visible(cell.text)
            if self.width is not None:
                text = _cut(text, width)
            padding = " " * (width - _columns_of(text))
            text = self._coloured(text, cell.colour)
            shown.append(padding + text if column.to_the_right else text + padding)
        return _GAP.join(shown).rstrip()

    def _coloured(self, text: str, colour: str | None) -> str:
        if colour is None or not self._has_colours:
            return text
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


def to_output(piece: bytes) -> None:
    """Write *piece* to standard output, at once. Raise OSError if that fails."""
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@asynccontextmanager
async def while_read() -> AsyncIterator[None]:
    """End the block with BrokenPipeError when standard output has lost its reader.

    Also while there is nothing to write, as for `tail -f` of GNU: an hour may pass until then.
    """
    output, limit = select.poll(), asyncio.timeout(None)
    output.register(sys.stdout.fileno(), 0)

    async def watch() -> None:
        while not any(events & select.POLLERR for _, events in output.poll(0)):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        limit.reschedule(asyncio.get_running_loop().time())

    watching = asyncio.create_task(watch(), name="reader of standard output")
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise BrokenPipeError from None
        raise
    finally:
        watching.cancel()


def visible(text: str) -> str:
    r"""Return *text* with `\uXXXX` for each character that is not printed, as JSON has it."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _least(columns: Sequence[Column]) -> int:
    """Return how wide *columns* are at least."""
    widths = [_NARROWEST if column.stretches else column.width for column in columns]
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _cut(text: str, width: int) -> str:
    if _columns_of(text) <= width:
        return text
    while _columns_of(text) >= width:
        text = text[:-1]
    return f"{text}…"


def _columns_of(text: str) -> int:
    """Return how many columns *text* takes: wide characters take two, accents none."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(each)
        else 2
        if unicodedata.east_asian_width(each) in "WF"
        else 1
        for each in text
    )

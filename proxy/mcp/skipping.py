"""Finds the end of a JSON container or string without a step in Python for each byte. Pure.

Theory of operation. A window of the data is reduced to its *marks*: the quotes and brackets that
are not escaped. `bytes.translate` does that at several hundred times the speed of a regular
expression. Pairs of quotes are then taken out by `bytes.replace`, with the brackets in between,
and pairs of brackets as well, until fewer closing brackets are left than containers are open. Then
the container goes on behind the window, and the next window is twice as large. Else it may end in
the window, which is halved; a small one is read mark by mark.

The cost for each byte is small, but it grows with the number of marks, and a bracket costs twice
what a quote does. In compact JSON a third of the bytes are marks. A window with many more spends
the budget fast.
"""

import re
from codecs import escape_decode
from typing import Final

from proxy.mcp.budget import Budget

_SMALL_BYTES: Final = 256
_LARGE_BYTES: Final = 65_536
_WINDOW_STEPS: Final = 2
_MARKS_PER_STEP: Final = 512
_DENSE_MARKS_PER_STEP: Final = 64
_PARTS_PER_STEP: Final = 64
_BRACKETS_PER_STEP: Final = 1024
_NEAR_STEPS: Final = 4
_MARKS_READ_PER_STEP: Final = 4
_MARK: Final = re.compile(rb'\\.?|["{}\[\]]', re.DOTALL)
_OPENING: Final = frozenset({b"{", b"["})


def _table(said: dict[bytes, bytes], others: bytes) -> bytes:
    table = bytearray(others * 256)
    for keys, value in said.items():
        for key in keys:
            table[key] = value[0]
    return bytes(table)


_BRACES: Final = bytes.maketrans(b"[]", b"{}")
_NO_MARKS: Final = bytes(set(range(256)) - set(b'"{}[]'))
# Where there are escapes, each byte becomes a letter so that `escape_decode` can tell whether it
# is escaped: behind a backslash these letters turn into control characters.
_LETTERS: Final = _table({b"\\": b"\\", b'"': b"n", b"{[": b"f", b"}]": b"r"}, b"t")
_MARKS_OF_LETTERS: Final = bytes.maketrans(b"nfr", b'"{}')
_NO_LETTERS: Final = bytes(set(range(256)) - set(b"nfr"))


class Skipped:
    """A container or a string that is passed over. Data may be cut anywhere."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = _SMALL_BYTES
        self._begin(depth=0, is_in_string=False)

    def begin_container(self) -> None:
        """Begin behind the bracket that opens a container."""
        self._begin(depth=1, is_in_string=False)

    def begin_string(self) -> None:
        """Begin behind the quote that opens a string."""
        self._begin(depth=0, is_in_string=True)

    def end_in(self, data: bytes, at: int) -> int:
        """Read *data* from *at*; return the position behind the end, or -1 if it goes on.

        Also returns -1, before all is read, once the budget is used up.
        """
        size, is_inside = self._size, False
        while at < len(data) and not self._budget.is_used_up:
            window = data[at : at + size]
            self._budget.left -= _WINDOW_STEPS
            if self._goes_on_behind(window):
                at += size
                if not is_inside:
                    size = self._size = min(2 * size, _LARGE_BYTES)
            elif size > _SMALL_BYTES:
                size //= 2
                is_inside = True
            elif (end := self._end_near(window)) >= 0:
                return at + end
            else:
                at += size
        return -1

    def _begin(self, *, depth: int, is_in_string: bool) -> None:
        self._depth, self._is_in_string = depth, is_in_string
        self._is_escaped = False
        # A small container must not cost what a large one does.
        self._size = _SMALL_BYTES

    def _goes_on_behind(self, window: bytes) -> bool:
        """Pass over all of *window*, unless the end may lie in it."""
        marks, is_escaped = self._marks(window)
        quotes = marks.count(b'"')
        if self._depth == 0:
            if quotes:
                return False
        elif quotes == len(marks) or (not quotes and self._is_in_string):
            self._is_in_string ^= quotes % 2 == 1
        else:
            self._spend(quotes, len(marks) - quotes, len(window))
            braces, is_in_string = self._outside_strings(marks) if quotes else (marks, False)
            if not self._count(braces):
                return False
            self._is_in_string = is_in_string
        self._is_escaped = is_escaped
        return True

    def _marks(self, window: bytes) -> tuple[bytes, bool]:
        """Return the marks in *window*, and whether it ends within an escape."""
        if self._is_escaped:
            window = window[1:]
        if b"\\" not in window:
            return window.translate(_BRACES, _NO_MARKS), False
        run = len(window) - len(window.rstrip(b"\\"))
        if is_escaped := run % 2 == 1:
            window = window[:-1]
        letters, _ = escape_decode(window.translate(_LETTERS))
        return letters.translate(_MARKS_OF_LETTERS, _NO_LETTERS), is_escaped

    def _spend(self, quotes: int, brackets: int, size: int) -> None:
        dense = max(0, quotes + 2 * brackets - size * 3 // 4)
        steps = (quotes + brackets) // _MARKS_PER_STEP + dense // _DENSE_MARKS_PER_STEP
        self._budget.left -= steps

    def _outside_strings(self, marks: bytes) -> tuple[bytes, bool]:
        """Return the brackets outside of strings, and whether the window ends in a string."""
        if self._is_in_string:
            marks = b'"' + marks
        quotes = marks.count(b'"')
        if ends_in_string := quotes % 2 == 1:
            marks = marks[: marks.rindex(b'"')]
        # Two quotes side by side are a string without brackets. Where all are, they just go.
        if marks.count(b'""') == quotes // 2:
            return marks.translate(None, b'"'), ends_in_string
        parts = marks.replace(b'""""', b"").replace(b'""', b"").split(b'"')
        self._budget.left -= len(parts) // _PARTS_PER_STEP
        return b"".join(parts[::2]), ends_in_string

    def _count(self, braces: bytes) -> bool:
        """Count *braces* into the depth, unless they may close the container."""
        while (closing := braces.count(b"}")) >= self._depth:
            if self._budget.is_used_up:
                return False
            size = len(braces)
            self._budget.left -= size // _BRACKETS_PER_STEP
            braces = braces.replace(b"{}{}", b"").replace(b"{}", b"")
            if len(braces) == size:
                return False
        self._depth += len(braces) - 2 * closing
        return True

    def _end_near(self, window: bytes) -> int:
        """Read *window* mark by mark; return the position behind the end, or -1."""
        at = 1 if self._is_escaped else 0
        self._is_escaped = False
        read, end = 0, -1
        for found in _MARK.finditer(window, at):
            read += 1
            if self._ends_with(found[0]):
                end = found.end()
                break
        self._budget.left -= _NEAR_STEPS + read // _MARKS_READ_PER_STEP
        return end

    def _ends_with(self, mark: bytes) -> bool:
        if mark.startswith(b"\\"):
            self._is_escaped = len(mark) == 1
            return False
        if mark == b'"':
            self._is_in_string = not self._is_in_string
        elif not self._is_in_string:
            self._depth += 1 if mark in _OPENING else -1
        return self._depth == 0 and not self._is_in_string

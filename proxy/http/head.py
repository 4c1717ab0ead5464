"""Where a head ends, and the memory of the last one. Pure: bytes in, values out.

Requests and responses share this. Clients and servers repeat themselves: a head that comes again
on its connection, byte for byte, is neither parsed nor planned again.
"""

import re
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from proxy.http.fields import MAX_REMEMBERED_BYTES

Parsed = TypeVar("Parsed")

# A head ends at its first empty line, whatever ends the lines: a bare LF is found, and refused.
_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
_LONGEST_END_BYTES: Final = 3


class HeadReader(Generic[Parsed]):
    """Reads the heads of one connection, in one direction."""

    def __init__(
        self, parse: Callable[[bytes], Parsed], check: Callable[[bytes, int | None], None]
    ) -> None:
        """Turn each complete head into what *parse* makes of it.

        *check* is told what was received and where the head in it ends, None while it goes on.
        It raises when no head can begin like that, or when the head is too long. It is not asked
        about a short head that is complete: *parse* judges that.
        """
        self._parse = parse
        self._check = check
        self._last: tuple[bytes, Parsed] | None = None
        self._searched = 0

    def read(self, received: bytes) -> tuple[Parsed, int] | None:
        """Return the head at the start of *received* and where it ends; None while it goes on.

        While it goes on, the next call must begin with the same bytes. Raises as *parse* and
        *check* do.
        """
        last = self._last
        if last is not None and received.startswith(last[0]):
            # It ends with its first empty line, so what begins with it has no other head.
            self._searched = 0
            return last[1], len(last[0])
        found = _END_OF_HEAD.search(received, self._searched)
        end = found.end() if found else None
        if end is None or end > MAX_REMEMBERED_BYTES:
            self._check(received, end)
        if end is None:
            # The end may have begun.
            self._searched = max(0, len(received) - _LONGEST_END_BYTES + 1)
            return None
        self._searched = 0
        raw = received[:end]
        parsed = self._parse(raw)
        self._last = (raw, parsed) if end <= MAX_REMEMBERED_BYTES else None
        return parsed, end

"""Extracts the data from a stream of server-sent events (WHATWG HTML, section 9.2). Pure."""

import re
from typing import Final

from proxy.mcp.json_stream import JsonStream

_DATA: Final = b"data:"
_MARK: Final = b"\xef\xbb\xbf"
"""The byte order mark that a stream may begin with."""
_LINE_END: Final = re.compile(rb"\r\n?|\n")
_EMPTY_LINES: Final = re.compile(rb"[\r\n]*+")


class EventStream:
    """Feeds the data of each event to a JSON reader. Holds at most the name of a field."""

    def __init__(self, reader: JsonStream) -> None:
        self._reader = reader
        self._begin = b""  # of the line, until it is known whether it is data
        self._is_data: bool | None = None
        self._follows_cr = False
        self._may_be_mark = True
        self.has_ids = False
        """Whether events have ids, by which a client can resume the stream."""
        self.unreadable = 0
        """Events whose data could not be read."""

    def feed(self, data: bytes) -> None:
        """Read on; *data* may begin and end anywhere."""
        at = 1 if self._follows_cr and data.startswith(b"\n") else 0
        self._follows_cr = data.endswith(b"\r")
        while at < len(data):
            end = _LINE_END.search(data, at)
            part = data[at : end.start() if end else len(data)]
            at = end.end() if end else len(data)
            self._take(part)
            if end:
                is_empty = not self._begin
                self._end_line()
                if is_empty:  # further empty lines end no event
                    at = _end_of_empty_lines(data, at)

    def _take(self, part: bytes) -> None:
        if self._is_data is None:
            self._begin += part
            if self._may_be_mark and self._begin.startswith(_MARK):
                self._begin, self._may_be_mark = self._begin[len(_MARK) :], False
            if len(self._begin) >= len(_DATA):
                self._is_data = self._begin.startswith(_DATA)
                part = self._begin[len(_DATA) :]
        if self._is_data:
            self._reader.feed(part)

    def _end_line(self) -> None:
        if self._is_data:
            self._reader.feed(b"\n")
        elif not self._begin:
            # An empty line ends the event. The next one is read even if this one was invalid.
            self.unreadable += self._reader.trouble is not None
            self._reader.reset()
        self.has_ids |= self._begin.startswith(b"id:")
        self._begin, self._is_data, self._may_be_mark = b"", None, False


def _end_of_empty_lines(data: bytes, at: int) -> int:
    found = _EMPTY_LINES.match(data, at)
    return found.end() if found else at

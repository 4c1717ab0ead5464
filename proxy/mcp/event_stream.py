"""Reads the data out of server-sent events that stream past (WHATWG HTML, section 9.2). Pure."""

import re
from typing import Final

from proxy.mcp.json_stream import JsonStream

_DATA: Final = b"data:"
_LINE_END: Final = re.compile(rb"\r\n?|\n")


class EventStream:
    """Feeds the data of each event to a reader of JSON. Holds no more than a field's name."""

    def __init__(self, reader: JsonStream) -> None:
        self._reader = reader
        self._begin = b""  # of the line, until it is clear whether it is data
        self._is_data: bool | None = None
        self._follows_cr = False
        self.has_ids = False
        """Events have ids, so that a client can resume the stream after the last that it got."""

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
                self._end_line()

    def _take(self, part: bytes) -> None:
        if self._is_data is None:
            self._begin += part
            if len(self._begin) >= len(_DATA):
                self._is_data = self._begin.startswith(_DATA)
                part = self._begin[len(_DATA) :]
        if self._is_data:
            self._reader.feed(part)

    def _end_line(self) -> None:
        if self._is_data:
            self._reader.feed(b"\n")
        elif not self._begin:
            # An empty line ends the event. What was wrong with it does not concern the next one.
            self._reader.reset()
        self.has_ids |= self._begin.startswith(b"id:")
        self._begin, self._is_data = b"", None

"""Extracts the data from a stream of server-sent events (WHATWG HTML, section 9.2). Pure."""

from typing import Final

from proxy.mcp.budget import Budget
from proxy.mcp.json_stream import JsonStream

_DATA: Final = b"data:"
_MARK: Final = b"\xef\xbb\xbf"
"""The byte order mark that a stream may begin with."""
_LINE_STEPS: Final = 2
_EVENT_STEPS: Final = 12
_LINES_PER_STEP: Final = 64
_BYTES_PER_STEP: Final = 16_384
"""Of what is searched for words, each time anew."""


class EventStream:
    """Feeds the data of each event to a JSON reader. Holds at most the name of a field.

    Events that hold none of some words are passed over many at a time: a server may send thousands
    of notifications at once, and only responses are looked for. Lines spend the reader's budget.
    """

    def __init__(self, reader: JsonStream, budget: Budget, words: tuple[bytes, ...]) -> None:
        """Feed *reader* with each event, or at least with those that hold one of *words*."""
        self._reader = reader
        self._budget = budget
        self._words = words
        self._begin = b""  # of the line, until it is known whether it is data
        self._is_data: bool | None = None
        self._is_between_events = True
        self._follows_cr = False
        self._may_be_mark = True
        self.has_ids = False
        """Whether events have ids, by which a client can resume the stream."""
        self.unreadable = 0
        """Events whose data could not be read."""

    def feed(self, data: bytes) -> None:
        """Read on; *data* may begin and end anywhere."""
        data, at = self._with_line_feeds(data), 0
        while at < len(data) and not self._budget.is_used_up:
            if self._is_between_events and (behind := self._behind_the_wordless(data, at)) > at:
                at = behind
                continue
            self._budget.left -= _LINE_STEPS
            end = data.find(b"\n", at)
            self._take(data[at : end if end >= 0 else len(data)])
            if end < 0:
                return
            self._end_line()
            at = end + 1

    def _with_line_feeds(self, data: bytes) -> bytes:
        """Return *data* with a line feed for each end of a line."""
        if self._follows_cr and data:
            data, self._follows_cr = data.removeprefix(b"\n"), False
        if b"\r" not in data:
            return data
        self._follows_cr = data.endswith(b"\r")
        self._budget.left -= data.count(b"\r") // _LINES_PER_STEP
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _behind_the_wordless(self, data: bytes, at: int) -> int:
        """Return the position behind all whole events that can be passed over, or *at*."""
        if self._may_be_mark:
            return at
        self._budget.left -= (len(data) - at) // _BYTES_PER_STEP
        places = [place for word in self._words if (place := data.find(word, at)) >= 0]
        last = data.rfind(b"\n\n", at, min(places, default=len(data)))
        if last < 0:
            return at
        passed = data[at : last + 2]
        self.has_ids |= passed.startswith(b"id:") or b"\nid:" in passed
        return last + 2

    def _take(self, part: bytes) -> None:
        self._is_between_events = False
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
            self._budget.left -= _EVENT_STEPS
            self._is_between_events = True
        self.has_ids |= self._begin.startswith(b"id:")
        self._begin, self._is_data, self._may_be_mark = b"", None, False

"""Reads chosen values from a stream of JSON. Pure; holds only those values.

Theory of operation. The parser is a state machine: `_state` is the method that reads next. It gets
the data and a position, and returns the position that it reached. Data may be cut anywhere, so
each state can stop at the end of the data and go on with the next piece. Everything that is not
wanted is skipped (`Skipped`), whatever its size: a tool call with 100 MB of arguments costs no
memory here.

The event loop waits while a piece is read, so each turn of the machine is paid for from a
`Budget`, and no turn reads far by a regular expression. A document that uses its budget up is read
no further.
"""

import json
import re
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final

from proxy.mcp.budget import Budget
from proxy.mcp.skipping import Skipped

Path = tuple[str, ...]
Scalar = str | int | float | bool | None
Values = Mapping[Path, Scalar]
"""The values found in one top-level object. A wanted container is there as True."""

ANY: Final = "*"
"""In a wanted path it matches any key."""
MAX_STRING_BYTES: Final = 16_384
"""The rest of a longer string is dropped."""
MAX_VALUES: Final = 64
"""A bound for hostile messages: with `ANY`, each key of a message could add values."""
_MAX_INNER_VALUES: Final = 32
"""When there are as many, no more are added by an `ANY` that is not the first key: the values of
other paths must find room, wherever in the message they are."""
_MAX_KEY_BYTES: Final = 256
_MAX_LITERAL_BYTES: Final = 64

_DECODER: Final = json.JSONDecoder(strict=False)
_OPENING: Final = frozenset({b"{", b"["})
_SPACES: Final = b" \t\r\n"
# A top-level array is a batch: its elements are read like objects that follow one another. Some
# parsers ignore a byte order mark (RFC 8259, section 8.1), so it must not hide an object.
_BETWEEN_OBJECTS: Final = _SPACES + b"[],\xef\xbb\xbf"
_SPACE: Final = re.compile(rb"[ \t\r\n]{0,64}+")
_AROUND_OBJECTS: Final = re.compile(rb"[ \t\r\n\[\],\xef\xbb\xbf]{0,64}+")
_LITERAL: Final = re.compile(rb"[-+.0-9A-Za-z]{0,64}+")
_MEMBER: Final = re.compile(
    rb'[ \t\r\n,]{0,64}+"([^"]{0,%d}+)"[ \t\r\n]{0,64}+:[ \t\r\n]{0,64}+'
    rb'(?:"([^"]*+)"|([-+.0-9A-Za-z]{1,64}+)(?=[ \t\r\n,}])|(?=[{\[]))' % _MAX_KEY_BYTES
)
"""A key and its value, a scalar; or the key and the beginning of a container. A backslash in it
may escape a quote. All but `[^"]*` is slow for each byte, hence the bounds."""


class Trouble(Enum):
    """Why a document is not read to its end."""

    INVALID = auto()
    TOO_COSTLY = auto()


class WantedPaths:
    """The paths that a reader looks for, and the containers on the way to them."""

    def __init__(self, paths: frozenset[Path]) -> None:
        self._paths = paths
        self._on_the_way = frozenset(path[:end] for path in paths for end in range(len(path)))
        places = {_places_of_any(path) for path in paths | self._on_the_way}
        self._places_of_any = tuple(sorted(places - {()}))

    def include(self, path: Path) -> bool:
        """Return whether the value at *path* is wanted."""
        return self._is_among(path, self._paths)

    def lead_through(self, path: Path) -> bool:
        """Return whether a wanted value may lie inside the object at *path*."""
        return self._is_among(path, self._on_the_way)

    def include_by_inner_any(self, path: Path) -> bool:
        """Return whether *path* is wanted for an `ANY` that is not the first key."""
        return path not in self._paths and any(
            places[-1] > 0 and _with_any(path, places) in self._paths
            for places in self._places_of_any
        )

    def _is_among(self, path: Path, paths: frozenset[Path]) -> bool:
        if path in paths:
            return True
        for places in self._places_of_any:
            if places[-1] < len(path) and _with_any(path, places) in paths:
                return True
        return False


class JsonStream:
    """Calls back with the wanted values of each object at top level, or in a top-level array.

    Of several equal keys the last one counts, as in JSON parsers. Invalid JSON, and a document
    that costs too much, end the reading until `reset`, and set `trouble`.
    """

    def __init__(
        self, wanted: frozenset[Path], found: Callable[[Values], None], budget: Budget
    ) -> None:
        """Look for the paths *wanted* in each object, and call *found* when the object ends.

        Spend from *budget*, which others fill.
        """
        self._wanted = WantedPaths(wanted)
        self._found = found
        self._budget = budget
        self._skipped = Skipped(budget)
        self.reset()

    def reset(self) -> None:
        """Start again: what follows is another document."""
        self._state: Callable[[bytes, int], int] = self._value
        self._open: list[Path] = []  # the objects around the position, outermost first
        self._values: dict[Path, Scalar] = {}
        self._key: str = ""
        self._text = bytearray()
        self._after_string: Callable[[bytes], None] = self._string_is
        self.trouble: Trouble | None = None

    def feed(self, data: bytes) -> None:
        """Read on; *data* may begin and end anywhere."""
        if self.trouble is not None:
            return
        budget, at = self._budget, 0
        try:
            while at < len(data) and budget.left >= 0:
                budget.left -= 1
                at = self._state(data, at)
        except ValueError:
            self.trouble = Trouble.INVALID
        if budget.is_used_up:
            self.trouble = Trouble.TOO_COSTLY

    # The states: each reads from a position and returns the position that it reached.

    def _value(self, data: bytes, at: int) -> int:
        at = _end_of(_SPACE if self._open else _AROUND_OBJECTS, data, at)
        byte = data[at : at + 1]
        if byte in (_SPACES if self._open else _BETWEEN_OBJECTS):
            return at  # there are more of them, or *data* ends
        if byte == b'"':
            return self._begin_string(at + 1, self._string_is)
        if byte in _OPENING:
            return self._container(byte, at)
        self._text.clear()
        self._state = self._literal
        return at

    def _container(self, byte: bytes, at: int) -> int:
        path = self._path()
        if self._wanted.include(path):
            self._values[path] = True
        if byte == b"{" and self._wanted.lead_through(path):
            self._open.append(path)
            self._state = self._key_or_end
        else:
            self._skipped.begin_container()
            self._state = self._skipped_container
        return at + 1

    def _key_or_end(self, data: bytes, at: int) -> int:
        found = _MEMBER.match(data, at)
        if found and data.find(b"\\", at, found.end()) < 0:
            return self._member(found, data)
        at = _end_of(_SPACE, data, at)
        byte = data[at : at + 1]
        if byte in _SPACES:
            return at
        if byte == b'"':
            return self._begin_string(at + 1, self._key_string_is)
        if byte == b"}":
            self._object_ends()
        elif byte != b",":
            raise ValueError("no key")
        return at + 1

    def _member(self, found: re.Match[bytes], data: bytes) -> int:
        """Take a key, with its value if that is a scalar."""
        self._key_is(found[1])
        group = found.lastindex
        if group == 1:
            self._state = self._value
            return found.end()
        is_wanted = self._wanted.include(self._path())
        if not is_wanted:
            self._value_is(None)
        elif group == 2:  # noqa: PLR2004  the group of _MEMBER that is a string
            start, end = found.span(group)
            self._value_is(_decoded(data[start : min(end, start + MAX_STRING_BYTES)]))
        else:
            self._value_is(_literal(found[3]))
        return found.end()

    def _colon(self, data: bytes, at: int) -> int:
        at = _end_of(_SPACE, data, at)
        byte = data[at : at + 1]
        if byte in _SPACES:
            return at
        if byte != b":":
            raise ValueError("no colon")
        self._state = self._value
        return at + 1

    def _literal(self, data: bytes, at: int) -> int:
        end = _end_of(_LITERAL, data, at)
        self._hold(data, at, end)
        if end < len(data) and end - at < _MAX_LITERAL_BYTES:
            self._value_is(_literal(self._text))
        return end

    def _string(self, data: bytes, at: int) -> int:
        end = self._skipped.end_in(data, at)
        if end < 0:
            self._hold(data, at, len(data))
            return len(data)
        self._hold(data, at, end - 1)
        self._after_string(bytes(self._text))
        return end

    def _skipped_container(self, data: bytes, at: int) -> int:
        end = self._skipped.end_in(data, at)
        if end < 0:
            return len(data)
        self._state = self._key_or_end
        return end

    # What the states do with what they have read

    def _path(self) -> Path:
        return (*self._open[-1], self._key) if self._open else ()

    def _begin_string(self, at: int, then: Callable[[bytes], None]) -> int:
        """Read the string that begins at *at*; call *then* with the begin of what is in it."""
        self._text.clear()
        self._after_string = then
        self._skipped.begin_string()
        self._state = self._string
        return at

    def _hold(self, data: bytes, at: int, end: int) -> None:
        room = MAX_STRING_BYTES - len(self._text)
        if room > 0:
            self._text += data[at : min(end, at + room)]

    def _string_is(self, raw: bytes) -> None:
        self._value_is(_decoded(raw) if self._wanted.include(self._path()) else None)

    def _key_string_is(self, raw: bytes) -> None:
        self._key_is(raw)
        self._state = self._colon

    def _key_is(self, raw: bytes) -> None:
        self._key = _decoded(raw) if len(raw) <= _MAX_KEY_BYTES else ""
        path = self._path()
        # An earlier key of the same name counts no more.
        for known in [known for known in self._values if known[: len(path)] == path]:
            del self._values[known]

    def _value_is(self, value: Scalar) -> None:
        if self._open and self._wanted.include(self._path()):
            self._keep(self._path(), value)
        self._state = self._key_or_end if self._open else self._value

    def _keep(self, path: Path, value: Scalar) -> None:
        if len(self._values) >= _MAX_INNER_VALUES and self._wanted.include_by_inner_any(path):
            return
        self._values[path] = value
        if len(self._values) > MAX_VALUES:
            raise ValueError("more values than any message has")

    def _object_ends(self) -> None:
        self._open.pop()
        if not self._open:
            values, self._values = self._values, {}
            self._state = self._value
            self._found(values)
        else:
            self._state = self._key_or_end


def _places_of_any(path: Path) -> tuple[int, ...]:
    return tuple(place for place, key in enumerate(path) if key == ANY)


def _with_any(path: Path, places: tuple[int, ...]) -> Path:
    """Return *path* with `ANY` in *places*."""
    return tuple(ANY if place in places else key for place, key in enumerate(path))


def _end_of(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Return where *pattern*, which also matches the empty string, stops matching."""
    found = pattern.match(data, at)
    return found.end() if found else at


def _literal(raw: bytes | bytearray) -> Scalar:
    """Return a number, true, false or null; None if it is longer than any that is wanted.

    JSON does not bound the length of a number. Raises ValueError if it is no literal.
    """
    if len(raw) > _MAX_LITERAL_BYTES:
        return None
    value: Scalar = _DECODER.decode(raw.decode("ascii"))
    return value


def _decoded(raw: bytes) -> str:
    """Decode the bytes between two quotes; invalid UTF-8 is replaced."""
    text = raw.decode("utf-8", "replace")
    if "\\" not in text:
        return text
    try:
        return str(_DECODER.decode(f'"{text}"'))
    except ValueError:
        return text  # cut within an escape, or an invalid escape

"""Reads chosen values from a stream of JSON. Pure; holds only those values.

Theory of operation. The parser is a state machine: `_state` is the method that reads next. It gets
the data and a position, and returns the position that it reached. Data may be cut anywhere, so
each state can stop at the end of the data and go on with the next piece. Everything that is not
wanted is skipped by a regular expression, whatever its size: a tool call with 100 MB of arguments
costs no memory here.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

Path = tuple[str, ...]
Scalar = str | int | float | bool | None
Values = Mapping[Path, Scalar]
"""The values found in one top-level object. A wanted container is there as True."""

ANY: Final = "*"
"""As the first key of a wanted path it matches any key."""
MAX_STRING_BYTES: Final = 16_384
"""The rest of a longer string is dropped."""
MAX_VALUES: Final = 64
"""A bound for hostile messages: with `ANY`, each key of a message could add values."""
_MAX_KEY_BYTES: Final = 256
_MAX_LITERAL_BYTES: Final = 64

_OPENING: Final = frozenset({b"{", b"["})
# A top-level array is a batch: its elements are read like objects that follow one another. Some
# parsers ignore a byte order mark (RFC 8259, section 8.1), so it must not hide an object.
_AROUND_OBJECTS: Final = frozenset({b"[", b"]", b",", b"\xef", b"\xbb", b"\xbf"})
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_LITERAL: Final = re.compile(rb"[-+.0-9A-Za-z]*")
_IN_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
"""The content of a string, up to the closing quote or an incomplete escape."""
_FLAT: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
"""The content of a container up to the next bracket outside a string, or an incomplete string."""


class WantedPaths:
    """The paths that a reader looks for, and the containers on the way to them."""

    def __init__(self, paths: frozenset[Path]) -> None:
        self._paths = paths
        self._on_the_way = frozenset(path[:end] for path in paths for end in range(len(path)))
        self._has_any = any(path[0] == ANY for path in paths)

    def include(self, path: Path) -> bool:
        """Return whether the value at *path* is wanted."""
        return self._is_among(path, self._paths)

    def lead_through(self, path: Path) -> bool:
        """Return whether a wanted value may lie inside the object at *path*."""
        return self._is_among(path, self._on_the_way)

    def _is_among(self, path: Path, paths: frozenset[Path]) -> bool:
        return path in paths or (self._has_any and path != () and (ANY, *path[1:]) in paths)


class JsonStream:
    """Calls back with the wanted values of each object at top level, or in a top-level array.

    Of several equal keys the last one counts, as in JSON parsers. Invalid JSON ends the reading
    until `reset`, and sets `is_broken`.
    """

    def __init__(self, wanted: frozenset[Path], found: Callable[[Values], None]) -> None:
        """Look for the paths *wanted* in each object, and call *found* when the object ends."""
        self._wanted = WantedPaths(wanted)
        self._found = found
        self.reset()

    def reset(self) -> None:
        """Start again: what follows is another document."""
        self._state: Callable[[bytes, int], int] = self._value
        self._after_string: Callable[[bytes], None] = self._string_is
        self._open: list[Path] = []  # the objects around the position, outermost first
        self._values: dict[Path, Scalar] = {}
        self._key: str = ""
        self._text = bytearray()
        self._depth = 0
        self._is_escaped = False
        self.is_broken = False

    def feed(self, data: bytes) -> None:
        """Read on; *data* may begin and end anywhere."""
        at = 0
        try:
            while at < len(data) and not self.is_broken:
                at = self._state(data, at)
        except ValueError:
            self.is_broken = True

    # The states: each reads from a position and returns the position that it reached.

    def _value(self, data: bytes, at: int) -> int:
        at = _after_space(data, at)
        if at == len(data):
            return at
        byte = data[at : at + 1]
        if not self._open and byte in _AROUND_OBJECTS:
            return at + 1
        if byte == b'"':
            self._begin_string(self._string_is)
            return at + 1
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
            return at + 1
        self._depth = 0
        self._state = self._skipped
        return at

    def _key_or_end(self, data: bytes, at: int) -> int:
        at = _after_space(data, at)
        if at == len(data):
            return at
        byte = data[at : at + 1]
        if byte == b'"':
            self._begin_string(self._key_is)
        elif byte == b"}":
            self._object_ends()
        elif byte != b",":
            raise ValueError("no key")
        return at + 1

    def _colon(self, data: bytes, at: int) -> int:
        at = _after_space(data, at)
        if at < len(data) and data[at : at + 1] != b":":
            raise ValueError("no colon")
        self._state = self._value if at < len(data) else self._state
        return at + 1

    def _literal(self, data: bytes, at: int) -> int:
        end = _end_of(_LITERAL, data, at)
        self._hold(data[at:end])
        if end < len(data):
            # JSON does not bound the length of a number; one that long is not wanted.
            is_short = len(self._text) <= _MAX_LITERAL_BYTES
            self._value_is(json.loads(self._text) if is_short else None)
        return end

    def _string(self, data: bytes, at: int) -> int:
        """Read a string up to its end or the end of *data*."""
        if self._is_escaped:
            self._is_escaped = False
            self._hold(data[at : at + 1])
            return at + 1
        end = _end_of(_IN_STRING, data, at)
        self._hold(data[at:end])
        if end < len(data):
            if data[end : end + 1] == b'"':
                self._after_string(bytes(self._text))
            else:
                self._is_escaped = True
                self._hold(b"\\")
        return end + 1

    def _skipped(self, data: bytes, at: int) -> int:
        """Skip a container. `_string` reads a string in it that goes beyond *data*."""
        while (at := _end_of(_FLAT, data, at)) < len(data):
            byte = data[at : at + 1]
            at += 1
            if byte == b'"':
                self._begin_string(self._skipped_string_is)
                return at
            self._depth += 1 if byte in _OPENING else -1
            if self._depth == 0:
                self._state = self._key_or_end
                return at
        return at

    def _skipped_string_is(self, _raw: bytes) -> None:
        self._state = self._skipped

    # What the states do with what they have read

    def _path(self) -> Path:
        return (*self._open[-1], self._key) if self._open else ()

    def _begin_string(self, after: Callable[[bytes], None]) -> None:
        self._text.clear()
        self._after_string = after
        self._state = self._string

    def _hold(self, data: bytes) -> None:
        room = MAX_STRING_BYTES - len(self._text)
        if room > 0:
            self._text += data[:room]

    def _key_is(self, raw: bytes) -> None:
        self._key = _decoded(raw) if len(raw) <= _MAX_KEY_BYTES else ""
        self._forget(self._path())
        self._state = self._colon

    def _forget(self, path: Path) -> None:
        """Forget the values of an earlier key of the same name."""
        for known in [known for known in self._values if known[: len(path)] == path]:
            del self._values[known]

    def _string_is(self, raw: bytes) -> None:
        self._value_is(_decoded(raw) if self._wanted.include(self._path()) else None)

    def _value_is(self, value: Scalar) -> None:
        if self._open and self._wanted.include(self._path()):
            self._values[self._path()] = value
            if len(self._values) > MAX_VALUES:
                raise ValueError("more values than any message has")
        self._state = self._key_or_end if self._open else self._value

    def _object_ends(self) -> None:
        self._open.pop()
        if not self._open:
            values, self._values = self._values, {}
            self._state = self._value
            self._found(values)
        else:
            self._state = self._key_or_end


def _after_space(data: bytes, at: int) -> int:
    return _end_of(_SPACE, data, at)


def _end_of(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Return where *pattern*, which also matches the empty string, stops matching."""
    found = pattern.match(data, at)
    return found.end() if found else at


def _decoded(raw: bytes) -> str:
    """Decode the bytes between two quotes; invalid UTF-8 is replaced."""
    text = raw.decode("utf-8", "replace")
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text  # cut within an escape, or an invalid escape

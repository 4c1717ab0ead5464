"""Reads chosen values from a stream of JSON. Pure; holds only those values.

Theory of operation. The parser is a state machine: `_state` is the method that reads next. It gets
the data and a position, and returns the position that it reached. Data may be cut anywhere, so
each state can stop at the end of the data and go on with the next piece. Everything that is not
wanted is skipped by a regular expression, whatever its size: a tool call with 100 MB of arguments
costs no memory here.

Before a piece is read, `Escapes` overwrites each escaped quote and backslash in a copy of it. In
that copy each quote begins or ends a string. Values are taken from the piece itself.

The event loop waits while a piece is read, so each document has a budget. A byte adds one unit.
Quotes, brackets and steps of the state machine cost units. Ordinary JSON costs less than it adds.
A document that uses its budget up, or nests too deeply, is read no further.
"""

import json
import re
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final

from proxy.mcp.escapes import Escapes

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
FREE_UNITS: Final = 65_536
"""What a document may cost, whatever its size: a batch of 100 tool calls costs less."""
STEP_UNITS: Final = 64
SKIPPING_STEP_UNITS: Final = 16
QUOTE_UNITS: Final = 2
BRACKET_UNITS: Final = 4
MAX_DEPTH: Final = 512
"""Of containers that are skipped."""
_COUNTED_BYTES: Final = 64
"""In a shorter piece, quotes and brackets cost less than to count them."""
_MAX_KEY_BYTES: Final = 256
_MAX_LITERAL_BYTES: Final = 64

_OPENING: Final = frozenset({b"{", b"["})
# A top-level array is a batch: its elements are read like objects that follow one another. Some
# parsers ignore a byte order mark (RFC 8259, section 8.1), so it must not hide an object.
_AROUND_OBJECTS: Final = re.compile(rb"[ \t\r\n\[\],\xef\xbb\xbf]*+")
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_LITERAL: Final = re.compile(rb"[-+.0-9A-Za-z]*+")
_MEMBER: Final = re.compile(
    rb'[ \t\r\n,]*+"([^"\\]{0,%d}+)"[ \t\r\n]*+:[ \t\r\n]*+'
    rb'(?:"([^"]*+)"|([-+.0-9A-Za-z]++)(?=[ \t\r\n,}])|(?=[{\[]))' % _MAX_KEY_BYTES
)
"""A key without escapes and its value, a scalar; or the key and the beginning of a container."""
_LEVELS: Final = 4
_FLAT: Final = re.compile(
    rb'(?:[^"{}\[\]]++|"[^"]*+"'
    + rb'|[{\[](?:[^"{}\[\]]++|"[^"]*+"' * _LEVELS
    + rb")*+[}\]]" * _LEVELS
    + rb")*+"
)
"""The content of a container up to its end, a container that nests deeper than _LEVELS, or an
incomplete string."""


class Trouble(Enum):
    """Why a document is not read to its end."""

    INVALID = auto()
    TOO_COSTLY = auto()


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

    Of several equal keys the last one counts, as in JSON parsers. Invalid JSON, and a document
    that costs too much, end the reading until `reset`, and set `trouble`.
    """

    def __init__(self, wanted: frozenset[Path], found: Callable[[Values], None]) -> None:
        """Look for the paths *wanted* in each object, and call *found* when the object ends."""
        self._wanted = WantedPaths(wanted)
        self._found = found
        self.reset()

    def reset(self) -> None:
        """Start again: what follows is another document."""
        self._state: Callable[[bytes, int], int] = self._value
        self._open: list[Path] = []  # the objects around the position, outermost first
        self._values: dict[Path, Scalar] = {}
        self._key: str = ""
        self._text = bytearray()
        self._piece = b""
        self._depth = 0
        self._escapes = Escapes()
        self._units = FREE_UNITS
        self.trouble: Trouble | None = None

    def feed(self, data: bytes) -> None:
        """Read on; *data* may begin and end anywhere."""
        if self.trouble is not None:
            return
        readable = self._escapes.overwritten(data)
        self._piece, at = data, 0
        # The first step costs nothing: data cut into single bytes is no document's fault.
        self._units += len(data) + STEP_UNITS - _structure_units(readable)
        try:
            while at < len(data) and self.trouble is None:
                if self._units < 0:
                    self.trouble = Trouble.TOO_COSTLY
                    break
                self._units -= STEP_UNITS
                at = self._state(readable, at)
        except ValueError:
            self.trouble = Trouble.INVALID
        self._piece = b""

    # The states: each reads from a position and returns the position that it reached.

    def _value(self, data: bytes, at: int) -> int:
        at = _end_of(_SPACE if self._open else _AROUND_OBJECTS, data, at)
        if at == len(data):
            return at
        byte = data[at : at + 1]
        if byte == b'"':
            self._text.clear()
            self._state = self._string
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
        if found := _MEMBER.match(data, at):
            return self._member(found)
        at = _after_space(data, at)
        if at == len(data):
            return at
        byte = data[at : at + 1]
        if byte == b'"':
            self._text.clear()
            self._state = self._key_string
        elif byte == b"}":
            self._object_ends()
        elif byte != b",":
            raise ValueError("no key")
        return at + 1

    def _member(self, found: re.Match[bytes]) -> int:
        """Take a key, with its value if that is a scalar."""
        self._key_is(self._piece[found.start(1) : found.end(1)])
        group = found.lastindex
        if group == 1:
            self._state = self._value
            return found.end()
        is_wanted = self._wanted.include(self._path())
        start, end = found.span(group or 0)
        if not is_wanted:
            self._value_is(None)
        elif group == 2:  # noqa: PLR2004  the group of _MEMBER that is a string
            self._value_is(_decoded(self._piece[start : min(end, start + MAX_STRING_BYTES)]))
        else:
            self._value_is(_literal(found[3]))
        return found.end()

    def _colon(self, data: bytes, at: int) -> int:
        at = _after_space(data, at)
        if at < len(data) and data[at : at + 1] != b":":
            raise ValueError("no colon")
        self._state = self._value if at < len(data) else self._state
        return at + 1

    def _literal(self, data: bytes, at: int) -> int:
        end = _end_of(_LITERAL, data, at)
        self._hold(at, end)
        if end < len(data):
            self._value_is(_literal(self._text))
        return end

    def _string(self, data: bytes, at: int) -> int:
        end = self._end_of_string(data, at)
        if end < len(data):
            raw = bytes(self._text)
            self._value_is(_decoded(raw) if self._wanted.include(self._path()) else None)
        return end + 1

    def _key_string(self, data: bytes, at: int) -> int:
        end = self._end_of_string(data, at)
        if end < len(data):
            self._key_is(bytes(self._text))
            self._state = self._colon
        return end + 1

    def _skipped_string(self, data: bytes, at: int) -> int:
        end = data.find(b'"', at)
        if end < 0:
            return len(data)
        self._state = self._skipped
        return end + 1

    def _skipped(self, data: bytes, at: int) -> int:
        """Skip a container, one bracket at a time where it is deeply nested."""
        self._units += STEP_UNITS - SKIPPING_STEP_UNITS
        at = _end_of(_FLAT if self._depth else _SPACE, data, at)
        if at == len(data):
            return at
        byte = data[at : at + 1]
        if byte == b'"':
            self._state = self._skipped_string
        else:
            self._depth += 1 if byte in _OPENING else -1
            if self._depth == 0:
                self._state = self._key_or_end
            elif self._depth > MAX_DEPTH:
                self.trouble = Trouble.TOO_COSTLY
        return at + 1

    # What the states do with what they have read

    def _path(self) -> Path:
        return (*self._open[-1], self._key) if self._open else ()

    def _end_of_string(self, data: bytes, at: int) -> int:
        """Hold the string that goes on at *at*; return where it or *data* ends."""
        end = data.find(b'"', at)
        if end < 0:
            end = len(data)
        self._hold(at, end)
        return end

    def _hold(self, at: int, end: int) -> None:
        room = MAX_STRING_BYTES - len(self._text)
        if room > 0:
            self._text += self._piece[at : min(end, at + room)]

    def _key_is(self, raw: bytes) -> None:
        self._key = _decoded(raw) if len(raw) <= _MAX_KEY_BYTES else ""
        path = self._path()
        # An earlier key of the same name counts no more.
        for known in [known for known in self._values if known[: len(path)] == path]:
            del self._values[known]

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


def _structure_units(data: bytes) -> int:
    """Return what the quotes and brackets in *data* cost."""
    if len(data) < _COUNTED_BYTES:
        return 0
    brackets = data.count(b"{") + data.count(b"[")
    return QUOTE_UNITS * data.count(b'"') + BRACKET_UNITS * brackets


def _after_space(data: bytes, at: int) -> int:
    return _end_of(_SPACE, data, at)


def _end_of(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Return where *pattern*, which also matches the empty string, stops matching."""
    found = pattern.match(data, at)
    return found.end() if found else at


def _literal(raw: bytes | bytearray) -> Scalar:
    """Return a number, true, false or null; None if it is longer than any that is wanted.

    JSON does not bound the length of a number. Raises ValueError if it is no literal.
    """
    value: Scalar = json.loads(raw) if len(raw) <= _MAX_LITERAL_BYTES else None
    return value


def _decoded(raw: bytes) -> str:
    """Decode the bytes between two quotes; invalid UTF-8 is replaced."""
    text = raw.decode("utf-8", "replace")
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text  # cut within an escape, or an invalid escape

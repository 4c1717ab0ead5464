"""Reads chosen values out of JSON that streams past. Pure; holds nothing but those values.

What is not asked for is skipped at the speed of a regular expression, whatever its size, so a
tool call with a hundred megabytes of arguments costs no memory here.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

Path = tuple[str, ...]
Scalar = str | int | float | bool | None
Values = Mapping[Path, Scalar]
"""What was found in one top-level object. A container that was asked for is there as True."""

ANY: Final = "*"
"""As the first key of a wanted path it stands for any key."""
MAX_STRING_BYTES: Final = 16_384
"""More of a string than this is not held."""
MAX_VALUES: Final = 64
"""With a key that may be any, a hostile message could have us hold as many as it likes."""
_MAX_KEY_BYTES: Final = 256
_MAX_LITERAL_BYTES: Final = 64

_OPENING: Final = frozenset({b"{", b"["})
# At top level an array is a batch: its elements are read like objects that follow one another.
# A byte order mark is what some parsers pass over (RFC 8259, section 8.1), so it hides nothing.
_AROUND_OBJECTS: Final = frozenset({b"[", b"]", b",", b"\xef", b"\xbb", b"\xbf"})
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_LITERAL: Final = re.compile(rb"[-+.0-9A-Za-z]*")
_IN_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
"""Whatever stands in a string, up to the quote that ends it or half an escape."""
_FLAT: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
"""Whatever in a container is no bracket: text, and whole strings with the brackets in them."""


class JsonStream:
    """Calls back with the wanted values of each object at top level, or in an array there.

    As JSON parsers do, the last of several equal keys counts. What is no JSON ends the reading.
    """

    def __init__(self, wanted: frozenset[Path], found: Callable[[Values], None]) -> None:
        """Look for the paths *wanted* in each object, and call *found* when the object ends."""
        self._wanted = wanted
        self._on_the_way = frozenset(path[:end] for path in wanted for end in range(len(path)))
        self._has_any = any(path[0] == ANY for path in wanted)
        self._found = found
        self.reset()

    def reset(self) -> None:
        """Begin anew: what follows is another document."""
        self._state: Callable[[bytes, int], int] = self._value
        self._after_string: Callable[[bytes], None] = self._string_is
        self._open: list[Path] = []  # the objects that we are in, outermost first
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

    # What is read next: each takes where it stands and returns how far it came.

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
        if self._is_among(path, self._wanted):
            self._values[path] = True
        if byte == b"{" and self._is_among(path, self._on_the_way):
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
            # A number may have any length; one that long says nothing to us.
            is_short = len(self._text) <= _MAX_LITERAL_BYTES
            self._value_is(json.loads(self._text) if is_short else None)
        return end

    def _string(self, data: bytes, at: int) -> int:
        """Read a string up to its end, or up to the end of *data*."""
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
        """Skip a container. A string in it that *data* does not end is left to `_string`."""
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

    # What has been read

    def _path(self) -> Path:
        return (*self._open[-1], self._key) if self._open else ()

    def _is_among(self, path: Path, paths: frozenset[Path]) -> bool:
        return path in paths or (self._has_any and path != () and (ANY, *path[1:]) in paths)

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
        """Forget what an earlier key of the same name has said."""
        for known in [known for known in self._values if known[: len(path)] == path]:
            del self._values[known]

    def _string_is(self, raw: bytes) -> None:
        self._value_is(_decoded(raw) if self._is_among(self._path(), self._wanted) else None)

    def _value_is(self, value: Scalar) -> None:
        if self._open and self._is_among(self._path(), self._wanted):
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
    """Return where *pattern*, which matches anything, if only nothing, stops matching."""
    found = pattern.match(data, at)
    return found.end() if found else at


def _decoded(raw: bytes) -> str:
    """Return the string that the bytes between two quotes mean; broken UTF-8 is replaced."""
    text = raw.decode("utf-8", "replace")
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text  # cut within an escape, or an escape that JSON does not know

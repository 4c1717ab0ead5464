"""Header fields: validated as one block, and looked up without taking all of it apart. Pure.

Theory of operation. Two heads of one client differ, in path and ids at least, so a head is not
worth more than it must cost. One expression validates the block of fields; another finds those
that the sidecar acts on (FOUND_AT_ONCE). Any other field is found when it is asked for: the block
is then taken apart as a whole. A *canonical* block has exactly one space before each value and
none behind it; it may go on as the bytes that came.

Some clients and all servers repeat a block byte for byte. A parser remembers the last block it
has seen, and a block remembers what was derived from it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

FieldList = list[tuple[bytes, bytes]]
Derived = TypeVar("Derived")

TOKEN_BYTE: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
"""A byte of a method or of the name of a field (RFC 9110 section 5.6.2)."""
_NAME: Final = TOKEN_BYTE + b"+"
_VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*"
# RFC 9112 section 5: no obs-fold, no white space before the colon, no control bytes, CRLF alone.
_LINE: Final = rb"%b:%b" % (_NAME, _VALUE)
_FIELD_LINE: Final = re.compile(_LINE)
_BLOCK: Final = re.compile(rb"(?:\r\n%b)*+" % _LINE)
_CANONICAL: Final = re.compile(rb"(?:\r\n%b: (?![\t ])%b+(?<![\t ]))*+" % (_NAME, _VALUE))
_NONE: Final[Sequence[bytes]] = ()
_UNKNOWN: Final = object()

FOUND_AT_ONCE: Final = frozenset(
    {
        *(b"host", b"content-length", b"transfer-encoding", b"trailer"),
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"),
        *(b"http2-settings", b"forwarded"),
        *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"),
        *(b"authorization", b"user-agent", b"x-request-id", b"content-type"),
    }
)
"""The fields that the sidecar acts on in each message, in lower case: a matter of speed alone."""

MAX_REMEMBERED_BYTES: Final = 4_096
"""Of a head, in case it comes again on its connection."""


class MalformedFieldsError(ValueError):
    """The bytes are no header fields, or could be read as such in two ways."""


def any_name(names: Iterable[bytes]) -> bytes:
    """Return a pattern of one of *names* (lower case), in any case of its letters.

    Names with the same first letter share a branch, and each letter is a set of two: `re` tries
    such a pattern more quickly than one that ignores case.
    """
    by_letter: dict[bytes, list[bytes]] = {}
    for name in sorted(names):
        by_letter.setdefault(name[:1], []).append(name[1:])
    return b"|".join(
        b"%b(?:%b)" % (_any_case(letter), b"|".join(map(_any_case, rests)))
        for letter, rests in by_letter.items()
    )


def _any_case(text: bytes) -> bytes:
    letters = (text[at : at + 1] for at in range(len(text)))
    return b"".join(
        b"[%b%b]" % (each.upper(), each) if each.isalpha() else re.escape(each) for each in letters
    )


_FOUND: Final = re.compile(rb"\n(%b):[\t ]*([^\r]*)" % any_name(FOUND_AT_ONCE))


class Fields:
    """Header fields in their order, their names in their own case. Immutable."""

    __slots__ = ("_all", "_derived", "_first", "_pairs", "block", "is_canonical")

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self.block = b""
        """The lines as they came, each behind a CRLF; empty if made of pairs."""
        self.is_canonical = False
        """Whether `block` reads as these fields would be written by `field_lines`."""
        self._derived: dict[object, Any] = {}
        self._pairs: Sequence[tuple[bytes, bytes]] | None = tuple(pairs)
        self._all: dict[bytes, list[bytes]] | None = None
        self._first: dict[bytes, bytes] = {}
        """The first values of those in FOUND_AT_ONCE, unless `_all` holds everything."""
        self._take_apart()

    def _take_apart(self) -> dict[bytes, list[bytes]]:
        by_name: dict[bytes, list[bytes]] = {}
        for name, value in self:
            by_name.setdefault(name.lower(), []).append(value)
        self._all = by_name
        self._first = {name: values[0] for name, values in by_name.items()}
        return by_name

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield names and values as they were on the wire."""
        if self._pairs is None:
            parts = [line.partition(b":") for line in self.block.split(b"\r\n")[1:]]
            self._pairs = [(name, value.strip(b" \t")) for name, _, value in parts]
        return iter(self._pairs)

    def __len__(self) -> int:
        """Return how many fields there are."""
        return self.block.count(b"\n") if self._pairs is None else len(self._pairs)

    @property
    def with_lowered(self) -> Iterator[tuple[bytes, tuple[bytes, bytes]]]:
        """Yield each name in lower case, with the field as it was on the wire."""
        return ((field[0].lower(), field) for field in self)

    def first(self, name: bytes) -> bytes | None:
        """Return the first value of the field *name* (lower case), or None."""
        value = self._first.get(name)
        if value is None and self._all is None and name not in FOUND_AT_ONCE:
            self._take_apart()
            value = self._first.get(name)
        return value

    def all(self, name: bytes) -> Sequence[bytes]:
        """Return all values of the field *name* (lower case)."""
        if self._all is not None:
            return self._all.get(name, _NONE)
        if name in FOUND_AT_ONCE:
            value = self._first.get(name)
            return _NONE if value is None else (value,)
        return self._take_apart().get(name, _NONE)

    def has_any(self, names: frozenset[bytes]) -> bool:
        """Say whether there is a field of *names*, which are in FOUND_AT_ONCE."""
        return not names.isdisjoint(self._first)

    def derived(self, derive: "Callable[[Fields], Derived]") -> Derived:
        """Return *derive* of these fields, computed the first time only."""
        found: Derived = self._derived.get(derive, _UNKNOWN)
        if found is _UNKNOWN:
            self._derived[derive] = found = derive(self)
        return found


class FieldBlock(Fields):
    """The fields of a block of lines."""

    __slots__ = ()

    def __init__(self, block: bytes) -> None:
        """Read *block*, whose lines each follow a CRLF. Raises MalformedFieldsError."""
        self.is_canonical = _CANONICAL.fullmatch(block) is not None
        if not self.is_canonical and not _BLOCK.fullmatch(block):
            raise MalformedFieldsError("a header field is not `name: value`")
        self.block = block
        self._derived = {}
        self._pairs = self._all = None
        found = _FOUND.findall(block)
        self._first = {name.lower(): value for name, value in found}
        if len(self._first) < len(found) or not self.is_canonical:
            self._take_apart()


class FieldParser:
    """Parses the blocks of fields of one connection, in one direction."""

    def __init__(self) -> None:
        self._fields = Fields(())

    def parse(self, block: bytes) -> Fields:
        """Return the fields of *block*, as `FieldBlock` does."""
        if block == self._fields.block:
            return self._fields
        fields = FieldBlock(block)
        if len(block) <= MAX_REMEMBERED_BYTES:
            self._fields = fields
        return fields


def is_field_line(line: bytes) -> bool:
    """Say whether *line*, without its CRLF, is a header field."""
    return _FIELD_LINE.fullmatch(line) is not None


def field_lines(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return *fields* as they go over the wire (RFC 9112 section 5)."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])

"""Header fields: validated as one block, and looked up by their names. Pure.

Theory of operation. Two heads of one client differ, in path and ids at least, so a head is not
worth more than it must cost. One expression validates the block of fields, and one pass over its
lines notes the value of each name. A *canonical* block has exactly one space before each value and
none behind it: its lines are split at that space, and it may go on as the bytes that came. Pairs
of names and values in their order are made when they are asked for.

Some clients and all servers repeat a block byte for byte. A parser remembers the last block it
has seen.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

FieldList = list[tuple[bytes, bytes]]

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
_NO_OPTIONS: Final[frozenset[bytes]] = frozenset()
_KEEP_ALIVE: Final = frozenset({b"keep-alive"})

MAX_REMEMBERED_BYTES: Final = 4_096
"""Of a head, in case it comes again on its connection."""


class MalformedFieldsError(ValueError):
    """The bytes are no header fields, or could be read as such in two ways."""


class Fields:
    """Header fields in their order, their names in their own case. Immutable."""

    __slots__ = ("_pairs", "block", "by_name", "connection_options", "is_canonical", "repeated")

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self.block = b""
        """The lines as they came, each behind a CRLF; empty if made of pairs."""
        self.is_canonical = False
        """Whether `block` reads as these fields would be written by `field_lines`."""
        self._pairs: Sequence[tuple[bytes, bytes]] | None = tuple(pairs)
        self.by_name: dict[bytes, bytes] = {}
        """The first value of each name, in lower case."""
        self.repeated: dict[bytes, list[bytes]] = {}
        """All values of the names that came more than once."""
        self._note_all()
        self.connection_options = _options(self.all(b"connection"))
        """The options of all Connection fields, in lower case."""

    def _note_all(self) -> None:
        for name, value in self:
            lowered = name.lower()
            if lowered in self.by_name:
                self.repeated.setdefault(lowered, [self.by_name[lowered]]).append(value)
            else:
                self.by_name[lowered] = value

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
        return self.by_name.get(name)

    def all(self, name: bytes) -> Sequence[bytes]:
        """Return all values of the field *name* (lower case)."""
        if name in self.repeated:
            return self.repeated[name]
        value = self.by_name.get(name)
        return _NONE if value is None else (value,)

    def has_any(self, names: frozenset[bytes]) -> bool:
        """Say whether there is a field of *names*."""
        return not names.isdisjoint(self.by_name)


class FieldBlock(Fields):
    """The fields of a block of lines."""

    __slots__ = ()

    def __init__(self, block: bytes) -> None:
        """Read *block*, whose lines each follow a CRLF. Raises MalformedFieldsError."""
        self.is_canonical = _CANONICAL.fullmatch(block) is not None
        if not self.is_canonical and not _BLOCK.fullmatch(block):
            raise MalformedFieldsError("a header field is not `name: value`")
        self.block = block
        self._pairs = None
        self.repeated = {}
        self.by_name = by_name = {}
        lines = block.split(b"\r\n")[1:]
        if self.is_canonical:
            for line in lines:
                name, _, value = line.partition(b": ")
                by_name[name.lower()] = value
        if len(by_name) < len(lines):
            by_name.clear()
            self._note_all()
        named = b"connection" in by_name
        self.connection_options = _options(self.all(b"connection")) if named else _NO_OPTIONS


def _options(values: Sequence[bytes]) -> frozenset[bytes]:
    if not values:
        return _NO_OPTIONS
    if len(values) == 1 and values[0].lower() == b"keep-alive":  # most say this, or nothing
        return _KEEP_ALIVE
    return frozenset([option.strip().lower() for option in b",".join(values).split(b",")])


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


def with_field(lines: bytes, name: bytes, value: bytes) -> bytes:
    """Return *lines*, each with its CRLF, and with *value* in the field *name*.

    If that field is there, *value* becomes the last member of its first line: some readers of a
    list field look at no other line (RFC 9110 section 5.3 has them read all).
    """
    field = re.search(rb"(?im)^(%b:)[ \t]*([^\r]*?)[ \t]*(?=\r\n)" % re.escape(name), lines)
    if field is None:
        return b"%b%b: %b\r\n" % (lines, name, value)
    members = b"%b,%b" % (field[2], value) if field[2] else value
    return b"%b%b %b%b" % (lines[: field.start()], field[1], members, lines[field.end() :])

"""Header fields: parsed once, kept as they were on the wire. Pure.

Clients and servers repeat themselves: most heads on one connection carry the same bytes. A parser
therefore remembers the last block it has seen, and a block remembers what was derived from it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

FieldList = list[tuple[bytes, bytes]]
Derived = TypeVar("Derived")

FIELD_NAME: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# RFC 9112 section 5: no obs-fold, no white space before the colon, no control bytes, CRLF alone.
_LINE: Final = rb"%b:[\t\x20-\x7e\x80-\xff]*" % FIELD_NAME
_FIELD_LINE: Final = re.compile(_LINE)
_BLOCK: Final = re.compile(rb"(?:%b\r\n)*+" % _LINE)
_NONE: Final[Sequence[bytes]] = ()


MAX_REMEMBERED_BYTES: Final = 4_096
"""Of a head, in case it comes again on its connection."""


class MalformedFieldsError(ValueError):
    """The bytes are no header fields, or could be read as such in two ways."""


class Fields:
    """Header fields in their order, their names in their own case. Immutable."""

    __slots__ = ("_by_name", "_derived", "_lowered", "_pairs")

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._pairs = tuple(pairs)
        self._derived: dict[object, Any] = {}
        self._lowered = [name.lower() for name, _ in self._pairs]
        self._by_name: dict[bytes, list[bytes]] = {}
        by_name = self._by_name
        for lowered, (_, value) in zip(self._lowered, self._pairs, strict=True):
            if lowered in by_name:
                by_name[lowered].append(value)
            else:
                by_name[lowered] = [value]

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield names and values as they were on the wire."""
        return iter(self._pairs)

    def __len__(self) -> int:
        """Return how many fields there are."""
        return len(self._pairs)

    @property
    def with_lowered(self) -> Iterator[tuple[bytes, tuple[bytes, bytes]]]:
        """Yield each name in lower case, with the field as it was on the wire."""
        return zip(self._lowered, self._pairs, strict=True)

    def first(self, name: bytes) -> bytes | None:
        """Return the first value of the field *name* (lower case), or None."""
        values = self._by_name.get(name)
        return values[0] if values else None

    def all(self, name: bytes) -> Sequence[bytes]:
        """Return all values of the field *name* (lower case)."""
        return self._by_name.get(name, _NONE)

    def derived(self, derive: "Callable[[Fields], Derived]") -> Derived:
        """Return *derive* of these fields, computed the first time only."""
        known = self._derived
        if derive not in known:
            known[derive] = derive(self)
        derived: Derived = known[derive]
        return derived


class FieldParser:
    """Parses the blocks of fields of one connection, in one direction."""

    def __init__(self) -> None:
        self._block: bytes | None = None
        self._fields = Fields(())

    def parse(self, block: bytes) -> Fields:
        """Return what *block*, whose lines each end in CRLF, says. Raises MalformedFieldsError."""
        if block == self._block:
            return self._fields
        fields = parsed_fields(block)
        if len(block) <= MAX_REMEMBERED_BYTES:
            self._block, self._fields = block, fields
        return fields


def parsed_fields(block: bytes) -> Fields:
    """Return what *block*, whose lines each end in CRLF, says. Raises MalformedFieldsError."""
    if not _BLOCK.fullmatch(block):
        raise MalformedFieldsError("a header field is not `name: value`")
    parts = [line.partition(b":") for line in block.split(b"\r\n")[:-1]]
    return Fields([(name, value.strip(b" \t")) for name, _, value in parts])


def is_field_line(line: bytes) -> bool:
    """Say whether *line*, without its CRLF, is a header field."""
    return _FIELD_LINE.fullmatch(line) is not None


def field_lines(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return *fields* as they go over the wire (RFC 9112 section 5)."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])

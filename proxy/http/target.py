"""The request target: its path, whether that is audited, and its text in a record. Pure."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

_ABSOLUTE_FORM: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_SLASHES: Final = re.compile(rb"[/\\]+")


class AuditedPaths:
    """Decides by the request target whether a call is audited; in doubt it is."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        """Audit what lies under one of *prefixes*."""
        self._prefixes = tuple(prefix.encode() for prefix in prefixes)

    def cover(self, target: bytes) -> bool:
        """Say whether *target* is an audited path, however it was written.

        `/%61pi/v1`, `//api/v1`, `/x/../api/v1` and `http://host/api/v1` reach the same handlers as
        `/api/v1` behind one server or another, so each of them counts.
        """
        if target.startswith(self._prefixes):
            return True
        is_plain = not (b"%" in target or b"//" in target or b"/." in target or b"\\" in target)
        if is_plain and target.startswith(b"/"):
            return False
        decoded = unquote_to_bytes(path_of(target))
        return decoded.startswith(self._prefixes) or _resolved(decoded).startswith(self._prefixes)


def path_of(target: bytes) -> bytes:
    """Return the path of a request target, as it was on the wire, without authority and query."""
    if not target.startswith(b"/") and (absolute := _ABSOLUTE_FORM.match(target)):
        target = target[absolute.end() :] or b"/"
    return target.partition(b"?")[0]


def printable(value: bytes) -> str:
    """Return *value* as text that PostgreSQL and a terminal can hold.

    What is not valid UTF-8 or not printable is percent-encoded: NUL, control characters, and
    those that turn the direction of writing.
    """
    text = value.decode("utf-8", "surrogateescape")
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _percent_encoded(each) for each in text)


def _percent_encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def _resolved(path: bytes) -> bytes:
    """Return *path* with slashes merged and dot segments resolved (RFC 3986 section 5.2.4)."""
    kept: list[bytes] = []
    for segment in _SLASHES.split(path):
        if segment == b"..":
            del kept[-1:]
        elif segment not in {b"", b"."}:
            kept.append(segment)
    return b"/" + b"/".join(kept) + (b"/" if path.endswith((b"/", b"\\")) else b"")

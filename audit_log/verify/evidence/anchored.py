"""Checkpoints that are kept elsewhere: reads them from files, folders and URLs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import Request, urlopen

from audit_log.errors import SealFormatError
from audit_log.seal.note import Note

MOST_BYTES: Final = 64 << 20
"""Of one anchor: a checkpoint has 300 bytes, so that is two hundred thousand."""
_SECONDS: Final = 30.0
_NOTE: Final = re.compile(
    r"^[^\s]+\n[0-9]+\n[A-Za-z0-9+/]+=*\n\n(?:— [^\s]+ [A-Za-z0-9+/]+=*(?:\n|\Z))+",
    re.MULTILINE,
)


class AnchorUnreadableError(Exception):
    """An anchor cannot be read, or holds no checkpoint. The message says which and why."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """A checkpoint that is kept elsewhere. Parsed is not verified."""

    note: Note
    source: str
    """Where it was read."""
    at: datetime | None
    """When it was put there, as the file system or the server says."""


def read_anchor(place: str) -> list[Anchored]:
    """Return the checkpoints at *place*: a file, a folder of files, or an http(s) URL.

    Raise AnchorUnreadableError when it cannot be read, or has none.
    """
    if not place:
        raise AnchorUnreadableError("an anchor without a name: give --anchor a place")
    if re.match("https?://", place):
        found = _from_url(place)
    elif place.partition("://")[0].isalnum() and "://" in place and place[:7] != "file://":
        raise AnchorUnreadableError(
            f"{place}: an anchor is read from a file, a folder or an http(s) URL; "
            "download what another kind of anchor keeps"
        )
    else:
        found = _from_path(Path(place.removeprefix("file://")))
    if not found:
        raise AnchorUnreadableError(f"{place} holds no checkpoint")
    return found


def notes_in(text: str) -> Iterator[Note]:
    """Yield the signed checkpoints in *text*, whatever stands between them."""
    for match in _NOTE.finditer(text.replace("\r\n", "\n")):
        raw = match[0] if match[0].endswith("\n") else f"{match[0]}\n"
        try:
            yield Note.parse(raw)
        except SealFormatError:
            continue


def _from_path(path: Path) -> list[Anchored]:
    try:
        files = sorted(file for file in path.rglob("*") if file.is_file())
        found = []
        for file in files if path.is_dir() else [path]:
            with file.open("rb") as opened:
                text = opened.read(MOST_BYTES).decode(errors="replace")
            at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            found += [Anchored(note, str(file), at) for note in notes_in(text)]
    except OSError as error:
        raise AnchorUnreadableError(f"{path} cannot be read: {error.strerror}") from error
    return found


def _from_url(url: str) -> list[Anchored]:
    try:
        with urlopen(Request(url), timeout=_SECONDS) as response:  # noqa: S310 - http(s) alone
            text = response.read(MOST_BYTES).decode(errors="replace")
            modified = response.headers.get("Last-Modified")
    except (URLError, HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise AnchorUnreadableError(f"{url} cannot be read: {reason}") from error
    try:
        at = parsedate_to_datetime(modified) if modified else None
    except ValueError:
        at = None
    return [Anchored(note, url, at) for note in notes_in(text)]

"""The file of `--since`: up to where each log was verified. The next run reads the rest."""

import os
from base64 import b64decode, b64encode
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from audit_log.seal.encoding import HASH_BYTES
from audit_log.seal.keys import VerifierKey
from audit_log.seal.note import Note
from audit_log.verify.roots import TILE, Edge

SOURCE: Final = "the file of --since"
"""What its checkpoint is said to be kept in."""
Base64 = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9+/]*=*$")]


class BookmarkError(Exception):
    """The file cannot be read or written. The message says why, and what to do."""


class Bookmark(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where one log was verified, without a finding."""

    proved: Annotated[int, msgspec.Meta(ge=0)]
    edge: list[tuple[Annotated[int, msgspec.Meta(ge=8, le=63)], Base64]]
    """Level and hash of the complete subtrees before the open tile."""
    open: Base64
    """The leaves of the open tile, one behind the other."""
    note: str
    """The signed checkpoint of this size: from now on kept elsewhere."""
    seen_at: datetime
    arrived_at: datetime
    """What comes after it arrived later than this."""
    begun: int | None = None
    """When the log's first leaf was made, in Unix seconds."""
    newest: int = 0
    """When its newest leaf was made, in Unix seconds; 0 if that is not known."""
    unsealed: int = 0
    """How many of its lines were not sealed."""
    left: tuple[int, int] = (0, 0)
    """How many lines may have rows without a place, and until when they were made."""
    keys: list[str] = []
    """The keys that it has changed to, in turn."""
    kept: list[tuple[int, int | None]] = []
    """The retentions that it has signed: since when, and days."""

    @property
    def tree(self) -> Edge:
        """The edge before the open tile."""
        return Edge(tuple((level, b64decode(hash_)) for level, hash_ in self.edge))

    @property
    def leaves(self) -> bytes:
        """The leaves of the open tile."""
        return b64decode(self.open)

    def check(self) -> None:
        """Raise ValueError unless its parts are what they are said to be."""
        Note.parse(self.note)
        for key in self.keys:
            VerifierKey.parse(key)
        tree = self.tree
        sizes = [len(hash_) for _, hash_ in tree.parts] + [len(self.leaves) % HASH_BYTES or 32]
        levels = [level for level, _ in tree.parts]
        if set(sizes) != {HASH_BYTES} or levels != sorted(set(levels), reverse=True):
            raise ValueError("a hash is incomplete")
        if tree.size % TILE or tree.size + len(self.leaves) // HASH_BYTES != self.proved:
            raise ValueError("its parts do not belong together")


def encoded(edge: Edge, leaves: bytes) -> tuple[list[tuple[int, str]], str]:
    """Return *edge* and *leaves* as a bookmark has them."""
    parts = [(level, b64encode(hash_).decode()) for level, hash_ in edge.parts]
    return parts, b64encode(leaves).decode()


class Bookmarks(msgspec.Struct, frozen=True):
    """The file: a bookmark of each log, by its origin."""

    format: Literal["podwarden-audit verify 1"]
    logs: dict[str, Bookmark]


def read_bookmarks(path: Path) -> dict[str, Bookmark]:
    """Return the bookmarks in *path*; none if there is no such file yet."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BookmarkError(f"{path} cannot be read: {error.strerror}") from error
    try:
        bookmarks = msgspec.json.decode(data, type=Bookmarks)
        for bookmark in bookmarks.logs.values():
            bookmark.check()
    except ValueError as error:
        raise BookmarkError(
            f"{path} is no file of `verify --since` ({error}): remove it, and all is verified anew"
        ) from error
    return bookmarks.logs


def write_bookmarks(path: Path, logs: dict[str, Bookmark]) -> None:
    """Replace *path*: a run that is killed leaves the old file."""
    new = path.with_name(f"{path.name}.new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(Bookmarks("podwarden-audit verify 1", logs)))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise BookmarkError(f"{path} cannot be written: {error.strerror}") from error

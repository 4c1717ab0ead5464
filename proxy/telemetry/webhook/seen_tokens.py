"""The tokens that this sidecar has seen in use, kept between runs in a file of their ids."""

from contextlib import suppress
from pathlib import Path
from uuid import UUID


class SeenTokens:
    """The ids in a file, one per line. A torn line is ignored: that token is announced again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids: set[UUID] = set()
        """Of this run."""
        self._kept: frozenset[UUID] = frozenset()
        """Of earlier runs, once `load` has read them."""

    def load(self) -> None:
        """Read the file; one that cannot be read counts as empty. May wait for the disk."""
        kept = set()
        with suppress(OSError):
            for line in self._path.read_text("ascii", "replace").splitlines():
                with suppress(ValueError):
                    kept.add(UUID(line))
        self._kept = frozenset(kept)

    def is_new(self, token_id: UUID) -> bool:
        """Return whether *token_id* was not seen before, as far as known; note it as seen."""
        if token_id in self._ids or token_id in self._kept:
            return False
        self._ids.add(token_id)
        return True

    def is_kept(self, token_id: UUID) -> bool:
        """Return whether an earlier run has seen *token_id*."""
        return token_id in self._kept

    def keep(self, token_id: UUID) -> None:
        """Keep *token_id* for the next run. Raises OSError."""
        with self._path.open("a", encoding="ascii") as file:
            file.write(f"{token_id}\n")

"""The tokens that this sidecar has seen in use, kept between runs in a file of their ids."""

from contextlib import suppress
from pathlib import Path
from uuid import UUID


class SeenTokens:
    """The ids in a file, one per line. A torn line is ignored: that token is announced again."""

    def __init__(self, path: Path) -> None:
        """Read *path*; a file that cannot be read counts as empty."""
        self._path = path
        self._ids: set[UUID] = set()
        with suppress(OSError):
            for line in path.read_text("ascii", "replace").splitlines():
                with suppress(ValueError):
                    self._ids.add(UUID(line))

    def is_new(self, token_id: UUID) -> bool:
        """Return whether *token_id* was not seen before, and note it as seen."""
        if token_id in self._ids:
            return False
        self._ids.add(token_id)
        return True

    def keep(self, token_id: UUID) -> None:
        """Keep *token_id* for the next run. Raises OSError."""
        with self._path.open("a", encoding="ascii") as file:
            file.write(f"{token_id}\n")

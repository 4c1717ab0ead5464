"""Which tokens this sidecar has seen in use, from one run to the next: a file of their ids."""

from contextlib import suppress
from pathlib import Path
from uuid import UUID


class SeenTokens:
    """The ids in a file, one a line. A torn line is no id: that token is told of once more."""

    def __init__(self, path: Path) -> None:
        """Read *path*; what cannot be read is seen anew."""
        self._path = path
        self._ids: set[UUID] = set()
        with suppress(OSError):
            for line in path.read_text("ascii", "replace").splitlines():
                with suppress(ValueError):
                    self._ids.add(UUID(line))

    def is_new(self, token_id: UUID) -> bool:
        """Say whether *token_id* was never seen, and see it."""
        if token_id in self._ids:
            return False
        self._ids.add(token_id)
        return True

    def keep(self, token_id: UUID) -> None:
        """Remember *token_id* for the next run. Raises OSError."""
        with self._path.open("a", encoding="ascii") as file:
            file.write(f"{token_id}\n")

"""Where a sidecar keeps its journal, from one run to the next."""

import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.neighbours.journal import shared_memory
from tests.neighbours.services import Service, running_sidecar


@dataclass(frozen=True, slots=True)
class JournalHome:
    """The directories of one journal. Each run of a sidecar here goes on with it."""

    journal: Path
    ring: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PROXY_JOURNAL_DIR": str(self.journal),
            "PROXY_JOURNAL_RING_DIR": str(self.ring),
            "PROXY_INSTANCE": self.journal.parent.name,
        }

    @property
    def instance(self) -> str:
        """The name of the sidecar that lives here."""
        return self.environment["PROXY_INSTANCE"]

    def sidecar(
        self, upstream_url: str, database_url: str | None = None, **environment: str
    ) -> AbstractAsyncContextManager[Service]:
        """Run a sidecar with its journal here; see `running_sidecar`."""
        return running_sidecar(upstream_url, database_url, **self.environment | environment)


@contextmanager
def journal_home() -> Iterator[JournalHome]:
    """A home on disk and on tmpfs that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sidecar-") as directory, shared_memory() as ring:
        yield JournalHome(Path(directory) / "journal", ring)

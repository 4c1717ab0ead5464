"""The sidecar in the test's own loop: for tests that kill nothing and look at no process."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit_log.process.settings import AuditLogSettings
from proxy.service import serving
from proxy.settings import ProxySettings
from tests.neighbours.services import refusing_port


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Where a sidecar listens."""

    port: int
    ops_port: int
    hub_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ops_url(self) -> str:
        return f"http://127.0.0.1:{self.ops_port}"


@asynccontextmanager
async def serving_sidecar(
    upstream_url: str, database_url: str | None = None, **settings: Any
) -> AsyncIterator[Sidecar]:
    """Serve before *upstream_url*, with a journal of its own; without *database_url* it is away.

    *settings* are those of `ProxySettings`, by their names in the code.
    """
    with (
        tempfile.TemporaryDirectory(prefix="journal-") as journal,
        tempfile.TemporaryDirectory(prefix="journal-ring-") as ring,
        refusing_port() as nobody,
    ):
        url = database_url or f"postgresql://nobody@127.0.0.1:{nobody}/no"
        given = {
            "port": 0,
            "ops_port": 0,
            "journal_dir": Path(journal),
            "journal_ring_dir": Path(ring),
            **settings,
        }
        async with serving(
            AuditLogSettings(database_url=url), ProxySettings(upstream_url=upstream_url, **given)
        ) as addresses:
            hub_port = addresses.hub.port if addresses.hub else 0
            yield Sidecar(addresses.calls.port, addresses.ops.port, hub_port)

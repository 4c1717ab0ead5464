"""The sidecar in the test's own loop: for tests that kill nothing and look at no process."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio
from structlog.typing import EventDict

from audit_log.process.settings import AuditLogSettings
from proxy.journal import Parts, open_parts
from proxy.recorder.page import Page
from proxy.recorder.recording import limits_of, recording
from proxy.service import serving
from proxy.settings import ProxySettings
from tests.neighbours.in_loop import overhearing
from tests.neighbours.services import START_SECONDS, refusing_port
from tests.neighbours.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Where a sidecar listens, and what it logs."""

    port: int
    ops_port: int
    hub_port: int
    log: list[EventDict]
    """Its events, oldest first."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ops_url(self) -> str:
        return f"http://127.0.0.1:{self.ops_port}"

    async def logged(self, event: str) -> EventDict:
        """Return the first *event* of the log; wait until there is one."""
        try:
            async with asyncio.timeout(START_SECONDS):
                while not (found := [line for line in self.log if line["event"] == event]):
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise AssertionError(f"no {event} in:\n{self.report()}") from error
        return found[0]

    def report(self) -> str:
        """What it said, for the failure of a test."""
        return "\n".join(map(str, self.log))


def opened_journal(settings: ProxySettings) -> Parts:
    """Open the journal that *settings* name, as a sidecar does."""
    return open_parts(
        settings.journal_dir,
        settings.journal_ring_dir,
        limits_of(settings),
        "sidecar",
        settings.key_file_in(settings.journal_dir),
    )


@asynccontextmanager
async def serving_sidecar(
    upstream_url: str, database_url: str | None = None, **settings: Any
) -> AsyncIterator[Sidecar]:
    """Serve before *upstream_url*, with a journal of its own; without *database_url* it is away.

    *settings* are those of `ProxySettings`, by their names in the code. On leaving it must have
    logged events only, and must leave no task behind.
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
        shared = AuditLogSettings(database_url=url)
        its = ProxySettings(upstream_url=upstream_url, **given)
        async with overhearing() as log:
            parts, page = opened_journal(its), Page()
            async with (
                recording(shared, its, None, parts, page),
                serving(shared, its, parts, page) as addresses,
            ):
                hub_port = addresses.hub.port if addresses.hub else 0
                yield Sidecar(addresses.calls.port, addresses.ops.port, hub_port, log)


@pytest_asyncio.fixture
async def sidecar(upstream: Upstream) -> AsyncIterator[Sidecar]:
    """A sidecar with the default settings before `upstream`, PostgreSQL being away."""
    async with serving_sidecar(upstream.url) as sidecar:
        yield sidecar


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_sidecar(shared_upstream: Upstream) -> AsyncIterator[Sidecar]:
    """One sidecar for all tests of a module that run in the module's loop."""
    async with serving_sidecar(shared_upstream.url) as sidecar:
        yield sidecar

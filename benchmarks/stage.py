"""The stage: a directory of its own, the upstream, and what is started in front of it."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.contestants import Proxy, RunningProxy, running_proxy
from benchmarks.database import Database, running_database
from benchmarks.disk import Disk, mounted_disk
from benchmarks.process import CHECKOUT, PROXY_CORE, end_in_order
from benchmarks.sidecar import Sidecar, running_sidecar
from benchmarks.upstream import running_upstream

AUDIT_OFF: Final[Mapping[str, str]] = {"PROXY_AUDITED_PATHS": "/nothing-here/"}

OpenUpstream = Callable[[Path], AbstractContextManager[str]]
"""Runs an upstream with its files in a directory; gives its origin."""


class Stage:
    """Starts things, each under a name; all are ended when the stage is left."""

    def __init__(self, stack: ExitStack, upstream: OpenUpstream) -> None:
        """Start *upstream*; end things with *stack*."""
        self._stack = stack
        self.place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        """Where everything keeps its files, in directories named as it is."""
        self.place.chmod(0o711)  # PostgreSQL's account must enter it
        self.upstream = stack.enter_context(upstream(self.place / "upstream"))

    def database(self, name: str, *, gives_way: bool = False) -> Database:
        """Start PostgreSQL; see `running_database`."""
        running = running_database(self.place / name, gives_way=gives_way)
        return self._stack.enter_context(running)

    def disk(self) -> Disk:
        """Mount a disk that can be stalled."""
        return self._stack.enter_context(mounted_disk(self.place / "disk"))

    def sidecar(
        self,
        name: str,
        database_url: str,
        *,
        core: int | str = PROXY_CORE,
        build: Path | str = CHECKOUT,
        **settings: str,
    ) -> Sidecar:
        """Start a sidecar of *build* with *settings*, which are named as in its environment."""
        running = running_sidecar(
            self.place / name,
            upstream=self.upstream,
            database_url=database_url,
            core=core,
            build=build,
            **settings,
        )
        return self._stack.enter_context(running)

    def proxy(self, name: str, proxy: Proxy) -> RunningProxy:
        """Start another reverse proxy."""
        return self._stack.enter_context(running_proxy(proxy, self.place / name, self.upstream))


@contextmanager
def open_stage(upstream: OpenUpstream = running_upstream) -> Iterator[Stage]:
    """Yield a stage with *upstream* on it."""
    end_in_order()
    with ExitStack() as stack:
        yield Stage(stack, upstream)

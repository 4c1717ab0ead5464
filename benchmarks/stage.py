"""The stage: a directory of its own, the upstream, and what is started in front of it."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.contestants import Proxy, RunningProxy, running_proxy
from benchmarks.cpu_group import idle_group
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

    def __init__(
        self, stack: ExitStack, upstream: OpenUpstream, *, gives_way: bool = False
    ) -> None:
        """Start *upstream*; end things with *stack*.

        With *gives_way* what is not measured, and has a machine or a core of its own in earnest,
        uses the core of load and upstream only while they do not. It needs to be root. On a busy
        machine what gives way would get nothing done.
        """
        self._stack = stack
        self._group = stack.enter_context(idle_group()) if gives_way else None
        self.place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        """Where everything keeps its files, in directories named as it is."""
        self.place.chmod(0o711)  # PostgreSQL's account must enter it
        self.upstream = stack.enter_context(upstream(self.place / "upstream"))

    def database(self, name: str) -> Database:
        """Start PostgreSQL, which gives way."""
        database = self._stack.enter_context(running_database(self.place / name))
        self.give_way(database.server.pid)
        return database

    def give_way(self, pid: int) -> None:
        """Let *pid* and its descendants give way, if anything does on this stage."""
        if self._group is not None:
            self._group.take(pid)

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
def open_stage(
    upstream: OpenUpstream = running_upstream, *, gives_way: bool = False
) -> Iterator[Stage]:
    """Yield a stage with *upstream* on it; see `Stage` for *gives_way*."""
    end_in_order()
    with ExitStack() as stack:
        yield Stage(stack, upstream, gives_way=gives_way)

"""How the sidecar is. Decides from what its parts say of themselves; does no I/O."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import structlog

from audit_log.process.background import in_background
from audit_log.process.ops import Status

log = structlog.get_logger(__name__)

Problem = Callable[[], str | None]
"""Says what is wrong with a part, or None."""


@dataclass(slots=True)
class Health:
    """Gathers the parts' problems. That a background task has ended is a lasting one."""

    problems: list[Problem] = field(default_factory=list)
    is_accepting: bool = False
    """Set while the sidecar takes new calls."""
    _ended: list[str] = field(default_factory=list)

    def report(self) -> tuple[Status, list[str]]:
        """Return the status and its reasons. While calls flow it is ready: they come first."""
        reasons = [*self._ended, *filter(None, (problem() for problem in self.problems))]
        if not self.is_accepting:
            return Status.NOT_READY, ["no calls are accepted", *reasons]
        return (Status.DEGRADED if reasons else Status.READY), reasons

    @asynccontextmanager
    async def watched(
        self, work: Coroutine[object, object, None], name: str
    ) -> AsyncIterator[None]:
        """Run *work* beside the block as the task *name*; end it with the block.

        Work that ends before its time is reported ever after.
        """
        async with in_background(work, name, partial(self._note_end, name)):
            yield

    def _note_end(self, name: str, error: BaseException | None) -> None:
        log.critical("task.ended_early", task=name, error=repr(error))
        self._ended.append(f"{name} has ended")

"""How the sidecar is. Decides from what its parts say of themselves; does no I/O."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

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
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._note_end)
        try:
            yield
        finally:
            task.remove_done_callback(self._note_end)
            task.cancel()
            await asyncio.wait({task})

    def _note_end(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        log.critical("task.ended_early", task=task.get_name(), error=repr(error))
        self._ended.append(f"{task.get_name()} has ended")

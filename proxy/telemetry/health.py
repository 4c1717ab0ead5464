"""The health of the sidecar, gathered from its parts. Does no I/O."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import structlog

from audit_log.process.background import in_background
from audit_log.process.ops import Status

log = structlog.get_logger(__name__)

Problem = Callable[[], str | None]
"""Returns what is wrong with a part, or None."""


@dataclass(slots=True)
class Health:
    """Gathers the problems of the parts. A background task that has ended stays a problem."""

    problems: list[Problem] = field(default_factory=list)
    is_accepting: bool = False
    """Whether the sidecar accepts new calls."""
    others: Callable[[], list[str]] = list
    """Returns what is wrong with other workers."""
    _ended: list[str] = field(default_factory=list)

    def own_reasons(self) -> list[str]:
        """Return what is wrong with this sidecar."""
        return [*self._ended, *filter(None, (problem() for problem in self.problems))]

    def report(self) -> tuple[Status, list[str]]:
        """Return the status and its reasons.

        While calls are accepted, problems make it degraded and not "not ready": calls come first.
        """
        reasons = [*self.own_reasons(), *self.others()]
        if not self.is_accepting:
            return Status.NOT_READY, ["no calls are accepted", *reasons]
        return (Status.DEGRADED if reasons else Status.READY), reasons

    @asynccontextmanager
    async def watched(
        self, work: Coroutine[object, object, None], name: str
    ) -> AsyncIterator[None]:
        """Run *work* as the task *name* beside the block; cancel it at the block's end.

        If the task ends before the block, that is reported until the process ends.
        """
        async with in_background(work, name, partial(self._note_end, name)):
            yield

    def _note_end(self, name: str, error: BaseException | None) -> None:
        log.critical("task.ended_early", task=name, error=repr(error))
        self._ended.append(f"{name} has ended")

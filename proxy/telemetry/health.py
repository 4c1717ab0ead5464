"""The health of the sidecar, gathered from its parts. Does no I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from audit_log.process.background import BackgroundTasks
from audit_log.process.ops import Status

Problem = Callable[[], str | None]
"""Returns what is wrong with a part, or None."""


class Part(Protocol):
    """A part of the sidecar that says what is wrong with it."""

    @property
    def problem(self) -> str | None:
        """What the operator should look at, or None."""


def problem_of(part: Part) -> str | None:
    """Return what is wrong with *part*, or None."""
    return part.problem


@dataclass(slots=True)
class Health:
    """Gathers the problems of the parts, and of the background tasks."""

    problems: list[Problem] = field(default_factory=list)
    is_accepting: bool = False
    """Whether the sidecar accepts new calls."""
    recorder: Callable[[], Sequence[str]] = tuple
    """Returns what is wrong with the recorder."""
    others: Callable[[], list[str]] = list
    """Returns what is wrong with other workers."""
    tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    """All that run beside the calls, except threads."""

    def own_reasons(self) -> list[str]:
        """Return what is wrong with this sidecar."""
        own = filter(None, (problem() for problem in self.problems))
        return [*self.tasks.problems, *own, *self.recorder()]

    def report(self) -> tuple[Status, list[str]]:
        """Return the status and its reasons.

        While calls are accepted, problems make it degraded and not "not ready": calls come first.
        """
        reasons = [*self.own_reasons(), *self.others()]
        if not self.is_accepting:
            return Status.NOT_READY, ["no calls are accepted", *reasons]
        return (Status.DEGRADED if reasons else Status.READY), reasons

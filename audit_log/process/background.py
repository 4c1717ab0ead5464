"""Background tasks: each has a name and an owner, and is begun again when it fails.

Theory of operation. What a task expects to go wrong it handles itself. Any other exception is a
defect, or a reply that no library has foreseen. It ends one run of the task and not the task: the
failure is logged, and the work is begun again after a delay that doubles with each failure. A run
of `STEADY_SECONDS` ends such a series. A task with `FAILURES_OF_THE_DEAD` failures in one series
cannot live: it is still begun again, but `/healthz` fails, so that an orchestrator replaces the
process.
"""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import structlog

STEADY_SECONDS: Final = 30.0
LONGEST_DELAY_SECONDS: Final = 30.0
FAILURES_OF_THE_DEAD: Final = 8
"""With the delays about two minutes: a fault that passes must not end a process."""
Begin = Callable[[], Coroutine[object, object, object]]
"""Begins the work of a task; called again after each failure."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Series:
    """The failures of one task that follow closely on one another."""

    failures: int = 0
    error: str = ""
    """Of the last failure."""
    run_began: float = 0.0
    """When the present run began, or will begin."""

    @property
    def goes_on(self) -> bool:
        return self.failures > 0 and monotonic() - self.run_began < STEADY_SECONDS


@dataclass(slots=True)
class BackgroundTasks:
    """The background tasks of one process, and what is wrong with them."""

    first_delay_seconds: float = 1.0
    _series: dict[str, _Series] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """Which tasks have failed and are begun again, each with its last error."""
        return [
            f"{name} has failed and is begun again: {series.error}"
            for name, series in self._series.items()
            if series.goes_on
        ]

    @property
    def dead(self) -> list[str]:
        """Which tasks cannot live, each with its last error."""
        return [
            f"{name} has failed {series.failures} times in succession: {series.error}"
            for name, series in self._series.items()
            if series.goes_on and series.failures >= FAILURES_OF_THE_DEAD
        ]

    def is_failing(self, name: str) -> bool:
        """Return whether the task *name* has failed and has not run steadily since."""
        series = self._series.get(name)
        return series is not None and series.goes_on

    @asynccontextmanager
    async def running(self, begin: Begin, name: str) -> AsyncIterator[asyncio.Task[None]]:
        """Run the work of *begin* as the task *name* beside the block; cancel it at its end.

        The task ends before the block only if the work returns.
        """
        task = asyncio.create_task(self._keep_running(begin, name), name=name)
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _keep_running(self, begin: Begin, name: str) -> None:
        series = self._series[name] = _Series(run_began=monotonic())
        while True:
            try:
                await begin()
            except asyncio.CancelledError as error:
                # A library may raise it although nothing has cancelled this task.
                if _is_cancelled():
                    raise
                failure: BaseException = error
            except Exception as error:  # noqa: BLE001  the task must go on, whatever it is
                failure = _first_of(error)
            else:
                return
            delay = self._noted(series, name, failure)
            if _is_cancelled():  # it failed while it was cancelled
                return
            await asyncio.sleep(delay)

    def _noted(self, series: _Series, name: str, failure: BaseException) -> float:
        """Note and log *failure*; return the seconds until the work is begun again."""
        series.failures = series.failures + 1 if series.goes_on else 1
        series.error = repr(failure)
        delay = min(self.first_delay_seconds * 2.0 ** (series.failures - 1), LONGEST_DELAY_SECONDS)
        series.run_began = monotonic() + delay
        log.error(
            "task.failed",
            task=name,
            error=series.error,
            where=where_raised(failure),
            again_in_seconds=delay,
        )
        return delay


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _first_of(error: BaseException) -> BaseException:
    """Return the error that a task group has wrapped, however deep."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def where_raised(error: BaseException) -> str | None:
    """Return where *error* was raised: one line for the operator in place of a traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None

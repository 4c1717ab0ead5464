"""What a service in the test's own loop may leave behind: events, and nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import CoroutineType
from typing import Any, Final

from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.neighbours.program import CHECKOUT

_OURS: Final = tuple(f"{CHECKOUT / package}/" for package in ("audit_log", "audit_api", "proxy"))

_LIBRARIES: Final = {"aiohttp", "asyncio", "asyncpg", "nats"}
_CUT_SHORT: Final = "Resetting connection with an active transaction"


class _Libraries(logging.Handler):
    """Collects the complaints of what a service is made with; a test has other libraries too."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._complaints = complaints
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] in _LIBRARIES:
            self._complaints.append(self.format(record))


@asynccontextmanager
async def overhearing() -> AsyncIterator[list[EventDict]]:
    """Yield the events that are logged meanwhile, oldest first; fail if there was worse.

    As a process must log events only and exit with 0: no event may carry a traceback, nothing may
    reach the loop's exception handler or a library's log, and no task of a service may be left.
    """
    loop = asyncio.get_running_loop()
    complaints: list[str] = []
    libraries = _Libraries(complaints)
    earlier_tasks, earlier_handler = asyncio.all_tasks(), loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: complaints.extend(_defects(context)))
    logging.getLogger().addHandler(libraries)
    try:
        with capture_logs() as log:
            yield log
    finally:
        logging.getLogger().removeHandler(libraries)
        loop.set_exception_handler(earlier_handler)
    complaints += [f"a traceback: {event}" for event in log if event.get("exc_info")]
    complaints += [
        f"left: {task}" for task in asyncio.all_tasks() - earlier_tasks if _is_ours(task)
    ]
    assert complaints == [], "\n".join([*complaints, *map(str, log)])


def _defects(context: dict[str, Any]) -> list[str]:
    # asyncpg mentions a transaction that a stop has cut short; it rolls it back.
    is_told = "exception" not in context and context["message"].startswith(_CUT_SHORT)
    return [] if is_told else [f"the loop: {context}"]


def _is_ours(task: asyncio.Task[Any]) -> bool:
    coroutine = task.get_coro()
    return isinstance(coroutine, CoroutineType) and coroutine.cr_code.co_filename.startswith(_OURS)

"""A task that runs beside a block: it has a name, an owner and an end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

EndedEarly = Callable[[BaseException | None], object]
"""Is told the error of work that failed; None if the work returned, or was cancelled."""


@asynccontextmanager
async def in_background(
    work: Coroutine[object, object, object], name: str, ended_early: EndedEarly
) -> AsyncIterator[asyncio.Task[object]]:
    """Run *work* as the task *name* beside the block; cancel and await it at the block's end.

    *ended_early* is called once if *work* ends before the block does, and also if *work* fails
    while it is being cancelled. It runs in the event loop and must not raise.
    """
    is_over = False

    def note_end(task: asyncio.Task[object]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None or not is_over:
            ended_early(error)

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(note_end)
    try:
        yield task
    finally:
        is_over = True
        task.cancel()
        await asyncio.wait({task})

"""Brings checkpoints to anchors: a task for each, and the newest checkpoint instead of a queue.

An offer never waits, and replaces the one before it of the same log. So an anchor that is away
costs the memory of one checkpoint and an attempt in five minutes. When it is back it gets the
newest, which covers all before it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import monotonic
from typing import Final

import structlog

from audit_log.process.background import BackgroundTasks
from audit_log.process.changes import LoggedState
from proxy.seal.anchors.anchor import (
    Anchor,
    AnchorAwayError,
    AnchorRefusedError,
    Offer,
    Receipt,
)
from proxy.seal.anchors.backlog import Backlog

ATTEMPT_SECONDS: Final = 30.0
"""How long one attempt may take."""
DRAIN_SECONDS: Final = 2.0
"""How long the stop waits for anchors to take the last checkpoint."""
LATE_SECONDS: Final = 300.0
"""How long a checkpoint may be overdue before `/readyz` tells it."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Keep = Callable[[Receipt], Awaitable[None]]
"""Stores a receipt, patiently: it raises nothing."""


class AnchorTask:
    """One anchor: what waits for it, and how it is."""

    def __init__(
        self,
        anchor: Anchor,
        name: str,
        every_seconds: float,
        keep: Keep,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.name: Final = name
        self.every_seconds: Final = every_seconds
        self.anchored = 0
        """How many checkpoints it has taken."""
        self.failed = 0
        """How many attempts have failed."""
        self._anchor = anchor
        self._keep = keep
        self._clock = clock
        self._logs: dict[str, Backlog] = {}
        self._offered = asyncio.Event()
        self._settled = asyncio.Event()
        self._state = LoggedState(log, fails="anchor.failed", works="anchor.works_again")

    def offer(self, offer: Offer) -> None:
        """Keep *offer* for the anchor, in place of an older one of the same log."""
        now = self._clock()
        backlog = self._logs.setdefault(
            offer.checkpoint.origin, Backlog(self.every_seconds, due_at=now)
        )
        backlog.take_in(offer, now)
        self._offered.set()

    @property
    def lag_seconds(self) -> float:
        """How long ago the first checkpoint was offered that the anchor lacks; 0 if it has all."""
        now = self._clock()
        return max((backlog.lag_seconds(now) for backlog in self._logs.values()), default=0.0)

    @property
    def reason(self) -> str | None:
        """Why the last attempt has failed, or None."""
        return self._state.reason

    @property
    def problem(self) -> str | None:
        """What the operator should look at: a refusal at once, silence after a while."""
        for backlog in self._logs.values():
            if backlog.refusal is not None:
                return f"the anchor {self.name} refuses a checkpoint: {backlog.refusal}"
        lag = self.lag_seconds
        if lag <= self.every_seconds + LATE_SECONDS:
            return None
        reason = self.reason or "no attempt has ended"
        return f"the anchor {self.name} lacks all checkpoints of the last {lag:.0f} s: {reason}"

    async def run(self) -> None:
        """Bring to the anchor what is offered, until cancelled."""
        while True:
            backlog = await self._due()
            if (offer := backlog.begin()) is not None:
                await self._attempt(offer, backlog)
                self._settled.set()

    async def drain(self) -> None:
        """Return when the anchor has all that it can get without a retry."""
        now = self._clock()
        for backlog in self._logs.values():
            backlog.hurry(now)
        self._offered.set()
        while any(backlog.is_hurried for backlog in self._logs.values()):
            self._settled.clear()
            await self._settled.wait()

    async def close(self) -> None:
        """Close the anchor's connections."""
        await self._anchor.close()

    async def _due(self) -> Backlog:
        """Return the log whose turn it is, when it is due."""
        while True:
            self._offered.clear()
            waiting = [backlog for backlog in self._logs.values() if backlog.newest is not None]
            first = min(waiting, key=lambda backlog: backlog.due_at, default=None)
            delay = None if first is None else first.due_at - self._clock()
            if first is not None and delay is not None and delay <= 0:
                return first
            # Another log may be offered meanwhile, and be due sooner.
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._offered.wait()

    async def _attempt(self, offer: Offer, backlog: Backlog) -> None:
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                anchored = await self._anchor.anchor(offer)
        except TimeoutError:
            self._note_away(backlog, f"no response within {ATTEMPT_SECONDS:.0f} s")
            return
        except AnchorAwayError as error:
            self._note_away(backlog, str(error))
            return
        except AnchorRefusedError as error:
            self.failed += 1
            backlog.refused(str(error), self._clock())
            self._state.note(str(error), kind="refused", anchor=self.name)
            return
        self.anchored += 1
        backlog.succeeded(self._clock())
        self._state.note(None, anchor=self.name)
        if anchored is not None:
            size = offer.checkpoint.size
            await self._keep(Receipt(offer.log, size, self.name, anchored.receipt, anchored.at))

    def _note_away(self, backlog: Backlog, reason: str) -> None:
        self.failed += 1
        backlog.failed(self._clock())
        self._state.note(reason, kind="away", anchor=self.name)


class Anchors:
    """All anchors of a sidecar."""

    def __init__(self, tasks: Sequence[AnchorTask]) -> None:
        self.tasks: Final = tasks
        # Not those of the recorder: a defect in one anchor must not end it.
        self._background = BackgroundTasks()

    def offer(self, offer: Offer) -> None:
        """Offer a checkpoint to each anchor. Never waits."""
        for task in self.tasks:
            task.offer(offer)

    @property
    def problem(self) -> str | None:
        """What the operator should look at, or None."""
        own = [task.problem for task in self.tasks]
        return "; ".join([*filter(None, own), *self._background.problems]) or None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Bring checkpoints to the anchors beside the block, and the last ones at its end."""
        async with AsyncExitStack() as stack:
            for task in self.tasks:
                stack.push_async_callback(task.close)
                _ = await stack.enter_async_context(
                    self._background.running(task.run, f"anchor {task.name}")
                )
            try:
                yield
            finally:
                await self._drained()

    async def _drained(self) -> None:
        """Bring the last checkpoints there; being cancelled does not shorten it.

        Of a journal that is drained there will be no later checkpoint.
        """
        draining = asyncio.create_task(self._drain(), name="anchors-drain")
        try:
            await asyncio.shield(draining)
        except asyncio.CancelledError:
            await draining
            raise

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                _ = await asyncio.gather(*(task.drain() for task in self.tasks))

"""Anchors in the test's own loop, without a sidecar: what is offered, and what comes of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.seal.anchors.anchor import Offer, Receipt
from proxy.seal.anchors.anchors import Anchors
from proxy.seal.anchors.opening import make_anchors
from tests.neighbours.in_loop import overhearing
from tests.neighbours.patience import PATIENCE_SECONDS, eventually


class Anchoring:
    """Anchors that run, and the receipts that they gave, oldest first."""

    def __init__(self, anchors: Anchors, receipts: "asyncio.Queue[Receipt]") -> None:
        self.anchors = anchors
        self._receipts = receipts

    async def receipt_of(self, offer: Offer) -> Receipt:
        """Offer a checkpoint; return the next receipt."""
        self.anchors.offer(offer)
        return await self.receipt()

    @property
    def receipts(self) -> int:
        """How many receipts were not taken by the test."""
        return self._receipts.qsize()

    async def receipt(self) -> Receipt:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._receipts.get()
        except TimeoutError:
            reasons = [task.reason for task in self.anchors.tasks]
            raise AssertionError(f"no receipt: {reasons}, {self.anchors.problem}") from None

    async def problem(self) -> str:
        """Return the problem of the anchors, as soon as there is one."""

        async def look() -> str | None:
            return self.anchors.problem

        return await eventually(look)

    async def reason(self) -> str:
        """Return why the last attempt of the one anchor failed, as soon as one has."""

        async def look() -> str | None:
            return self.anchors.tasks[0].reason

        return await eventually(look)


@asynccontextmanager
async def anchoring(urls: str | None, journal_dir: Path = Path()) -> AsyncIterator[Anchoring]:
    """Run the anchors of the setting *urls*."""
    receipts: asyncio.Queue[Receipt] = asyncio.Queue()
    anchors = make_anchors(urls, journal_dir, receipts.put)
    async with overhearing(), anchors.running():
        yield Anchoring(anchors, receipts)

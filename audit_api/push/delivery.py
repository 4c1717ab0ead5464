"""Brings items to one receiver, with patience, and keeps aside what it refuses."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import structlog

from audit_api.client.refusals import AuditApiError
from audit_api.push.items import (
    Item,
    ItemsRefusedError,
    Receiver,
    ReceiverAwayError,
    a_test,
)
from audit_log.process.changes import LoggedState
from audit_log.process.mark_file import MarkFileError

FIRST_SECONDS: Final = 0.2
MOST_SECONDS: Final = 15.0
"""How long to wait before the next attempt: at first, and at most."""
Result = TypeVar("Result")
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Delivery:
    """The way to one receiver of items of one kind, or of one rule, and what became of them."""

    def __init__(self, receiver: Receiver, kind: str, aside: Path) -> None:
        """Keep what *receiver* refuses in the file *aside*."""
        self.name = receiver.name
        self.kind = kind
        self._receiver = receiver
        self._aside = aside
        self._log = log.bind(receiver=self.name, kind=kind)
        self._state = LoggedState(self._log, fails="push.stalled", works="push.resumed")
        self.taken = 0
        self.quarantined = 0
        self._waiting_since: datetime | None = None

    @property
    def problem(self) -> str | None:
        """Why nothing is delivered at the moment, or None."""
        return self._state.reason

    @property
    def lag_seconds(self) -> float:
        """The age of the oldest item that is read and not taken; 0 without one."""
        since = self._waiting_since
        return 0.0 if since is None else max((datetime.now(UTC) - since).total_seconds(), 0.0)

    def note(self, problem: str | None) -> None:
        """Take in why nothing is delivered, or None."""
        self._state.note(problem)

    async def patiently(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Return what *attempt* returns, as soon as the log can be read and files be written."""
        delay = FIRST_SECONDS
        while True:
            try:
                return await attempt()
            except AuditApiError as error:
                self.note(f"the audit log cannot be read: {error}")
            except MarkFileError as error:
                self.note(str(error))
            await asyncio.sleep(delay)
            delay = min(2 * delay, MOST_SECONDS)

    async def deliver(self, items: Sequence[Item]) -> None:
        """Return when each of *items* is taken or quarantined."""
        delay = FIRST_SECONDS
        while items:
            self._waiting_since = _arrival(items[0])
            refused = await self._send(items)
            if not refused:
                break
            # While the receiver takes nothing at all, no item is to blame.
            if len(refused) < len(items) or await self._takes_anything(refused[0][1]):
                for item, error in refused:
                    self._put_aside(item, error)
                break
            await asyncio.sleep(delay)
            delay = min(2 * delay, MOST_SECONDS)
            items = [item for item, _ in refused]
        self._waiting_since = None

    async def _send(self, items: Sequence[Item]) -> list[tuple[Item, ItemsRefusedError]]:
        """Send *items* in order, with patience; return those that the receiver refuses."""
        pieces, refused = deque([items]), list[tuple[Item, ItemsRefusedError]]()
        delay = FIRST_SECONDS
        while pieces:
            piece = pieces.popleft()
            try:
                await self._receiver.send(piece)
            except ReceiverAwayError as error:
                pieces.appendleft(piece)
                self.note(f"{self.name} is away: {error}")
                await asyncio.sleep(max(delay, error.retry_seconds))
                delay = min(2 * delay, MOST_SECONDS)
            except ItemsRefusedError as error:
                middle = len(piece) // 2
                if middle:
                    pieces.extendleft([piece[middle:], piece[:middle]])
                else:
                    refused.append((piece[0], error))
            else:
                delay = FIRST_SECONDS
                self.taken += len(piece)
                self.note(None)
        return refused

    async def _takes_anything(self, refusal: ItemsRefusedError) -> bool:
        try:
            await self._receiver.send([a_test()])
        except (ReceiverAwayError, ItemsRefusedError):
            self.note(f"{self.name} refuses everything: {refusal}")
            return False
        return True

    def _put_aside(self, item: Item, error: ItemsRefusedError) -> None:
        """Keep *item*, which the receiver refuses, in a readable file beside the mark."""
        line = msgspec.json.encode({"reason": str(error), "refused": item.told})
        with self._aside.open("ab") as kept:
            kept.write(line + b"\n")
        self.quarantined += 1
        self._log.error(
            "push.item_quarantined",
            id=item.told.get("id"),
            reason=str(error),
            path=str(self._aside),
        )


def _arrival(item: Item) -> datetime:
    arrived = item.told.get("arrived_at")
    return datetime.fromisoformat(arrived) if arrived else item.moment

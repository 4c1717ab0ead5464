"""Brings the log to one receiver: part after part, each taken before its mark is kept."""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from audit_api.client.audit_client import TOOL_CALLS, AuditClient, Filters
from audit_api.client.refusals import AuditApiError
from audit_api.push.items import (
    ENTRY,
    TOOL_CALL,
    Item,
    ItemsRefusedError,
    Receiver,
    ReceiverAwayError,
    a_test,
    items_of,
)
from audit_log.process.changes import LoggedState
from audit_log.process.mark_file import Kept, MarkFile, MarkFileError

_PART: Final = 500
_PLACES: Final = {ENTRY: "", TOOL_CALL: TOOL_CALLS}
_LOOK_SECONDS: Final = 1.0
_FIRST_SECONDS: Final = 0.2
_MOST_SECONDS: Final = 15.0
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Pusher:
    """Pushes to one receiver until it is cancelled."""

    def __init__(
        self,
        client: AuditClient,
        receiver: Receiver,
        kind: str,
        marks: MarkFile,
        filters: Filters,
    ) -> None:
        """Push what is of *kind*, entries or tool calls, and matches *filters*."""
        self.name = receiver.name
        self.kind = kind
        self._client = client
        self._receiver = receiver
        self._marks = marks
        self._filters: Filters = {"format": "ndjson", **filters}
        self._state = LoggedState(log, fails="push.stalled", works="push.resumed")
        self.problem: str | None = None
        """Why nothing is pushed at the moment, or None."""
        self.taken = 0
        self.quarantined = 0
        self._waiting_since: datetime | None = None

    @property
    def lag_seconds(self) -> float:
        """The age of the oldest item that is read and not taken; 0 without one."""
        since = self._waiting_since
        return 0.0 if since is None else max((datetime.now(UTC) - since).total_seconds(), 0.0)

    async def run(self) -> None:
        """Push for ever."""
        kept = self._marks.read()
        mark = None if kept is None else kept.mark
        delay = _FIRST_SECONDS
        while True:
            try:
                part = await self._client.part(self._filters, mark, _PART, _PLACES[self.kind])
            except AuditApiError as error:
                self._note(f"the audit log cannot be read: {error}")
                await asyncio.sleep(delay)
                delay = min(2 * delay, _MOST_SECONDS)
                continue
            delay = _FIRST_SECONDS
            await self._deliver(items_of(part.body, self.kind))
            if part.mark != mark:
                await self._keep(part.mark)
                mark = part.mark
            self._note(None)
            if not part.has_more:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _deliver(self, items: Sequence[Item]) -> None:
        """Return when each of *items* is taken or quarantined."""
        delay = _FIRST_SECONDS
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
            delay = min(2 * delay, _MOST_SECONDS)
            items = [item for item, _ in refused]
        self._waiting_since = None

    async def _send(self, items: Sequence[Item]) -> list[tuple[Item, ItemsRefusedError]]:
        """Send *items* in order, with patience; return those that the receiver refuses."""
        pieces, refused = deque([items]), list[tuple[Item, ItemsRefusedError]]()
        delay = _FIRST_SECONDS
        while pieces:
            piece = pieces.popleft()
            try:
                await self._receiver.send(piece)
            except ReceiverAwayError as error:
                pieces.appendleft(piece)
                self._note(f"{self.name} is away: {error}")
                await asyncio.sleep(max(delay, error.retry_seconds))
                delay = min(2 * delay, _MOST_SECONDS)
            except ItemsRefusedError as error:
                middle = len(piece) // 2
                if middle:
                    pieces.extendleft([piece[middle:], piece[:middle]])
                else:
                    refused.append((piece[0], error))
            else:
                delay = _FIRST_SECONDS
                self.taken += len(piece)
                self._note(None)
        return refused

    async def _takes_anything(self, refusal: ItemsRefusedError) -> bool:
        try:
            await self._receiver.send([a_test()])
        except (ReceiverAwayError, ItemsRefusedError):
            self._note(f"{self.name} refuses everything: {refusal}")
            return False
        return True

    def _put_aside(self, item: Item, error: ItemsRefusedError) -> None:
        """Keep *item*, which the receiver refuses, in a readable file beside the mark."""
        line = msgspec.json.encode({"reason": str(error), "refused": item.told})
        path = self._marks.path.with_suffix(".refused.ndjson")
        with path.open("ab") as kept:
            kept.write(line + b"\n")
        self.quarantined += 1
        log.error(
            "push.item_quarantined",
            receiver=self.name,
            kind=self.kind,
            id=item.told.get("id"),
            reason=str(error),
            path=str(path),
        )

    async def _keep(self, mark: str) -> None:
        delay = _FIRST_SECONDS
        while True:
            try:
                await asyncio.to_thread(self._marks.keep, Kept(mark))
            except MarkFileError as error:
                self._note(str(error))
                await asyncio.sleep(delay)
                delay = min(2 * delay, _MOST_SECONDS)
            else:
                return

    def _note(self, problem: str | None) -> None:
        self.problem = problem
        self._state.note(problem)


def _arrival(item: Item) -> datetime:
    arrived = item.told.get("arrived_at")
    return datetime.fromisoformat(arrived) if arrived else item.moment

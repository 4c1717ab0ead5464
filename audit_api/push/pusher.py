"""Brings the log to one receiver: part after part, each taken before its mark is kept."""

import asyncio
from functools import partial
from typing import Final

from audit_api.client.asking import Filters
from audit_api.client.audit_client import TOOL_CALLS, AuditClient
from audit_api.push.delivery import Delivery
from audit_api.push.items import ENTRY, TOOL_CALL, items_of
from audit_log.process.mark_file import Kept, MarkFile

_PART: Final = 500
_PLACES: Final = {ENTRY: "", TOOL_CALL: TOOL_CALLS}
_LOOK_SECONDS: Final = 1.0


class Pusher:
    """Pushes to one receiver until it is cancelled."""

    def __init__(
        self, client: AuditClient, delivery: Delivery, marks: MarkFile, filters: Filters
    ) -> None:
        """Push what is of the kind of *delivery*, entries or tool calls, and matches *filters*."""
        self.delivery = delivery
        self._client = client
        self._marks = marks
        self._filters: Filters = {"format": "ndjson", **filters}

    async def run(self) -> None:
        """Push for ever."""
        kept = self._marks.read()
        mark = None if kept is None else kept.mark
        kind, patiently = self.delivery.kind, self.delivery.patiently
        while True:
            part = await patiently(
                partial(self._client.part, self._filters, mark, _PART, _PLACES[kind])
            )
            await self.delivery.deliver(items_of(part.body, kind))
            if part.mark != mark:
                await patiently(partial(asyncio.to_thread, self._marks.keep, Kept(part.mark)))
                mark = part.mark
            self.delivery.note(None)
            if not part.has_more:
                await asyncio.sleep(_LOOK_SECONDS)

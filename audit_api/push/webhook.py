"""The webhook of rules: one request for each event, signed, under an id that repetitions share."""

import time
from collections.abc import Sequence
from typing import Final
from uuid import uuid4

import msgspec
from aiohttp import ClientSession

from audit_api.push.http_receiver import posted
from audit_api.push.items import RULE, TEST, Item
from audit_log.webhooks import signed_fields

_NOT_DATA: Final = frozenset({"id", "created_at"})
_TYPES: Final = {RULE: "rule.fired", TEST: "push.test"}


class Webhook:
    """A receiver of events."""

    name: Final = "webhook"

    def __init__(self, session: ClientSession, url: str, key: bytes) -> None:
        """Send to *url*, all of it, through *session*, signed with *key*."""
        self._session = session
        self._url = url
        self._key = key

    async def send(self, items: Sequence[Item]) -> None:
        """Return when the receiver has responded to each of *items* that it has it.

        Raises ReceiverAwayError, or ItemsRefusedError.
        """
        for item in items:
            event_id = str(item.told.get("id") or uuid4())
            body = body_of(item)
            fields = signed_fields(event_id, body, self._key, int(time.time()))
            await posted(self._session, self._url, body, fields)


def body_of(item: Item) -> bytes:
    """Return the event that tells of *item*: the same bytes each time."""
    data = {name: value for name, value in item.told.items() if name not in _NOT_DATA}
    return msgspec.json.encode(
        {"type": _TYPES[item.kind], "timestamp": item.moment.isoformat(), "data": data}
    )

"""The audit log as a test sees it: what has arrived in PostgreSQL."""

import asyncio
from typing import Final

from audit_log.filters import ANY, RecordFilter, one_of
from audit_log.postgres.search import RecordQuery
from audit_log.record import AuditRecord
from tests.neighbours.readable_store import ReadableStore

ARRIVAL_SECONDS: Final = 20
_LOOK_SECONDS: Final = 0.05


async def recorded(
    store: ReadableStore, count: int, *, token_name: str | None = None
) -> list[AuditRecord]:
    """Return the records, oldest first, as soon as there are *count* of them. Fails on more.

    With *token_name* those of that token count, in a database that several tests share.
    """
    name = ANY if token_name is None else one_of(token_name)
    query = RecordQuery(limit=500, filter=RecordFilter(token_name=name))
    async with asyncio.timeout(ARRIVAL_SECONDS):
        while len(records := await store.search(query)) < count:
            # PostgreSQL tells nobody of a row; to look again is the only way to wait for one.
            await asyncio.sleep(_LOOK_SECONDS)
    assert len(records) == count
    return records[::-1]

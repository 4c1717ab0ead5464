"""A store that also tells what is in it."""

import msgspec

from audit_log.postgres.database import Database
from audit_log.postgres.gaps import GapQuery, search_gaps
from audit_log.postgres.search import DEFAULT_LIMIT, RecordQuery, search
from audit_log.postgres.store import Store
from audit_log.record import AuditRecord, Gap


class ReadableStore(Store):
    """What the writer writes to, and what the audit API would read there."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._records = database

    async def search(self, query: RecordQuery) -> list[AuditRecord]:
        """Return the newest records that response *query*, as they were written, newest first."""
        found = await search(self._records, query)
        return [msgspec.structs.replace(record, arrived_at=None) for record in found]

    async def gaps(self, limit: int = DEFAULT_LIMIT) -> list[Gap]:
        """Return the latest gaps, newest first."""
        return await search_gaps(self._records, GapQuery(limit=limit))

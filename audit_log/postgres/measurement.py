"""How large the audit log is: by PostgreSQL's statistics, not counted."""

from typing import Final

from audit_log.extent import Extent, Kind, Part
from audit_log.postgres.database import Database

_EXTENT: Final = (
    "SELECT name, kind, starts, ends, oldest, records, bytes, used_bytes FROM mcp_audit_extent()"
)


async def measure(database: Database) -> Extent:
    """Return how large the audit log is now."""
    return Extent(
        [Part(**{**dict(row), "kind": Kind(row["kind"])}) for row in await database.fetch(_EXTENT)]
    )

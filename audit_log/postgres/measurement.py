"""How large the audit log is: by PostgreSQL's statistics, not counted."""

from typing import Final

from audit_log.log_size import Kind, LogSize, Part
from audit_log.postgres.database import Database

_SIZES: Final = (
    "SELECT name, kind, starts, ends, oldest, records, bytes, used_bytes FROM mcp_audit_extent()"
)


async def measure(database: Database) -> LogSize:
    """Return how large the audit log is now."""
    return LogSize(
        [Part(**{**dict(row), "kind": Kind(row["kind"])}) for row in await database.fetch(_SIZES)]
    )

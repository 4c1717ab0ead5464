"""What tool calls leave behind, as a test sees it: what has arrived in PostgreSQL."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from audit_log.postgres.database import Database
from audit_log.record import ToolOutcome
from tests.neighbours.patience import eventually


@dataclass(frozen=True, slots=True)
class Arrived:
    """One row of `mcp_tool_invocation`."""

    id: UUID
    tool: str
    outcome: ToolOutcome
    status_code: int
    error_code: int | None
    api_calls: int
    rounds: int
    origin: str
    token_name: str
    duration_ms: float | None


async def invocations(database: Database, count: int) -> list[Arrived]:
    """Return the rows, oldest first, as soon as there are *count* of them. Fails on more."""

    async def look() -> list[Arrived] | None:
        rows = await database.fetch("SELECT * FROM mcp_tool_invocation ORDER BY created_at, id")
        assert len(rows) <= count
        return [_arrived(row) for row in rows] if len(rows) == count else None

    return await eventually(look)


def _arrived(row: Any) -> Arrived:
    given = {name: row[name] for name in Arrived.__slots__}
    return Arrived(**given | {"outcome": ToolOutcome(given["outcome"])})


async def entries(database: Database, count: int) -> list[Any]:
    """Return the rows of the audit log, oldest first, as soon as there are *count*, no more."""

    async def look() -> list[Any] | None:
        rows = await database.fetch("SELECT * FROM mcp_audit_log ORDER BY created_at, id")
        assert len(rows) <= count
        return list(rows) if len(rows) == count else None

    return await eventually(look)

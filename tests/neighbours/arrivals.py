"""The order in which records arrived in PostgreSQL: a column of the operator's own tells it."""

from dataclasses import dataclass

from audit_log.postgres.database import Database
from audit_log.record import Outcome
from tests.neighbours.callers import due_status
from tests.neighbours.patience import eventually


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the audit log: the columns that the fault tests compare."""

    path: str
    status_code: int
    outcome: Outcome
    token_name: str

    @property
    def is_interrupted(self) -> bool:
        """Whether it is recorded as interrupted: how the call ended is unknown."""
        return (self.outcome, self.status_code) == (Outcome.INTERRUPTED, 0)

    @property
    def tells_the_truth(self) -> bool:
        """Whether its status is the one that the upstream sent."""
        return (self.outcome, self.status_code) == (Outcome.COMPLETED, due_status(self.path))


async def number_arrivals(database: Database) -> None:
    """From now on have PostgreSQL number the rows as they arrive."""
    await database.execute("ALTER TABLE mcp_audit_log ADD COLUMN arrival bigserial")


async def entries_in(database: Database) -> list[Entry]:
    """Return all rows in the order of their arrival."""
    rows = await database.fetch(
        "SELECT path, status_code, outcome, token_name FROM mcp_audit_log ORDER BY arrival"
    )
    return [
        Entry(row["path"], row["status_code"], Outcome(row["outcome"]), row["token_name"])
        for row in rows
    ]


async def arrived(database: Database, count: int) -> list[Entry]:
    """Return all rows in the order of their arrival, as soon as there are *count*. No more may be.

    That they are no more is only worth something once nothing can come: see `stopped_after`.
    """
    return await eventually(lambda: _at_least(database, count))


async def _at_least(database: Database, count: int) -> list[Entry] | None:
    entries = await entries_in(database)
    assert len(entries) <= count
    return entries if len(entries) == count else None

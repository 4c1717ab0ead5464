"""How large the audit log is and of what it consists: by PostgreSQL's statistics, not counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from audit_log.postgres.database import Database

_EXTENT = (
    "SELECT name, kind, starts, ends, oldest, records, bytes, used_bytes FROM mcp_audit_extent()"
)


class Kind(StrEnum):
    """What a part is."""

    PARTITION = "partition"
    DEFAULT = "default"
    """Records of a clock gone astray."""
    UNPARTITIONED = "unpartitioned"
    """An adopted table."""
    TOOL_CALLS = "tool calls"
    GAPS = "gaps"


@dataclass(frozen=True, slots=True)
class Part:
    """One table of the audit log."""

    name: str
    kind: Kind
    starts: datetime | None
    ends: datetime | None
    oldest: datetime | None
    """When its oldest record arrived; None when it is empty."""
    records: int
    """As the planner guesses."""
    bytes: int
    """Of its files, indexes included."""
    used_bytes: int
    """What records fill of that. What was deleted leaves room for others and no smaller file."""


@dataclass(frozen=True, slots=True)
class Extent:
    """All tables of the audit log, partitions in order of time."""

    parts: Sequence[Part]

    @property
    def records(self) -> int:
        """How many API calls there are, as the planner guesses."""
        return sum(part.records for part in self.of_calls)

    @property
    def bytes(self) -> int:
        """The bytes of all files."""
        return sum(part.bytes for part in self.parts)

    @property
    def used_bytes(self) -> int:
        """The bytes that records fill."""
        return sum(part.used_bytes for part in self.parts)

    @property
    def of_calls(self) -> Sequence[Part]:
        """What `mcp_audit_log` consists of."""
        return [part for part in self.parts if part.kind not in (Kind.TOOL_CALLS, Kind.GAPS)]

    @property
    def by_time(self) -> Sequence[Part]:
        """What `mcp_audit_log` consists of and has records, but those of a clock gone astray."""
        return [part for part in self.of_calls if part.kind is not Kind.DEFAULT and part.oldest]

    @property
    def oldest(self) -> datetime | None:
        """When the oldest record arrived, but those of a clock gone astray."""
        return min((part.oldest for part in self.by_time if part.oldest), default=None)


async def measure(database: Database) -> Extent:
    """Return how large the audit log is now."""
    return Extent(
        [Part(**{**dict(row), "kind": Kind(row["kind"])}) for row in await database.fetch(_EXTENT)]
    )

"""How large the audit log is and what it consists of: values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What a part is."""

    PARTITION = "partition"
    DEFAULT = "default"
    """The default partition: records whose time is outside all others, from a wrong clock."""
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
    """When its oldest record arrived; None if it is empty."""
    records: int
    """As the planner estimates."""
    bytes: int
    """Of its files, indexes included."""
    used_bytes: int
    """How much of that records fill. Deletion frees space for new records; files do not shrink."""


@dataclass(frozen=True, slots=True)
class LogSize:
    """All tables of the audit log, partitions in order of time."""

    parts: Sequence[Part]

    @property
    def records(self) -> int:
        """How many API calls there are, as the planner estimates."""
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
        """The parts of `mcp_audit_log`."""
        return [part for part in self.parts if part.kind not in (Kind.TOOL_CALLS, Kind.GAPS)]

    @property
    def by_time(self) -> Sequence[Part]:
        """The parts of `mcp_audit_log` that have records, without the default partition."""
        return [part for part in self.of_calls if part.kind is not Kind.DEFAULT and part.oldest]

    @property
    def oldest(self) -> datetime | None:
        """When the oldest record arrived, without the default partition; None if there is none."""
        return min((part.oldest for part in self.by_time if part.oldest), default=None)

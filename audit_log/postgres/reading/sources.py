"""The tables of what calls leave behind, each with the reader of its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from audit_log.postgres.invocations import INVOCATION_COLUMNS, invocations_of
from audit_log.postgres.rows import RECORD_COLUMNS, records_of
from audit_log.postgres.transaction import Row
from audit_log.record import AuditRecord, Invocation

Told = TypeVar("Told", bound=AuditRecord | Invocation)


@dataclass(frozen=True, slots=True)
class Source(Generic[Told]):
    """A table in the order of `created_at` and `id`."""

    table: str
    columns: str
    read: Callable[[Sequence[Row]], list[Told]]


RECORDS: Final = Source("mcp_audit_log", RECORD_COLUMNS, records_of)
TOOL_CALLS: Final = Source("mcp_tool_invocation", INVOCATION_COLUMNS, invocations_of)

"""Rows of `mcp_audit_log`, read as records."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, NamedTuple, TypeVar, cast
from uuid import UUID

import msgspec

from audit_log.postgres.conditions import Arguments
from audit_log.postgres.transaction import Row
from audit_log.record import Attribution, AuditRecord, Invocation, Outcome

RECORD_COLUMNS: Final = """id, token_id, token_name, method, path, status_code, created_at,
    outcome, duration_ms, host(client_ip) AS client_ip, user_agent, tool, invocation_id,
    attribution, request_id, instance, arrived_at"""


EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)
"""Python cannot convert the first and the last day of its calendar to another time zone."""


class Place(NamedTuple):
    """The position of a record in the order of the log."""

    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    id: UUID

    def check(self) -> None:
        """Raise ValueError if no record can be here."""
        if not EARLIEST <= self.created_at <= LATEST:
            raise ValueError("the time is out of range")

    def condition(self, sign: str, arguments: Arguments) -> str:
        """Return the SQL condition that a row is before (`<`), after (`>`) or at this place."""
        created_at, id_ = map(arguments.add, self)
        return f"(created_at, id) {sign} ({created_at}::timestamptz, {id_}::uuid)"

    @classmethod
    def of(cls, record: AuditRecord | Invocation) -> "Place":
        """Return the place of *record*."""
        return cls(record.created_at, record.id)


def records_of(rows: Sequence[Row]) -> list[AuditRecord]:
    """Return the records in *rows*, which have the columns `RECORD_COLUMNS`."""
    return [_record(row) for row in rows]


def plain_uuid(value: UUID) -> UUID:
    """Return *value* as Python's own type: some libraries reject the driver's subclass."""
    return UUID(bytes=value.bytes)


Word = TypeVar("Word", bound=StrEnum)


def in_words_of(kind: type[Word], word: str) -> Word:
    """Return *word* as a member of *kind*; unchanged if this version does not know it.

    Rows may come from a newer sidecar, an adopted table or the operator.
    """
    try:
        return kind(word)
    except ValueError:
        return cast("Word", word)


def _record(row: Row) -> AuditRecord:
    return AuditRecord(
        id=plain_uuid(row["id"]),
        token_id=row["token_id"] and plain_uuid(row["token_id"]),
        token_name=row["token_name"],
        method=row["method"],
        path=row["path"],
        status_code=row["status_code"],
        created_at=row["created_at"],
        outcome=in_words_of(Outcome, row["outcome"] or Outcome.COMPLETED),
        duration_ms=row["duration_ms"],
        client_ip=row["client_ip"],
        user_agent=row["user_agent"],
        tool=row["tool"],
        invocation_id=row["invocation_id"] and plain_uuid(row["invocation_id"]),
        attribution=row["attribution"] and in_words_of(Attribution, row["attribution"]),
        request_id=row["request_id"],
        instance=row["instance"],
        arrived_at=row["arrived_at"],
    )

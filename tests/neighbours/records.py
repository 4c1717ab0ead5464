"""Records as a sidecar makes them; what a test does not care about is filled in."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from audit_log.record import (
    AuditRecord,
    Gap,
    Invocation,
    Origin,
    Outcome,
    ToolOutcome,
    new_record_id,
)

ARRIVAL = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)


def a_record(**values: Any) -> AuditRecord:
    return AuditRecord(
        **{
            "id": new_record_id(),
            "created_at": ARRIVAL,
            "token_name": "ci",
            "method": "GET",
            "path": "/api/v1/clusters",
            "status_code": 200,
            "outcome": Outcome.COMPLETED,
            "instance": "sidecar-1",
            **values,
        }
    )


def a_tool_call(**values: Any) -> Invocation:
    return Invocation(
        **{
            "id": new_record_id(),
            "created_at": ARRIVAL,
            "token_name": "ci",
            "tool": "list_clusters",
            "outcome": ToolOutcome.OK,
            "status_code": 200,
            "origin": Origin.MCP,
            "instance": "sidecar-1",
            **values,
        }
    )


def a_gap(started_at: datetime, **values: Any) -> Gap:
    return Gap(
        **{
            "id": new_record_id(),
            "started_at": started_at,
            "ended_at": started_at,
            "count": 37,
            "reason": "journal_full",
            "instance": "sidecar-1",
            **values,
        }
    )


def as_records(rows: Iterable[object]) -> list[AuditRecord]:
    """Return what the writer hands on as what it says; each value must be of its type."""
    return [msgspec.json.decode(msgspec.json.encode(row), type=AuditRecord) for row in rows]

"""MCP tool calls as callers get them."""

from collections.abc import Sequence
from typing import Any, Self
from uuid import UUID

import msgspec

from audit_api.formats.entries import (
    DetailedEntry,
    Moment,
    known_timestamp,
    milliseconds,
    timestamp,
)
from audit_log.record import AuditRecord, Invocation


class ToolCall(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One MCP tool call. Values that are not known, or not yet, are null."""

    id: UUID
    created_at: Moment
    tool: str | None
    token_id: UUID | None
    token_name: str | None
    outcome: str | None
    status_code: int | None
    duration_ms: float | None
    error_code: int | None
    api_calls: int
    """How many API calls had been tied to it when it was recorded."""
    rounds: int | None
    """How many requests the client made for it: more than one where the tool asked back."""
    origin: str | None
    client_ip: str | None
    request_id: str | None
    session: UUID | None
    """The agent's session; null where the protocol has none, as from 2026-07-28 on."""
    protocol_version: str | None
    client_name: str | None
    """As the MCP client introduced itself, like its version."""
    client_version: str | None
    user_agent: str | None
    principal: str | None
    """On whose behalf it was made, as a trusted proxy says."""
    claims: dict[str, str | int | float] | None
    """What the client says in fields of `_meta` that the operator has named: no proof."""
    instance: str
    arrived_at: Moment | None
    """As in an entry."""

    @classmethod
    def of(cls, invocation: Invocation) -> Self:
        """Return *invocation* as callers get it."""
        return cls(**_of_invocation(invocation))


class ToolCallWithCalls(ToolCall, frozen=True, gc=False, forbid_unknown_fields=True):
    """One MCP tool call with the API calls that it caused, oldest first."""

    calls: list[DetailedEntry]

    @classmethod
    def known(cls, invocation: Invocation, records: Sequence[AuditRecord]) -> Self:
        """Return a stored *invocation* with its calls, or the first of them.

        It may be at work, or its server may have called the API after the response: `api_calls`
        is at least the number of *records*.
        """
        values = _of_invocation(invocation)
        values["api_calls"] = max(invocation.api_calls, len(records))
        return cls(**values, calls=list(map(DetailedEntry.of, records)))

    @classmethod
    def inferred(cls, invocation_id: UUID, records: Sequence[AuditRecord]) -> Self:
        """Return a tool call that is not stored, or not yet, from *records*: at least one call."""
        first = records[0]
        return cls(
            id=invocation_id,
            created_at=timestamp(first.created_at),
            tool=first.tool,
            token_id=first.token_id,
            token_name=first.token_name,
            outcome=None,
            status_code=None,
            duration_ms=None,
            error_code=None,
            api_calls=len(records),
            rounds=None,
            origin=None,
            client_ip=None,
            request_id=None,
            session=None,
            protocol_version=None,
            client_name=None,
            client_version=None,
            user_agent=None,
            principal=None,
            claims=None,
            instance=first.instance,
            arrived_at=known_timestamp(first.arrived_at),
            calls=list(map(DetailedEntry.of, records)),
        )


def _of_invocation(invocation: Invocation) -> dict[str, Any]:
    values = {name: getattr(invocation, name) for name in ToolCall.__struct_fields__}
    return values | {
        "created_at": timestamp(invocation.created_at),
        "duration_ms": milliseconds(invocation.duration_ms),
        "arrived_at": known_timestamp(invocation.arrived_at),
    }

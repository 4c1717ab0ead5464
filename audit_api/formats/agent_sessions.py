"""Agents' sessions as callers get them."""

from collections.abc import Mapping, Sequence
from typing import Any, Self
from uuid import UUID

import msgspec

from audit_api.formats.entries import Moment, timestamp
from audit_api.formats.tool_calls import ToolCallWithCalls
from audit_log.postgres.agents.agent_sessions import AgentSession
from audit_log.record import AuditRecord, Invocation


class SessionOfAgent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One MCP session of one token, from its first tool call to its last so far.

    What the client says of itself is its claim.
    """

    id: UUID
    token_id: UUID | None
    token_name: str
    client_name: str | None
    client_version: str | None
    protocol_version: str | None
    user_agent: str | None
    """Of its last tool call, like `client_ip`."""
    client_ip: str | None
    first_call: Moment
    last_call: Moment
    tool_calls: int
    api_calls: int
    failures: int
    """Tool calls that ended as `tool_error` or `protocol_error`."""

    @classmethod
    def of(cls, session: AgentSession) -> Self:
        """Return *session* as callers get it."""
        return cls(**_of_session(session))


class SessionWithToolCalls(SessionOfAgent, frozen=True, gc=False, forbid_unknown_fields=True):
    """One session with its tool calls, oldest first, each with its first API calls."""

    invocations: list[ToolCallWithCalls]

    @classmethod
    def with_calls(
        cls,
        session: AgentSession,
        invocations: Sequence[Invocation],
        calls: Mapping[UUID, Sequence[AuditRecord]],
    ) -> Self:
        """Return *session* with *invocations*, and with their *calls* by their ids."""
        told = [ToolCallWithCalls.known(each, calls.get(each.id, ())) for each in invocations]
        return cls(**_of_session(session), invocations=told)


def _of_session(session: AgentSession) -> dict[str, Any]:
    values = {name: getattr(session, name) for name in SessionOfAgent.__struct_fields__}
    return values | {
        "first_call": timestamp(session.first_call),
        "last_call": timestamp(session.last_call),
    }

"""One token as callers get it: who has it, when it was used, and what it did."""

from collections.abc import Mapping
from typing import Any, Self
from uuid import UUID

import msgspec

from audit_api.formats.entries import Moment, known_timestamp, timestamp
from audit_api.query.facets import ValueCount, escaped
from audit_log.postgres.agents.token_calls import TokenCalls, UsedTool
from audit_log.postgres.agents.token_details import TokenDetails
from audit_log.postgres.usage import UNKNOWN_TOKENS

Chosen = Mapping[str, Any]
"""One filter by token, as the store's filters take it."""


class ToolUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a token called a tool."""

    value: str
    filter: dict[str, str]
    """The parameters that ask for these tool calls, beside those of the token."""
    calls: int
    failed: int
    """Tool calls that ended as `tool_error` or `protocol_error`."""
    first: Moment
    last: Moment

    @classmethod
    def of(cls, used: UsedTool) -> Self:
        """Return *used* as callers get it."""
        return cls(
            used.tool,
            {"tool": escaped(used.tool)},
            used.calls,
            used.failed,
            timestamp(used.first),
            timestamp(used.last),
        )


class TokenReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One token: what the token query says of it now, and its calls of some time."""

    token_name: str
    token_id: UUID | None
    filter: dict[str, str]
    """The parameters that ask for its calls."""
    owner: str | None
    description: str | None
    role: str | None
    created_at: Moment | None
    expires_at: Moment | None
    revoked_at: Moment | None
    first_used: Moment
    """Of all time, like `last_used`; of its tool calls in this time if it made no API call."""
    last_used: Moment
    since: Moment
    """All that follows is of the time from here on, and before `until`."""
    until: Moment
    calls: int
    """API calls, of which some are `changes`, `refused` or `failed`, as in `/stats?by=token`."""
    changes: int
    refused: int
    failed: int
    tool_calls: int
    tools: list[ToolUse]
    """Those with the most tool calls."""
    clients: list[ValueCount]
    """The addresses with the most API calls."""
    objects: list[ValueCount]
    """The objects with the most changes, and those alone are counted."""

    @classmethod
    def of(cls, chosen: Chosen, calls: TokenCalls, details: TokenDetails, **further: Any) -> Self:
        """Return what is told of the token *chosen*; *further* are the fields from elsewhere."""
        is_unknown = "unknown_tokens" in chosen
        counted = ("calls", "changes", "refused", "failed", "tool_calls")
        return cls(
            token_name=UNKNOWN_TOKENS if is_unknown else calls.token_name,
            token_id=None if is_unknown else calls.token_id,
            filter=_filter(chosen),
            owner=details.owner,
            description=details.description,
            role=details.role,
            created_at=known_timestamp(details.created_at),
            expires_at=known_timestamp(details.expires_at),
            revoked_at=known_timestamp(details.revoked_at),
            first_used=timestamp(calls.first_used),
            last_used=timestamp(calls.last_used),
            **{name: getattr(calls, name) for name in counted},
            tools=list(map(ToolUse.of, calls.tools)),
            **further,
        )


def _filter(chosen: Chosen) -> dict[str, str]:
    [(name, wanted)] = chosen.items()
    return {name: "true" if wanted is True else escaped(str(wanted.any_of[0]))}

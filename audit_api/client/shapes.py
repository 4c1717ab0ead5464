"""What the audit API responds, as values. Fields of a newer service are passed over."""

from datetime import datetime
from uuid import UUID

import msgspec


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    created_at: datetime
    token_id: UUID | None = None
    token_name: str | None = None
    tool: str | None = None
    outcome: str | None = None
    status_code: int | None = None
    duration_ms: float | None = None
    client_ip: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    instance: str = ""
    arrived_at: datetime | None = None


class Entry(_Call, frozen=True, kw_only=True):
    """One API call. Unknown values are None."""

    method: str
    path: str
    invocation_id: UUID | None = None
    attribution: str | None = None
    object: str | None = None


class ToolCall(_Call, frozen=True, kw_only=True):
    """One MCP tool call."""

    error_code: int | None = None
    api_calls: int = 0
    rounds: int | None = None
    origin: str | None = None
    session: UUID | None = None
    protocol_version: str | None = None
    client_name: str | None = None
    client_version: str | None = None
    principal: str | None = None
    claims: dict[str, str | int | float] | None = None
    calls: list[Entry] = []
    """Its API calls, oldest first, where one tool call or one session was asked for."""


class EntryInTime(Entry, frozen=True, kw_only=True, tag_field="kind", tag="entry"):
    """An API call in the timeline that stands alone."""


class ToolCallInTime(ToolCall, frozen=True, kw_only=True, tag_field="kind", tag="tool_call"):
    """A tool call in the timeline, with its first API calls."""


InTime = EntryInTime | ToolCallInTime
"""What stands in the timeline."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One MCP session of an agent."""

    id: UUID
    first_call: datetime
    last_call: datetime
    token_id: UUID | None = None
    token_name: str | None = None
    client_name: str | None = None
    client_version: str | None = None
    protocol_version: str | None = None
    user_agent: str | None = None
    client_ip: str | None = None
    tool_calls: int = 0
    api_calls: int = 0
    failures: int = 0
    invocations: list[ToolCall] = []
    """Its first 500 tool calls, oldest first, where one session was asked for."""


class Gap(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """A span of time in which records are missing; how many is None if that is not known."""

    id: UUID
    since: datetime
    until: datetime
    count: int | None = None
    reason: str = ""
    instance: str = ""


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """One read of the audit log: who asked the audit API what. Unknown values are None."""

    id: UUID
    created_at: datetime
    kind: str
    question: str
    ended_at: datetime | None = None
    """Of an export or a stream that has ended."""
    reader: str | None = None
    role: str | None = None
    token_id: UUID | None = None
    session: str | None = None
    client_ip: str | None = None
    status_code: int | None = None
    rows_told: int | None = None
    times: int = 1
    instance: str = ""


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """The calls that have one value in common; None is the value of those that have none."""

    value: str | None
    filter: dict[str, str] | None = None
    """What asks for these calls."""
    calls: int
    changes: int = 0
    refused: int = 0
    failed: int = 0
    before: int | None = None
    """In the period before, with `compare`."""
    first: datetime | None = None
    last: datetime | None = None


class SignInLink(msgspec.Struct, frozen=True, kw_only=True):
    """What signs a browser in, once: the page's address with `#sign-in=` and the code."""

    code: str
    expires_at: datetime

    def __repr__(self) -> str:
        """Leave the code out: it is a credential."""
        return f"SignInLink(expires_at={self.expires_at!r})"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One token: who has it, when it was used, and its calls between `since` and `until`."""

    token_name: str
    token_id: UUID | None = None
    filter: dict[str, str] = {}
    """What asks for its calls."""
    owner: str | None = None
    description: str | None = None
    role: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    first_used: datetime
    last_used: datetime
    since: datetime
    until: datetime
    calls: int = 0
    changes: int = 0
    refused: int = 0
    failed: int = 0
    tool_calls: int = 0
    tools: list[Count] = []
    clients: list[Count] = []
    objects: list[Count] = []
    """The objects that it changed."""

"""The audit record: what one call leaves behind."""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

MAX_PATH_CHARACTERS: Final = 2_048
MAX_USER_AGENT_CHARACTERS: Final = 256


class Outcome(StrEnum):
    """How an exchange ended."""

    COMPLETED = "completed"
    STREAMING = "streaming"
    """Recorded when the answer opened; it may go on for hours."""
    REFUSED = "refused"
    """Answered by the sidecar itself, which did not pass the call on."""
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_TIMED_OUT = "upstream_timed_out"
    UPSTREAM_BROKE_OFF = "upstream_broke_off"
    """The answer began and ended before its announced end."""
    CLIENT_CLOSED = "client_closed"
    INTERRUPTED = "interrupted"
    """The sidecar was killed in mid-call; nobody can know the ending."""


class Attribution(StrEnum):
    """How sure we are that a tool call caused this API call."""

    EXACT = "exact"
    INFERRED = "inferred"


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One call, as it is kept in `mcp_audit_log`. Immutable; made once, when the call has ended.

    Who can forge what: `method`, `path`, `user_agent` and `request_id` are the client's own words.
    `client_ip` is the network peer, or what a trusted proxy said of it. The rest is ours.
    """

    id: UUID
    """UUIDv7, given before the first attempt to write, so that writing twice is harmless."""
    created_at: datetime
    """When the request arrived; aware, UTC."""
    method: str
    path: str
    """Raw, without the query string, at most 2,048 characters."""
    status_code: int
    """What the client was sent; 0 when nobody can know."""
    outcome: Outcome
    instance: str
    """Which sidecar wrote it."""
    token_id: UUID | None = None
    token_name: str | None = None
    """The name at the time of the call; None only while `token_hash` waits to be resolved."""
    token_hash: str | None = None
    """Hex SHA-256 of a token whose name was not known when the call ended. Never stored."""
    duration_ms: float | None = None
    client_ip: str | None = None
    user_agent: str | None = None
    tool: str | None = None
    invocation_id: UUID | None = None
    attribution: Attribution | None = None
    request_id: str | None = None


class ToolOutcome(StrEnum):
    """How a tool call ended."""

    OK = "ok"
    TOOL_ERROR = "tool_error"
    """The tool itself failed: HTTP 200, and `isError` in the result."""
    PROTOCOL_ERROR = "protocol_error"
    CANCELLED = "cancelled"
    """The caller was gone before the answer."""
    UNKNOWN = "unknown"
    """The answer was none that could be read."""
    INTERRUPTED = "interrupted"
    """The sidecar was killed in mid-call."""


class Origin(StrEnum):
    """Which way a tool call came."""

    MCP = "mcp"
    HUB = "hub"


class Invocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One MCP tool call, as it is kept in `mcp_tool_invocation`.

    Not an entry of the audit log: the API calls that it caused are, and name it by its id.
    `tool` and `request_id` are the caller's own words.
    """

    id: UUID
    created_at: datetime
    """When the tool call arrived; aware, UTC."""
    tool: str
    outcome: ToolOutcome
    status_code: int
    """As an HTTP status: 200, 500 for `isError`, 404 unknown tool, 499 caller gone, …"""
    origin: Origin
    instance: str
    token_id: UUID | None = None
    token_name: str | None = None
    token_hash: str | None = None
    """As in `AuditRecord`: only while the name waits to be resolved. Never stored."""
    duration_ms: float | None = None
    api_calls: int = 0
    """How many audited API calls were tied to it in this process."""
    error_code: int | None = None
    """Of a JSON-RPC error."""
    client_ip: str | None = None
    request_id: str | None = None


Kept = AuditRecord | Invocation
"""What calls leave behind: what the journal takes in and the writer brings to the store."""


class Gap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Records known to be missing. Kept in `mcp_audit_gap`, shown wherever records are shown."""

    id: UUID
    started_at: datetime
    """When the first missing record was refused, or the last moment known to be complete."""
    ended_at: datetime
    count: int | None
    """How many records are missing; None when that cannot be known."""
    reason: str
    """`journal_full`, `journal_damaged`, `head_lost`: snake case, one word per cause."""
    instance: str


def new_record_id() -> UUID:
    """Return a UUIDv7, rising within this process."""
    return uuid7()


def unknown_token_name(token_hash: str) -> str:
    """Return the name under which calls of a token that nobody knows are recorded."""
    return f"Unknown token ({token_hash[:8]})"

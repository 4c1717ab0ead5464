"""The audit record: what one call leaves behind."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, TypeVar
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

MAX_PATH_CHARACTERS: Final = 2_048
MAX_USER_AGENT_CHARACTERS: Final = 256
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with a time zone: JSON without one is refused."""


class Outcome(StrEnum):
    """How an exchange ended."""

    COMPLETED = "completed"
    STREAMING = "streaming"
    """Recorded when the response began; it may go on for hours."""
    REFUSED = "refused"
    """The sidecar itself responded, and did not forward the call."""
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_TIMED_OUT = "upstream_timed_out"
    UPSTREAM_BROKE_OFF = "upstream_broke_off"
    """The response began and ended before its announced end."""
    CLIENT_CLOSED = "client_closed"
    INTERRUPTED = "interrupted"
    """The sidecar was killed during the call; the ending cannot be known."""


class Attribution(StrEnum):
    """How sure we are that a tool call caused this API call."""

    EXACT = "exact"
    INFERRED = "inferred"


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One call, as it is kept in `mcp_audit_log`. Immutable; made once, when the call has ended.

    What can be forged: the client chooses `method`, `path`, `user_agent` and `request_id`.
    `client_ip` is the network peer, or what a trusted proxy reports. We set the other fields.
    """

    id: UUID
    """UUIDv7, given before the first attempt to write, so that writing twice is harmless."""
    created_at: datetime
    """When the request came, by the sidecar's clock; with a time zone, UTC."""
    method: str
    path: str
    """Raw, without the query string, at most 2,048 characters."""
    status_code: int
    """The status that the client was sent; 0 if it cannot be known."""
    outcome: Outcome
    instance: str
    """The sidecar that made it."""
    token_id: UUID | None = None
    token_name: str | None = None
    """The name at the time of the call; None only while `token_hash` waits to be resolved."""
    duration_ms: float | None = None
    client_ip: str | None = None
    user_agent: str | None = None
    tool: str | None = None
    invocation_id: UUID | None = None
    attribution: Attribution | None = None
    request_id: str | None = None
    seq: int | None = None
    """The place of its leaf in the tree of the seal; None if it is not sealed."""
    log: int | None = None
    """Which tree that is: see `audit_log.seal.places`."""
    token_hash: str | None = None
    """Hex SHA-256 of a token whose name was not known when the call ended. Never stored."""
    arrived_at: datetime | None = None
    """When PostgreSQL began to write it, by its own clock. None before, and of older rows."""


class RecordRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """An `AuditRecord` on its way from the journal to the store, with the same members.

    Ids and words are text, as they were kept and will be written: to make objects of them would
    cost more than the rest of the way. What they say is for the store to judge.
    The reader of the journal gives each its place in the seal, and nothing else changes one.
    """

    id: str
    created_at: Moment
    method: str
    path: str
    status_code: int
    outcome: str
    instance: str
    token_id: str | None = None
    token_name: str | None = None
    duration_ms: float | None = None
    client_ip: str | None = None
    user_agent: str | None = None
    tool: str | None = None
    invocation_id: str | None = None
    attribution: str | None = None
    request_id: str | None = None
    seq: int | None = None
    log: int | None = None
    token_hash: str | None = None


AnyRecord = AuditRecord | RecordRow


class ToolOutcome(StrEnum):
    """How a tool call ended, or what it waits for."""

    OK = "ok"
    TOOL_ERROR = "tool_error"
    """The tool itself failed: HTTP 200, and `isError` in the result."""
    PROTOCOL_ERROR = "protocol_error"
    CANCELLED = "cancelled"
    """The caller was gone before the response."""
    UNKNOWN = "unknown"
    """The response could not be read, or the ending was not seen."""
    INTERRUPTED = "interrupted"
    """The sidecar was killed during the call."""
    ASKED = "asked"
    """It has asked its client for something, and waits for the next round. Not an ending."""
    WORKING = "working"
    """It has become a task, which goes on. Not an ending."""
    DECLINED = "declined"
    """It has ended after its client declined what it was asked for."""
    ABANDONED = "abandoned"
    """It had asked its client, and no further round came in time."""

    @property
    def is_ending(self) -> bool:
        """Whether the tool call has ended. If not, it is recorded again when it has."""
        return self not in UNFINISHED


UNFINISHED: Final = frozenset({ToolOutcome.ASKED, ToolOutcome.WORKING})


class Origin(StrEnum):
    """Which way a tool call came."""

    MCP = "mcp"
    HUB = "hub"


Claim = str | int | float


class Invocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One MCP tool call, as it is kept in `mcp_tool_invocation`.

    Not an entry of the audit log: the API calls that it caused are, and name it by its id.
    The client chooses `tool`, `request_id`, and all from `protocol_version` on but `principal`.
    """

    id: UUID
    created_at: Moment
    """When the tool call came, by the sidecar's clock; with a time zone, UTC."""
    tool: str
    outcome: ToolOutcome
    status_code: int
    """An HTTP status: 200, 500 for `isError`, 404 unknown tool, 499 caller gone, 202 goes on, …"""
    origin: Origin
    instance: str
    token_id: UUID | None = None
    token_name: str | None = None
    token_hash: str | None = None
    """As in `AuditRecord`: only while the name waits to be resolved. Never stored."""
    duration_ms: float | None = None
    api_calls: int = 0
    """How many audited API calls were attributed to it in this process."""
    error_code: int | None = None
    """Of a JSON-RPC error."""
    rounds: int = 1
    """How many requests the client made for it. Each after the first answers what it asked."""
    client_ip: str | None = None
    request_id: str | None = None
    session: UUID | None = None
    """Stands for the `Mcp-Session-Id` of one token; None where the protocol has no sessions."""
    protocol_version: str | None = None
    client_name: str | None = None
    client_version: str | None = None
    """As the MCP client introduced itself."""
    user_agent: str | None = None
    principal: str | None = None
    """On whose behalf it was made, as a trusted proxy says."""
    claims: Mapping[str, Claim] | None = None
    """What the client says in fields of `_meta` that the operator has named: no proof."""
    seq: int | None = None
    log: int | None = None
    """As in `AuditRecord`. Each version of a tool call has a leaf of its own."""
    arrived_at: datetime | None = None
    """As in `AuditRecord`."""


Named = TypeVar("Named", bound=AnyRecord | Invocation)
Kept = AuditRecord | Invocation
"""What a call leaves behind: the journal keeps it until the writer has sent it to the store."""


class Gap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Records known to be missing. Kept in `mcp_audit_gap`, shown wherever records are shown."""

    id: UUID
    started_at: Moment
    """When the first missing record was refused, or the last moment known to be complete."""
    ended_at: Moment
    count: int | None
    """How many records are missing; None if that cannot be known."""
    reason: str
    """`journal_full`, `journal_damaged`, `head_lost`: snake case, one word per cause."""
    instance: str
    seq: int | None = None
    log: int | None = None
    """As in `AuditRecord`."""


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What happened to a sidecar itself. Kept in the seal alone, as a leaf: no table has it."""

    id: UUID
    at: Moment
    """By the sidecar's clock; with a time zone, UTC."""
    name: str
    """`start`, `stop`, `settings`, `key`: one word per kind."""
    details: Mapping[str, str] = {}


def new_record_id() -> UUID:
    """Return a UUIDv7, rising within this process."""
    return uuid7()


UNKNOWN_TOKEN: Final = "Unknown token ("
"""What the names of unknown tokens begin with. A client can invent any number of them."""


def named(record: Named, name: str, token_id: UUID | None = None) -> Named:
    """Return *record* with the name of its token, and the id if there is such a token."""
    known = str(token_id) if token_id is not None and isinstance(record, RecordRow) else token_id
    return msgspec.structs.replace(record, token_name=name, token_id=known, token_hash=None)


def unknown_token_name(token_hash: str) -> str:
    """Return the name under which calls of an unknown token are recorded."""
    return f"{UNKNOWN_TOKEN}{token_hash[:8]})"

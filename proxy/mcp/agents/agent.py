"""Who calls a tool: the agent's session, and what its MCP client says of itself. Pure.

Before MCP 2026-07-28 a client tells its name and version once, in `initialize`, and sends the
`Mcp-Session-Id` that it was given with each later request. From that version on there are no
sessions, and each request says who its client is in `_meta`.

All but the session is chosen by the client and no proof of anything.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from audit_log.record import MAX_USER_AGENT_CHARACTERS, Claim
from proxy.http.request import RequestHead
from proxy.http.target import printable
from proxy.mcp.json_stream import Path, Scalar, Values

MODERN: Final = "2026-07-28"
"""From this version on there are no sessions, and `Mcp-Name` names the tool. Versions are dates,
so they compare as text."""
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
MAX_NAME_CHARACTERS: Final = 128
MAX_VERSION_CHARACTERS: Final = 64

_META: Final = ("params", "_meta")
_META_VERSION: Final = (*_META, "io.modelcontextprotocol/protocolVersion")
_META_CLIENT: Final = (*_META, "io.modelcontextprotocol/clientInfo")
_INTRODUCED: Final = ("params", "clientInfo")
_NEGOTIATED: Final = ("result", "protocolVersion")
AGENT_PATHS: Final[frozenset[Path]] = frozenset(
    {(*client, part) for client in (_META_CLIENT, _INTRODUCED) for part in ("name", "version")}
    | {_META_VERSION}
)
"""What requests say of their client."""
NEGOTIATION_PATHS: Final[frozenset[Path]] = frozenset({_NEGOTIATED})
"""What the response to `initialize` says."""


class Client(msgspec.Struct, frozen=True, gc=False):
    """What an MCP client says of itself: `Implementation` in the schema of MCP."""

    name: str | None = None
    version: str | None = None
    protocol_version: str | None = None


UNKNOWN_CLIENT: Final = Client()


class Agent(msgspec.Struct, frozen=True, gc=False):
    """The agent that called a tool. The names are those of `Invocation`."""

    session: UUID | None = None
    user_agent: str | None = None
    protocol_version: str | None = None
    client_name: str | None = None
    client_version: str | None = None
    principal: str | None = None
    claims: Mapping[str, Claim] | None = None

    def introduced_as(self, client: Client, claims: Mapping[str, Claim] | None = None) -> "Agent":
        """Return this agent with its *claims*, and what *client* says where the head did not."""
        return msgspec.structs.replace(
            self,
            protocol_version=self.protocol_version or client.protocol_version,
            client_name=client.name,
            client_version=client.version,
            claims=claims,
        )


NOBODY: Final = Agent()


def is_modern(version: str | None) -> bool:
    """Return whether *version* is MODERN or later; what is no date is no version."""
    return version is not None and version >= MODERN and _DATE.fullmatch(version) is not None


def agent_of(head: RequestHead, key: str, principal: str | None = None) -> Agent:
    """Return what *head* says of the agent behind the caller with *key* (`Source.key`).

    *principal* is what a trusted proxy says in it.
    """
    version, session = head.field(b"mcp-protocol-version"), head.field(b"mcp-session-id")
    if version is not None and is_modern(version.decode("latin-1")):
        session = None
    user_agent = head.field(b"user-agent")
    return Agent(
        None if session is None else session_id(key, session),
        None if user_agent is None else printable(user_agent)[:MAX_USER_AGENT_CHARACTERS],
        None if version is None else printable(version)[:MAX_VERSION_CHARACTERS],
        principal=principal,
    )


def session_id(key: str, session: bytes) -> UUID:
    """Return the id under which the session of a caller is recorded.

    The `Mcp-Session-Id` itself is a secret: with it and the token, the session could be entered.
    """
    return UUID(bytes=sha256(key.encode() + b"\0" + session).digest()[:16])


def introduced_by(values: Values) -> Client | None:
    """Return the client that a message introduces, or None if it is no `initialize`."""
    return _client_at(_INTRODUCED, None, values) if _is_initialize(values) else None


def client_in_meta(values: Values) -> Client | None:
    """Return the client that a message names in `_meta`, or None if it names none."""
    client = _client_at(_META_CLIENT, values.get(_META_VERSION), values)
    return None if client == UNKNOWN_CLIENT else client


def negotiated_version(values: Values) -> str | None:
    """Return the version in the response to `initialize`."""
    return _text(values.get(_NEGOTIATED), MAX_VERSION_CHARACTERS)


def _is_initialize(values: Values) -> bool:
    return values.get(("method",)) == "initialize"


def _client_at(path: Path, version: Scalar, values: Values) -> Client:
    return Client(
        _text(values.get((*path, "name")), MAX_NAME_CHARACTERS),
        _text(values.get((*path, "version")), MAX_VERSION_CHARACTERS),
        _text(version, MAX_VERSION_CHARACTERS),
    )


def _text(value: Scalar, limit: int) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return printable(value[:limit].encode("utf-8", "surrogatepass"))[:limit]

"""An `initialize` and its response: they tell which client opened which session."""

from typing import Final
from uuid import UUID

from msgspec.structs import replace

from proxy.http.response import ResponseHead
from proxy.mcp.agents.agent import Client, introduced_by, negotiated_version, session_id
from proxy.mcp.agents.session_clients import SessionClients
from proxy.mcp.json_stream import Values

_FIRST_ERROR: Final = 400


class Introduction:
    """Looks for the two in one exchange, and notes the client."""

    def __init__(self, clients: SessionClients, key: str) -> None:
        """Note in *clients* the client of a session that the caller with *key* opens."""
        self._clients = clients
        self._key = key
        self._client: Client | None = None
        self._session: UUID | None = None

    @property
    def opens_session(self) -> bool:
        """Whether the response begins a session, so that its content has more to tell."""
        return self._session is not None

    def message_sent(self, values: Values) -> None:
        """Learn of a message in the request's body."""
        self._client = introduced_by(values) or self._client

    def response_opened(self, head: ResponseHead) -> None:
        """Learn of the response's head: it names the session."""
        session = head.field(b"mcp-session-id")
        if self._client is not None and session is not None and head.status < _FIRST_ERROR:
            self._session = session_id(self._key, session)
            self._clients.note(self._session, self._client)

    def message_received(self, values: Values) -> None:
        """Learn of a message in the response's body: it names the version that is spoken."""
        version = negotiated_version(values)
        if self._client is not None and self._session is not None and version is not None:
            self._clients.note(self._session, replace(self._client, protocol_version=version))

"""The client: one method for each question that the audit API answers."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote
from uuid import UUID

from aiohttp import BaseConnector, ClientSession, ClientTimeout
from yarl import URL

from audit_api.client.asking import ALL, PAGE, Asking, Filters, read
from audit_api.client.server_events import ServerEvent, events_of
from audit_api.client.shapes import (
    Count,
    Entry,
    Gap,
    InTime,
    Read,
    Session,
    SignInLink,
    Token,
    ToolCall,
)

# The live stream sends a heartbeat every 15 s.
_OF_STREAMS: Final = ClientTimeout(sock_connect=10, sock_read=45)
TOOL_CALLS: Final = "/invocations"
"""Given as *of*: tool calls, in place of entries."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an export, whole. *mark* leads to the next part."""

    body: bytes
    mark: str
    has_more: bool


@dataclass(frozen=True, slots=True)
class Export:
    """A whole export under way. *mark* leads a later one to what has arrived since."""

    mark: str
    pieces: AsyncIterator[bytes]


class AuditClient(Asking):
    """Asks one audit API. Methods raise `AuditApiError`, or a subclass that says what to do."""

    def __init__(self, session: ClientSession, url: str) -> None:
        """Ask at *url* through *session*, whose fields carry the token."""
        super().__init__(session, url)
        self._page = f"{url.rstrip('/')}/settings/mcp/activity"

    def entries(self, filters: Filters = ALL, limit: int | None = None) -> AsyncIterator[Entry]:
        """Yield the entries that match *filters* with all details, newest first."""
        return self.each("", {"expand": "details", **filters}, Entry, limit)

    def tool_calls(
        self, filters: Filters = ALL, limit: int | None = None
    ) -> AsyncIterator[ToolCall]:
        """Yield the tool calls that match *filters*, newest first."""
        return self.each(TOOL_CALLS, filters, ToolCall, limit)

    def timeline(self, filters: Filters = ALL, limit: int | None = None) -> AsyncIterator[InTime]:
        """Yield tool calls with their API calls, and API calls without one, newest first."""
        return self.each("/timeline", filters, InTime, limit)  # type: ignore[arg-type]  # a union

    def sessions(self, filters: Filters = ALL, limit: int | None = None) -> AsyncIterator[Session]:
        """Yield the sessions with a tool call that matches *filters*, last used first."""
        return self.each("/sessions", filters, Session, limit)

    async def entry(self, id_: UUID) -> Entry:
        """Return one entry; raise NothingFoundError if there is none."""
        return await self.ask(f"/entries/{id_}", ALL, Entry)

    async def tool_call(self, id_: UUID) -> ToolCall:
        """Return one tool call with its API calls; raise NothingFoundError if there is none."""
        return await self.ask(f"{TOOL_CALLS}/{id_}", ALL, ToolCall)

    async def session(self, id_: UUID) -> Session:
        """Return one session with its tool calls; raise NothingFoundError if there is none."""
        return await self.ask(f"/sessions/{id_}", {"limit": PAGE}, Session)

    async def token(self, id_or_name: UUID | str, filters: Filters = ALL) -> Token:
        """Return one token and its calls in the time of *filters*, 30 days if they say none.

        Raise NothingFoundError if it made no call, WrongQuestionError if several have the name.
        """
        return await self.ask(f"/tokens/{quote(str(id_or_name), safe='')}", filters, Token)

    async def gaps(self, filters: Filters = ALL) -> list[Gap]:
        """Return the newest gaps in the time of *filters*, `since` and `until`; 500 at most."""
        return await self.ask("/gaps", {"limit": PAGE, **filters}, list[Gap])

    def reads(self, filters: Filters = ALL, limit: int | None = None) -> AsyncIterator[Read]:
        """Yield who read the audit log, newest first."""
        return self.each("/reads", filters, Read, limit)

    async def counts(self, by: str, filters: Filters = ALL) -> list[Count]:
        """Return the values of *by*, such as `token` or `object`, with the most calls."""
        return await self.ask("/stats", {"by": by, **filters}, list[Count])

    @asynccontextmanager
    async def export(self, filters: Filters = ALL, of: str = "") -> AsyncIterator[Export]:
        """Yield an export of all that matches; it is whole if its pieces end without an error."""
        async with self.asked(self.at(f"{of}/export"), filters) as response:
            yield Export(response.headers["X-Audit-Mark"], response.content.iter_any())

    async def part(self, filters: Filters, after: str | None, limit: int, of: str = "") -> Part:
        """Return the next *limit* entries of an export after the mark *after*."""
        query = {**filters, "limit": limit} | ({} if after is None else {"after": after})
        async with self.asked(self.at(f"{of}/export"), query) as response:
            body = await response.read()
            return Part(body, response.headers["X-Audit-Mark"], "next" in response.links)

    async def end(self) -> str:
        """Return the mark behind all that is there by now."""
        nothing: Filters = {"kind": "gaps", "since": datetime.max.replace(tzinfo=UTC)}
        async with self.export(nothing) as exported:
            return exported.mark

    async def follow(
        self, filters: Filters = ALL, after: str | None = None, of: str = ""
    ) -> AsyncGenerator[ServerEvent, None]:
        """Yield the events of the live stream, from the mark *after* on, until it ends."""
        query = filters if after is None else {**filters, "after": after}
        async with self.asked(self.at(f"{of}/stream"), query, _OF_STREAMS) as response:
            async for event in events_of(response.content):
                yield event

    async def sign_in_link(self) -> tuple[str, datetime]:
        """Return a link to the page that signs a browser in, once, and when it expires.

        It signs in as the token that this client shows. Treat it as a password until then.
        """
        url = URL(f"{self._page}/session/link")
        async with self.asked(url, ALL, method="POST") as response:
            link = read(await response.read(), SignInLink)
        return f"{self._page}#sign-in={link.code}", link.expires_at


@asynccontextmanager
async def open_client(
    url: str, token: str | None = None, connector: BaseConnector | None = None
) -> AsyncIterator[AuditClient]:
    """Yield a client of the audit API at *url* that shows *token*; nothing is asked yet."""
    fields = {} if token is None else {"Authorization": f"Bearer {token}"}
    # Proxies of the environment are used as curl does, and no line of the stream is too long.
    async with ClientSession(
        headers=fields, connector=connector, trust_env=connector is None, read_bufsize=2**20
    ) as session:
        yield AuditClient(session, url)

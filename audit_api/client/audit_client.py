"""The client: one method for each question that the audit API answers."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from aiohttp import BaseConnector, ClientError, ClientResponse, ClientSession, ClientTimeout
from yarl import URL

from audit_api.client.refusals import AuditApiError, OutOfReachError, refusal
from audit_api.client.server_events import ServerEvent, events_of
from audit_api.client.shapes import Count, Entry, Gap, Read, Session, ToolCall

PAGE: Final = 500
"""The most that one page has."""
# The live stream sends a heartbeat every 15 s; PostgreSQL has 300 s for the next row of an export.
_OF_STREAMS: Final = ClientTimeout(sock_connect=10, sock_read=45)
_OF_OTHERS: Final = ClientTimeout(sock_connect=10, sock_read=330)
Value = str | int | float | datetime | UUID | Sequence[str]
Filters = Mapping[str, Value]
"""Filters by their names in docs/api.md, with an operator where it has one: `token_name!`."""
ALL: Final[Filters] = MappingProxyType({})
TOOL_CALLS: Final = "/invocations"
"""Given as *of*: tool calls, in place of entries."""
Shape = TypeVar("Shape")


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


class AuditClient:
    """Asks one audit API. Methods raise `AuditApiError`, or a subclass that says what to do."""

    def __init__(self, session: ClientSession, url: str) -> None:
        """Ask at *url* through *session*, whose fields carry the token."""
        self._session = session
        self._url = f"{url.rstrip('/')}/api/v1/settings/mcp-audit"

    def entries(self, filters: Filters = ALL, limit: int | None = None) -> AsyncIterator[Entry]:
        """Yield the entries that match *filters* with all details, newest first."""
        return self._each("", {"expand": "details", **filters}, Entry, limit)

    def tool_calls(
        self, filters: Filters = ALL, limit: int | None = None
    ) -> AsyncIterator[ToolCall]:
        """Yield the tool calls that match *filters*, newest first."""
        return self._each(TOOL_CALLS, filters, ToolCall, limit)

    def sessions(self, filters: Filters = ALL, limit: int | None = None) -> AsyncIterator[Session]:
        """Yield the sessions with a tool call that matches *filters*, last used first."""
        return self._each("/sessions", filters, Session, limit)

    async def entry(self, id_: UUID) -> Entry:
        """Return one entry; raise NothingFoundError if there is none."""
        return await self.ask(f"/entries/{id_}", ALL, Entry)

    async def tool_call(self, id_: UUID) -> ToolCall:
        """Return one tool call with its API calls; raise NothingFoundError if there is none."""
        return await self.ask(f"{TOOL_CALLS}/{id_}", ALL, ToolCall)

    async def session(self, id_: UUID) -> Session:
        """Return one session with its tool calls; raise NothingFoundError if there is none."""
        return await self.ask(f"/sessions/{id_}", {"limit": PAGE}, Session)

    async def gaps(self, filters: Filters = ALL) -> list[Gap]:
        """Return the newest gaps in the time of *filters*, `since` and `until`; 500 at most."""
        return await self.ask("/gaps", {"limit": PAGE, **filters}, list[Gap])

    def reads(self, filters: Filters = ALL, limit: int | None = None) -> AsyncIterator[Read]:
        """Yield who read the audit log, newest first."""
        return self._each("/reads", filters, Read, limit)

    async def counts(self, by: str, filters: Filters = ALL) -> list[Count]:
        """Return the values of *by*, such as `token` or `object`, with the most calls."""
        return await self.ask("/stats", {"by": by, **filters}, list[Count])

    @asynccontextmanager
    async def export(self, filters: Filters = ALL, of: str = "") -> AsyncIterator[Export]:
        """Yield an export of all that matches; it is whole if its pieces end without an error."""
        async with self._asked(self._at(f"{of}/export"), filters) as response:
            yield Export(response.headers["X-Audit-Mark"], response.content.iter_any())

    async def part(self, filters: Filters, after: str | None, limit: int, of: str = "") -> Part:
        """Return the next *limit* entries of an export after the mark *after*."""
        query = {**filters, "limit": limit} | ({} if after is None else {"after": after})
        async with self._asked(self._at(f"{of}/export"), query) as response:
            body = await response.read()
            return Part(body, response.headers["X-Audit-Mark"], "next" in response.links)

    async def follow(
        self, filters: Filters = ALL, after: str | None = None, of: str = ""
    ) -> AsyncGenerator[ServerEvent, None]:
        """Yield the events of the live stream, from the mark *after* on, until it ends."""
        query = filters if after is None else {**filters, "after": after}
        async with self._asked(self._at(f"{of}/stream"), query, _OF_STREAMS) as response:
            async for event in events_of(response.content):
                yield event

    async def ask(self, path: str, filters: Filters, shape: type[Shape]) -> Shape:
        """Return the response at *path*, below `/api/v1/settings/mcp-audit`, as *shape*.

        With the shape `msgspec.Raw` it is what the service wrote; so with `pages`.
        """
        async with self._asked(self._at(path), filters) as response:
            return _read(await response.read(), shape)

    async def pages(
        self, path: str, filters: Filters, shape: type[Shape], limit: int | None = None
    ) -> AsyncIterator[list[Shape]]:
        """Yield the list at *path* page by page, *limit* items at most in all."""
        left, url = limit, self._at(path)
        query: Filters = {**filters, "limit": PAGE if limit is None else min(limit, PAGE)}
        while left is None or left > 0:
            async with self._asked(url, query) as response:
                page: list[Shape] = _read(await response.read(), list[shape])  # type: ignore[valid-type]
                following = response.links.get("next")
            yield page[:left]
            if following is None:
                return
            left = None if left is None else left - len(page)
            url, query = URL(str(following["url"])), ALL

    async def _each(
        self, path: str, filters: Filters, shape: type[Shape], limit: int | None
    ) -> AsyncIterator[Shape]:
        async for page in self.pages(path, filters, shape, limit):
            for item in page:
                yield item

    def _at(self, path: str) -> URL:
        return URL(self._url + path)

    @asynccontextmanager
    async def _asked(
        self, url: URL, filters: Filters, limits: ClientTimeout = _OF_OTHERS
    ) -> AsyncIterator[ClientResponse]:
        url = url.extend_query([(name, _text(value)) for name, value in filters.items()])
        try:
            async with self._session.get(url, allow_redirects=False, timeout=limits) as response:
                if response.status != HTTPStatus.OK:
                    raise refusal(response.status, await response.read())
                yield response
        except ClientError as error:  # not those of the block that reads the response
            told = (isinstance(error, OSError) and error.strerror) or str(error)
            raise OutOfReachError(f"the audit API cannot be reached: {told}") from None


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


def _read(body: bytes, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AuditApiError(f"this is no response of the audit API: {error}") from None


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, str | int | float | UUID) else ",".join(value)

"""HTTP as the client speaks it: one request, and lists page by page."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from yarl import URL

from audit_api.client.refusals import AuditApiError, OutOfReachError, refusal

PAGE: Final = 500
"""The most that one page has."""
# PostgreSQL has 300 s for the next row of an export.
_PATIENCE: Final = ClientTimeout(sock_connect=10, sock_read=330)
_DONE: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})
Value = str | int | float | datetime | UUID | Sequence[str]
Filters = Mapping[str, Value]
"""Filters by their names in docs/api.md, with an operator where it has one: `token_name!`."""
ALL: Final[Filters] = MappingProxyType({})
Shape = TypeVar("Shape")


class Asking:
    """Asks one audit API by path. Methods raise what `AuditClient` says."""

    def __init__(self, session: ClientSession, url: str) -> None:
        """Ask at *url* through *session*, whose fields carry the token."""
        self._session = session
        self._url = f"{url.rstrip('/')}/api/v1/settings/mcp-audit"

    async def ask(self, path: str, filters: Filters, shape: type[Shape]) -> Shape:
        """Return the response at *path*, below `/api/v1/settings/mcp-audit`, as *shape*.

        With the shape `msgspec.Raw` it is what the service wrote; so with `pages`.
        """
        async with self.asked(self.at(path), filters) as response:
            return read(await response.read(), shape)

    async def pages(
        self, path: str, filters: Filters, shape: type[Shape], limit: int | None = None
    ) -> AsyncIterator[list[Shape]]:
        """Yield the list at *path* page by page, *limit* items at most in all."""
        left, url = limit, self.at(path)
        query: Filters = {**filters, "limit": PAGE if limit is None else min(limit, PAGE)}
        while left is None or left > 0:
            async with self.asked(url, query) as response:
                page: list[Shape] = read(await response.read(), list[shape])  # type: ignore[valid-type]
                following = response.links.get("next")
            yield page[:left]
            if following is None:
                return
            left = None if left is None else left - len(page)
            url, query = URL(str(following["url"])), ALL

    async def each(
        self, path: str, filters: Filters, shape: type[Shape], limit: int | None
    ) -> AsyncIterator[Shape]:
        """Yield the items of the list at *path*, *limit* at most."""
        async for page in self.pages(path, filters, shape, limit):
            for item in page:
                yield item

    def at(self, path: str) -> URL:
        """Return the URL of *path*, below `/api/v1/settings/mcp-audit`."""
        return URL(self._url + path)

    @asynccontextmanager
    async def asked(
        self,
        url: URL,
        filters: Filters,
        limits: ClientTimeout = _PATIENCE,
        *,
        method: str = "GET",
    ) -> AsyncIterator[ClientResponse]:
        """Yield the response at *url*; raise what `refusal` makes of another than 200 or 201."""
        url = url.extend_query([(name, _text(value)) for name, value in filters.items()])
        try:
            async with self._session.request(
                method, url, allow_redirects=False, timeout=limits
            ) as response:
                if response.status not in _DONE:
                    raise refusal(response.status, await response.read())
                yield response
        except ClientError as error:  # not those of the block that reads the response
            told = (isinstance(error, OSError) and error.strerror) or str(error)
            raise OutOfReachError(f"the audit API cannot be reached: {told}") from None


def read(body: bytes, shape: type[Shape]) -> Shape:
    """Return *body* as *shape*; raise AuditApiError if it is none."""
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

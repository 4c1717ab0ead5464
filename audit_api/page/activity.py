"""Serves the Activity Log page. The page contains no data: it fetches entries from the API."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from aiohttp import hdrs, web
from rcssmin import cssmin
from rjsmin import jsmin

from audit_api.page.policy import PAGE_FIELDS

PAGE_PATH: Final = "/settings/mcp/activity"

_HOME: Final = Path(__file__).parent
# Without comments and spare blanks it is a quarter less to load.
_MINIFIERS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {".css": cssmin, ".js": jsmin}
)
_CONTENT_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".css": "text/css",
        ".html": "text/html",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
    }
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page, read once. Its ETag depends on its bytes only."""

    body: bytes
    content_type: str
    tag: str

    @classmethod
    def read(cls, file: Path) -> Self:
        """Return *file* as it is served: scripts and styles without comments."""
        body = file.read_bytes()
        if (minify := _MINIFIERS.get(file.suffix)) is not None:
            body = minify(body.decode()).encode()
        return cls(body, _CONTENT_TYPES[file.suffix], hashlib.sha256(body).hexdigest()[:32])

    def response(self, request: web.Request) -> web.Response:
        """Return this asset, or 304 if the browser's copy is current."""
        # Cached but revalidated each time: a new release must not run with modules of the old one.
        fields = {**PAGE_FIELDS, hdrs.CACHE_CONTROL: "no-cache", hdrs.ETAG: f'"{self.tag}"'}
        if any(known.value in (self.tag, "*") for known in request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=fields)
        return web.Response(
            body=self.body, headers=fields, content_type=self.content_type, charset="utf-8"
        )


class ActivityPage:
    """The page and its assets, held in memory: request paths never reach the file system."""

    def __init__(self) -> None:
        self._page = Asset.read(_HOME / "activity.html")
        self._assets = {file.name: Asset.read(file) for file in (_HOME / "assets").iterdir()}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the page and its assets."""
        return [
            web.get(PAGE_PATH, self._respond_page, name="page"),
            web.get(f"{PAGE_PATH}/", self._redirect_to_page),
            web.get(f"{PAGE_PATH}/assets/{{name}}", self._respond_asset, name="asset"),
        ]

    async def _respond_page(self, request: web.Request) -> web.Response:
        return self._page.response(request)

    async def _redirect_to_page(self, _request: web.Request) -> web.Response:
        # The page's URLs are relative, so that it works at any origin and prefix. They are
        # resolved against the path without the slash.
        fields = {**PAGE_FIELDS, hdrs.LOCATION: "../activity"}
        return web.Response(status=HTTPStatus.PERMANENT_REDIRECT, headers=fields)

    async def _respond_asset(self, request: web.Request) -> web.Response:
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        return asset.response(request)

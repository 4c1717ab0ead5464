"""A question of the audit API: declared once, and from that routed, checked and documented."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from aiohttp import hdrs, web

from audit_api.access.credentials import Credentials, credentials_of
from audit_api.access.gate import Gate
from audit_api.query.params import Nothing, Params, read_path, read_query

SETTINGS_PATH: Final = "/api/v1/settings"

Query_co = TypeVar("Query_co", bound=Params, covariant=True)
Place_co = TypeVar("Place_co", bound=Params, covariant=True)


@dataclass(frozen=True, slots=True)
class Asked(Generic[Query_co, Place_co]):
    """One question by one caller who may ask it."""

    request: web.Request
    query: Query_co
    place: Place_co
    """What the path names."""
    credentials: Credentials

    @property
    def wants_no_body(self) -> bool:
        """Whether it is a HEAD request."""
        return self.request.method == hdrs.METH_HEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A question: where it is asked, with what parameters, and what answers it gets."""

    name: str
    path: str
    """Below `SETTINGS_PATH`; parameters in braces."""
    summary: str
    answers: Mapping[str, Any]
    """The types of the answer's JSON by media type; None where it is no JSON."""
    ask: Callable[[Asked[Any, Any]], Awaitable[web.StreamResponse]]
    query: type[Params] = Nothing
    place: type[Params] = Nothing
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The response fields that it may have, each with its meaning."""
    can_miss: bool = False
    """Whether what the path names may not be there."""

    def route(self, gate: Gate) -> web.RouteDef:
        """Return the route to hang into the application. aiohttp adds HEAD to GET."""
        # Anything up to the next slash, braces too: what is no UUID is told so.
        pattern = self.path.replace("}", ":[^/]+}")
        return web.get(SETTINGS_PATH + pattern, self._handler(gate))

    def _handler(self, gate: Gate) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            # First who is there, then what is wanted: strangers learn nothing.
            credentials = credentials_of(request)
            await gate.admit(credentials)
            query = read_query(self.query, request.query.items())
            place = read_path(self.place, request.match_info)
            return await self.ask(Asked(request, query, place, credentials))

        return answer

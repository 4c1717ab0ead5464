"""An endpoint of the audit API: declared once; routed, validated and documented from that."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from aiohttp import hdrs, web

from audit_api.access.credentials import Credentials
from audit_api.access.door import Door
from audit_api.query.filter_params import Nothing, Params
from audit_api.query.reading import read_path, read_query
from audit_api.reads.one_read import Reading
from audit_log.reads import ReadKind

SETTINGS_PATH: Final = "/api/v1/settings"

Query_co = TypeVar("Query_co", bound=Params, covariant=True)
Place_co = TypeVar("Place_co", bound=Params, covariant=True)


@dataclass(frozen=True, slots=True)
class Asked(Generic[Query_co, Place_co]):
    """One request of an admitted caller, with its validated parameters."""

    request: web.Request
    query: Query_co
    place: Place_co
    """The parameters in the path."""
    credentials: Credentials
    reading: Reading
    """Counts the rows that are told."""

    @property
    def wants_no_body(self) -> bool:
        """Whether it is a HEAD request."""
        return self.request.method == hdrs.METH_HEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One GET endpoint: its path, its parameters, its responses and the method that serves it."""

    name: str
    path: str
    """Below `SETTINGS_PATH`; parameters in braces."""
    summary: str
    responses: Mapping[str, Any]
    """The type of the JSON body by media type; None where the body is not JSON."""
    serve: Callable[[Asked[Any, Any]], Awaitable[web.StreamResponse]]
    query: type[Params] = Nothing
    place: type[Params] = Nothing
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The response fields that it may send, each with its meaning."""
    can_miss: bool = False
    """Whether it responds 404 if the path names nothing that exists."""
    can_contradict: bool = False
    """Whether it responds 409 if what is stored is not what was sealed."""
    kind: ReadKind | None = ReadKind.QUESTION
    """As what a request is recorded; None if it tells nothing of the log."""
    subject: str | None = None
    """What it tells of, if others tell of the same: the page asks several for one view."""

    def route(self, door: Door) -> web.RouteDef:
        """Return the route for the application. aiohttp adds HEAD to GET."""
        # Anything up to the next slash, braces too, so that an invalid UUID gets 422 and not 404.
        pattern = self.path.replace("}", ":[^/]+}")
        return web.get(SETTINGS_PATH + pattern, self._handler(door), name=self.name)

    def _handler(self, door: Door) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def respond(request: web.Request) -> web.StreamResponse:
            # Credentials before parameters: an unauthenticated caller learns nothing from errors.
            admitted = await door.admit(request, self.path)
            query = read_query(self.query, request.query.items())
            place = read_path(self.place, request.match_info)
            kind = self.kind or ReadKind.QUESTION
            path = request.path.removeprefix(SETTINGS_PATH)
            reading = door.reading(request, admitted, kind, path, self.subject)
            response = self.serve(Asked(request, query, place, admitted[0], reading))
            return await (response if self.kind is None else reading.answered(response))

        return respond

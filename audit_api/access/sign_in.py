"""Signing in and out: a browser trades a token for a session that no script can read."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import hdrs, web

from audit_api.access.credentials import credentials_of
from audit_api.access.gate import Gate
from audit_api.access.sessions import COOKIE, LIFETIME
from audit_api.errors import ForbiddenError, InvalidParametersError
from audit_api.responses import empty_response, json_response

SESSION_PATH: Final = "/settings/mcp/activity/session"
CSRF_FIELD: Final = "X-Requested-With"
CSRF_VALUE: Final = "activity-log"
_HTTPS: Final = "https"


class _SignIn(msgspec.Struct, forbid_unknown_fields=True):
    token: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """The only answers that change something: each makes sure that our own page asks for it."""

    gate: Gate

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to hang into the application."""
        return [
            web.get(SESSION_PATH, self._who),
            web.post(SESSION_PATH, self._sign_in),
            web.delete(SESSION_PATH, self._sign_out),
        ]

    async def _who(self, request: web.Request) -> web.Response:
        reader = await self.gate.admit(credentials_of(request))
        return json_response(msgspec.json.encode({"name": reader.name, "role": reader.role}))

    async def _sign_in(self, request: web.Request) -> web.Response:
        _refuse_strange_pages(request)
        try:
            asked = msgspec.json.decode(await request.read(), type=_SignIn)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise InvalidParametersError.of(
                "token", "Input should be a JSON object with a token", "json_invalid", "body"
            ) from None
        answer = empty_response(HTTPStatus.NO_CONTENT)
        answer.set_cookie(
            COOKIE,
            await self.gate.sign_in(asked.token),
            max_age=int(LIFETIME.total_seconds()),
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite="Strict",
        )
        return answer

    async def _sign_out(self, request: web.Request) -> web.Response:
        _refuse_strange_pages(request)
        self.gate.sign_out(credentials_of(request))
        answer = empty_response(HTTPStatus.NO_CONTENT)
        answer.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
        return answer


def _refuse_strange_pages(request: web.Request) -> None:
    """Raise unless our own page asks.

    Another site's form cannot add this field, and its script may only after a CORS preflight,
    which nobody here answers. Where a browser names the origin, it must be ours as well.
    """
    if request.headers.get(CSRF_FIELD) != CSRF_VALUE:
        raise ForbiddenError(f"{CSRF_FIELD}: {CSRF_VALUE} is missing")
    origin = request.headers.get(hdrs.ORIGIN)
    # A proxy before us may have its own idea of Host, and then tells the browser's.
    hosts = (request.headers.get(hdrs.HOST, ""), request.headers.get(hdrs.X_FORWARDED_HOST, ""))
    ours = [host.lower() for host in hosts if host]
    if origin is not None and urlsplit(origin).netloc.lower() not in ours:
        raise ForbiddenError("The request comes from another origin")


def _is_secure(request: web.Request) -> bool:
    """Say whether the browser sees https; one of ours that sends no Origin asks us directly."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None:
        return urlsplit(origin).scheme == _HTTPS
    return request.headers.get(hdrs.X_FORWARDED_PROTO, request.scheme) == _HTTPS

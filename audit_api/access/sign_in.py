"""Signing in and out: a browser exchanges a token for a session cookie that is HttpOnly."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import hdrs, web

from audit_api.access.credentials import credentials_of
from audit_api.access.door import SIGN_IN, Door, shows_nothing
from audit_api.access.sessions import COOKIE, LIFETIME
from audit_api.errors import (
    BodyTimedOutError,
    ForbiddenError,
    InvalidParametersError,
    UnauthorizedError,
)
from audit_api.responses import empty_response, json_response

SESSION_PATH: Final = "/settings/mcp/activity/session"
CSRF_FIELD: Final = "X-Requested-With"
CSRF_VALUE: Final = "activity-log"
BODY_SECONDS: Final = 10.0
"""How long the body of a request may take: it holds one token."""
_HTTPS: Final = "https"


class _SignIn(msgspec.Struct, forbid_unknown_fields=True):
    token: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """The session endpoint. Signing in and out refuse requests that our own page did not send."""

    door: Door

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the session endpoint."""
        return [
            web.get(SESSION_PATH, self._reader, name="page_session"),
            web.post(SESSION_PATH, self._sign_in, name="sign_in"),
            web.delete(SESSION_PATH, self._sign_out, name="sign_out"),
        ]

    async def _reader(self, request: web.Request) -> web.Response:
        if shows_nothing(request):
            # The page asks whether it has to offer the sign-in. That is no try to read.
            raise UnauthorizedError("Not authenticated")
        _, reader = await self.door.admit(request, SIGN_IN)
        return json_response({"name": reader.name, "role": reader.role})

    async def _sign_in(self, request: web.Request) -> web.Response:
        self._refuse_other_pages(request)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                content = await request.read()
        except TimeoutError:
            raise BodyTimedOutError("The body of the request does not come") from None
        try:
            body = msgspec.json.decode(content, type=_SignIn)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise InvalidParametersError.of(
                "token", "Input should be a JSON object with a token", "json_invalid", "body"
            ) from None
        response = empty_response(HTTPStatus.NO_CONTENT)
        response.set_cookie(
            COOKIE,
            await self.door.sign_in(request, body.token),
            max_age=int(LIFETIME.total_seconds()),
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite="Strict",
        )
        return response

    async def _sign_out(self, request: web.Request) -> web.Response:
        self._refuse_other_pages(request)
        self.door.gate.sign_out(credentials_of(request))
        response = empty_response(HTTPStatus.NO_CONTENT)
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
        return response

    def _refuse_other_pages(self, request: web.Request) -> None:
        try:
            _check_origin(request)
        except ForbiddenError as error:
            self.door.refuse(request, error, SIGN_IN)
            raise


def _check_origin(request: web.Request) -> None:
    """Raise ForbiddenError unless our own page sent *request*.

    Another site's form cannot add this field. Its script could only after a CORS preflight, which
    we do not grant. If the browser sends Origin, it must be ours as well.
    """
    if request.headers.get(CSRF_FIELD) != CSRF_VALUE:
        raise ForbiddenError(f"{CSRF_FIELD}: {CSRF_VALUE} is missing")
    origin = request.headers.get(hdrs.ORIGIN)
    # A reverse proxy may change Host; X-Forwarded-Host then has the browser's.
    hosts = (request.headers.get(hdrs.HOST, ""), request.headers.get(hdrs.X_FORWARDED_HOST, ""))
    ours = [host.lower() for host in hosts if host]
    if origin is not None and urlsplit(origin).netloc.lower() not in ours:
        raise ForbiddenError("The request comes from another origin")


def _is_secure(request: web.Request) -> bool:
    """Whether the browser uses https. Without Origin, a proxy or our own listener says so."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None:
        return urlsplit(origin).scheme == _HTTPS
    return request.headers.get(hdrs.X_FORWARDED_PROTO, request.scheme) == _HTTPS

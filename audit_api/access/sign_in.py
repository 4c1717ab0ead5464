"""Signing in and out: a browser exchanges a token, or the code of a link, for a session cookie."""

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
from audit_api.access.sign_in_links import SignInLinks
from audit_api.errors import (
    BodyTimedOutError,
    ForbiddenError,
    InvalidParametersError,
    UnauthorizedError,
)
from audit_api.responses import empty_response, json_response
from audit_log.tokens import hash_token

SESSION_PATH: Final = "/settings/mcp/activity/session"
LINK_PATH: Final = f"{SESSION_PATH}/link"
CSRF_FIELD: Final = "X-Requested-With"
CSRF_VALUE: Final = "activity-log"
BODY_SECONDS: Final = 10.0
"""How long the body of a request may take: it holds one token or code."""
_HTTPS: Final = "https"


class _Shown(msgspec.Struct, forbid_unknown_fields=True):
    """What a browser shows: one of the two."""

    token: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class SignIn:
    """The session endpoint. Signing in and out refuse requests that our own page did not send."""

    door: Door
    links: SignInLinks

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the session endpoint."""
        return [
            web.get(SESSION_PATH, self._reader, name="page_session"),
            web.post(SESSION_PATH, self._sign_in, name="sign_in"),
            web.delete(SESSION_PATH, self._sign_out, name="sign_out"),
            web.post(LINK_PATH, self._make_link, name="sign_in_link"),
        ]

    async def _reader(self, request: web.Request) -> web.Response:
        if shows_nothing(request):
            # The page asks whether it has to offer the sign-in. That is no try to read.
            raise UnauthorizedError("Not authenticated")
        _, reader = await self.door.admit(request, SIGN_IN)
        return json_response({"name": reader.name, "role": reader.role})

    async def _make_link(self, request: web.Request) -> web.Response:
        with self.door.noting_refusal(request, SIGN_IN):
            token_hash = await self.door.gate.token_of(credentials_of(request))
        link = self.links.issue(token_hash)
        told = {"code": link.code, "expires_at": link.expires_at}
        return json_response(told, status=HTTPStatus.CREATED)

    async def _sign_in(self, request: web.Request) -> web.Response:
        self._refuse_other_pages(request)
        shown = await _shown(request)
        response = empty_response(HTTPStatus.NO_CONTENT)
        response.set_cookie(
            COOKIE,
            await self._session(request, shown),
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

    async def _session(self, request: web.Request, shown: _Shown) -> str:
        """Return a new session; raise what `Door.sign_in` raises."""
        if not shown.code:
            return await self.door.sign_in(request, hash_token(shown.token or ""))
        with self.links.redeemed(shown.code) as token_hash:
            if token_hash is not None:
                return await self.door.sign_in(request, token_hash)
        with self.door.noting_refusal(request, SIGN_IN):
            raise UnauthorizedError(
                "This sign-in link was used, has expired, or is of another replica"
            )

    def _refuse_other_pages(self, request: web.Request) -> None:
        with self.door.noting_refusal(request, SIGN_IN):
            _check_origin(request)


async def _shown(request: web.Request) -> _Shown:
    """Return what the body of *request* shows; raise BodyTimedOutError, InvalidParametersError."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            content = await request.read()
    except TimeoutError:
        raise BodyTimedOutError("The body of the request does not come") from None
    try:
        shown = msgspec.json.decode(content, type=_Shown)
    except (msgspec.DecodeError, UnicodeDecodeError):
        shown = _Shown()
    if (shown.token is None) == (shown.code is None):
        raise InvalidParametersError.of(
            "token", "Input should be a JSON object with a token or a code", "json_invalid", "body"
        )
    return shown


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

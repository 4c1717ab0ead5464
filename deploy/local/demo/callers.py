"""Who is calling the demo PodWarden, and what the caller's role allows."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from audit_log.errors import StoreUnavailableError
from audit_log.refusals import refusal_of
from audit_log.tokens import ROLES, Token, hash_token

FindToken = Callable[[str], Awaitable[Token | None]]
"""Finds a token by its hash, in the table that the sidecar uses too."""


class CallersOnly:
    """Responds 401 to a request without a valid token; forwards the others to *app*.

    `/mcp` is guarded like the API: PodWarden requires a token for MCP too.
    """

    def __init__(self, app: ASGIApp, find: FindToken) -> None:
        self._app = app
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass with its caller noted in `scope["state"]`, or respond itself."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            token = await self._find_token(HTTPConnection(scope).headers.get("authorization", ""))
        except StoreUnavailableError:
            answer = _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "The token table is out of reach")
            await answer(scope, receive, send)
            return
        if token is None:
            answer = _refusal(HTTPStatus.UNAUTHORIZED, "Invalid, expired or revoked token")
            await answer(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = token
        await self._app(scope, receive, send)

    async def _find_token(self, authorization: str) -> Token | None:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = await self._find(hash_token(secret.strip()))
        return None if token is None or refusal_of(token, partial(datetime.now, UTC)) else token


def _refusal(status: HTTPStatus, detail: str) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else None
    return JSONResponse({"detail": detail}, status, headers)


def require_role(request: Request, role: str) -> None:
    """Raise 403 unless the caller of *request* has *role* or a higher one."""
    held = request.state.caller.role  # ROLES go from the least to the most
    if held not in ROLES or ROLES.index(held) < ROLES.index(role):
        raise HTTPException(HTTPStatus.FORBIDDEN, f"Role {role} or higher is needed")

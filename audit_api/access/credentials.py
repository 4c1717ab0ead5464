"""The credentials of a request, read from its header fields."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import hdrs, web

from audit_api.access.sessions import COOKIE
from audit_api.errors import UnauthorizedError


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Credentials of one request. Never stored and never logged, hence without repr."""

    authorization: str | None
    cookies: tuple[str, ...] = ()
    """The values of all Cookie fields, without our session cookie."""
    session: str | None = None
    """The value of our session cookie."""

    def __bool__(self) -> bool:
        return self.authorization is not None or bool(self.cookies)


def credentials_of(request: web.Request) -> Credentials:
    """Return the credentials in *request*; UnauthorizedError if unusable."""
    return read_credentials(
        request.headers.getall(hdrs.AUTHORIZATION, ()), request.headers.getall(hdrs.COOKIE, ())
    )


def read_credentials(authorization: Sequence[str], cookies: Sequence[str]) -> Credentials:
    """Return the credentials in the field values of a request; UnauthorizedError if unusable.

    RFC 9110, section 5.3: `Authorization` may occur once. If it occurs twice, PodWarden could use
    another one than we do.
    """
    if len(authorization) > 1:
        raise UnauthorizedError("Several Authorization fields")
    if not all(_is_text(value) for value in (*authorization, *cookies)):
        raise UnauthorizedError("Credentials are not UTF-8 text")
    pairs = [pair.strip(" \t") for field in cookies for pair in field.split(";")]
    ours = [pair for pair in pairs if _is_ours(pair)]
    return Credentials(
        authorization[0] if authorization else None,
        # PodWarden gets all cookies but ours, unchanged.
        tuple(filter(None, map(_without_ours, cookies))) if ours else tuple(cookies),
        ours[0].partition("=")[2] if ours else None,
    )


def mcp_token(authorization: str | None, prefix: str) -> str | None:
    """Return the MCP token of an Authorization value, or None when it carries no such token.

    RFC 9110, section 11.1: the scheme is case-insensitive. Tokens are recognised by their
    prefix; their length may change.
    """
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip(" \t")
    return token if scheme.lower() == "bearer" and token.startswith(prefix) else None


def _is_ours(pair: str) -> bool:
    return pair.partition("=")[0] == COOKIE


def _without_ours(cookies: str) -> str:
    pairs = (pair.strip(" \t") for pair in cookies.split(";"))
    return "; ".join(pair for pair in pairs if not _is_ours(pair))


def _is_text(value: str) -> bool:
    # aiohttp decodes bytes that are not UTF-8 to lone surrogates, which cannot be encoded again.
    return not any("\ud800" <= character <= "\udfff" for character in value)

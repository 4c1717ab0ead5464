"""What a caller shows of itself, read from the fields of its request. Values in, values out."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import hdrs, web

from audit_api.access.sessions import COOKIE
from audit_api.errors import UnauthorizedError


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a caller shows of itself. Kept for one question; never logged, hence no repr."""

    authorization: str | None
    cookies: tuple[str, ...] = ()
    """All but our own."""
    session: str | None = None
    """Our own cookie."""

    def __bool__(self) -> bool:
        return self.authorization is not None or bool(self.cookies)


def credentials_of(request: web.Request) -> Credentials:
    """Return what the caller shows of itself."""
    return read_credentials(
        request.headers.getall(hdrs.AUTHORIZATION, ()), request.headers.getall(hdrs.COOKIE, ())
    )


def read_credentials(authorization: Sequence[str], cookies: Sequence[str]) -> Credentials:
    """Return the credentials in the field values of a request; UnauthorizedError if unusable.

    RFC 9110, section 5.3: `Authorization` may stand once. Which of two is meant would be a guess,
    and PodWarden's guess may be another than ours.
    """
    if len(authorization) > 1:
        raise UnauthorizedError("Several Authorization fields")
    if not all(_is_text(value) for value in (*authorization, *cookies)):
        raise UnauthorizedError("Credentials are not UTF-8 text")
    pairs = [pair.strip(" \t") for field in cookies for pair in field.split(";")]
    ours = [pair for pair in pairs if _is_ours(pair)]
    return Credentials(
        authorization[0] if authorization else None,
        # PodWarden has no use for our cookie; the rest it gets as it came.
        tuple(filter(None, map(_without_ours, cookies))) if ours else tuple(cookies),
        ours[0].partition("=")[2] if ours else None,
    )


def mcp_token(authorization: str | None, prefix: str) -> str | None:
    """Return the MCP token of an Authorization value, or None when it carries no such token.

    RFC 9110, section 11.1: the scheme's case does not matter. A token is known by its prefix;
    nothing is assumed about its length.
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
    # aiohttp keeps bytes that are not UTF-8 as lone surrogates, which neither hash nor travel on.
    return not any("\ud800" <= character <= "\udfff" for character in value)

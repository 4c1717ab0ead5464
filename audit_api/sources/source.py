"""Where the terminal reads: an audit API at a URL, or the database itself."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from audit_api.client.audit_client import AuditClient, open_client

URL: Final = "PODWARDEN_AUDIT_URL"
TOKEN: Final = "PODWARDEN_AUDIT_TOKEN"
DATABASE_URL: Final = "AUDIT_LOG_DATABASE_URL"


class SourceError(Exception):
    """It is not said where to read, or that makes no sense. The message says what to set."""


@dataclass(frozen=True, slots=True)
class Source:
    """One of the two: a URL with its token, or a database."""

    url: str | None = None
    token: str | None = None
    database_url: str | None = None


def source_of(
    environment: Mapping[str, str],
    *,
    url: str | None = None,
    token: str | None = None,
    token_file: Path | None = None,
    database_url: str | None = None,
) -> Source:
    """Return what is given, or else what *environment* says. Raise SourceError."""
    if database_url is not None:
        return Source(database_url=database_url)
    url = url or environment.get(URL)
    if url:
        token = _token(token or environment.get(TOKEN), token_file)
        return Source(url=_checked(url), token=token)
    if environment.get(DATABASE_URL):
        return Source(database_url=environment[DATABASE_URL])
    raise SourceError(
        f"set {URL} and {TOKEN}, or {DATABASE_URL}, to say where the audit log is read"
    )


@asynccontextmanager
async def opened(source: Source) -> AsyncIterator[AuditClient]:
    """Yield a client that reads from *source*, which may be away.

    Raises SourceError for the URL of a database that makes no sense.
    """
    if source.database_url is None:
        async with open_client(source.url or "", source.token) as client:
            yield client
        return
    # Imported late: a question to a URL needs nothing of the service.
    from audit_api.sources.direct import open_direct  # noqa: PLC0415

    async with open_direct(source.database_url) as client:
        yield client


def _token(token: str | None, file: Path | None) -> str | None:
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(f"the token in {file} cannot be read: {error}") from None
    token = (token or "").strip()
    if not token.isprintable() or not token.isascii():
        raise SourceError("the token holds characters that no token has")
    return token or None


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_right = False
    if not is_right:
        raise SourceError(f"`{url}` is no URL of an audit API: write http://host:port")
    return url

"""Where the terminal reads: an audit API at a URL, or the database itself."""

import argparse
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


def source_of(options: argparse.Namespace, environment: Mapping[str, str]) -> Source:
    """Return what *options* name, or else what *environment* does. Raise SourceError."""
    if options.database_url is not None:
        return Source(database_url=options.database_url)
    url = options.url or environment.get(URL)
    if url:
        return Source(url=_checked(url), token=_token(options, environment))
    if environment.get(DATABASE_URL):
        return Source(database_url=environment[DATABASE_URL])
    raise SourceError(
        f"set {URL} and {TOKEN}, or {DATABASE_URL}, to say where the audit log is read"
    )


@asynccontextmanager
async def opened(source: Source) -> AsyncIterator[AuditClient]:
    """Yield a client that reads from *source*."""
    if source.database_url is None:
        async with open_client(source.url or "", source.token) as client:
            yield client
        return
    # Imported late: a question to a URL needs nothing of the service.
    from audit_api.terminal.direct import open_direct  # noqa: PLC0415

    async with open_direct(source.database_url) as client:
        yield client


def _token(options: argparse.Namespace, environment: Mapping[str, str]) -> str | None:
    token = options.token or environment.get(TOKEN)
    if options.token_file is not None:
        try:
            token = Path(options.token_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            told = f"the token in {options.token_file} cannot be read: {error}"
            raise SourceError(told) from None
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

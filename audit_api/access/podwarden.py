"""PodWarden, asked for its judgement on credentials. The only place that sends HTTP requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from audit_api.access.credentials import Credentials
from audit_api.errors import NotNowError

_PATIENCE: Final = ClientTimeout(total=5)


class PodWarden:
    """Judges credentials by answering a request that carries them."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def judge(self, credentials: Credentials) -> int:
        """Return the status with which PodWarden answers *credentials*, as it stands.

        A redirect is not followed: it could carry the credentials elsewhere, and the sign-in page
        at its end would answer 200. Raises NotNowError when there is no answer within 5 s.
        """
        fields = [("Cookie", cookies) for cookies in credentials.cookies]
        if credentials.authorization is not None:
            fields.append(("Authorization", credentials.authorization))
        try:
            async with self._session.get(
                self._url, headers=fields, allow_redirects=False
            ) as response:
                return response.status
        except (TimeoutError, ClientError, OSError) as error:
            raise NotNowError("PodWarden is out of reach") from error


@asynccontextmanager
async def open_podwarden(url: str) -> AsyncIterator[PodWarden]:
    """Yield a PodWarden that judges at *url*. Nothing is sent before the first question.

    No cookie jar: one caller's session must never end up in another's question.
    """
    async with ClientSession(
        cookie_jar=DummyCookieJar(),
        headers={"User-Agent": "podwarden-audit-api"},
        timeout=_PATIENCE,
    ) as session:
        yield PodWarden(session, url)

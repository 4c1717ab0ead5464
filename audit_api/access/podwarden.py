"""Asks PodWarden about credentials. The only module of the audit API that sends HTTP requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from audit_api.access.credentials import Credentials
from audit_api.errors import NotNowError

_TIMEOUT: Final = ClientTimeout(total=5)


class PodWarden:
    """Judges credentials by its response to a request that carries them."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def judge(self, credentials: Credentials) -> int:
        """Return the status of PodWarden's response to *credentials*.

        Redirects are not followed: one could send the credentials elsewhere, and a sign-in page
        at its end would respond 200. Raises NotNowError if there is no response within 5 s.
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
    """Yield PodWarden at *url*. Sends nothing before the first `judge`.

    No cookie jar: one caller's session must never be sent with another caller's request.
    """
    async with ClientSession(
        cookie_jar=DummyCookieJar(),
        headers={"User-Agent": "podwarden-audit-api"},
        timeout=_TIMEOUT,
    ) as session:
        yield PodWarden(session, url)

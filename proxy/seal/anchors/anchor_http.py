"""HTTP to an anchor: one request, its response, and errors in the anchors' own words."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from aiohttp import ClientError, ClientSession, DummyCookieJar, TCPConnector
from yarl import URL

from audit_log.process.disk_thread import in_disk_thread
from audit_log.process.tls import TlsFilesError, client_context
from proxy.seal.anchors.anchor import AnchorAwayError, AnchorRefusedError
from proxy.seal.anchors.anchor_url import AnchorUrl

_MOST_BYTES: Final = 256 * 1024
"""Of a response: a time stamp with its certificates takes about 8 KiB."""
_MOST_SHOWN: Final = 120
_NOT_NOW: Final = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Reply:
    """A response with its whole body."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def text(self) -> str:
        """The first characters of the body, printable and on one line, for an operator."""
        text = " ".join(self.body.decode(errors="replace").split())[:_MOST_SHOWN]
        return "".join(char if char.isprintable() else "?" for char in text)

    def refusal(self) -> AnchorRefusedError:
        """Return the error that an unexpected status means."""
        said = f": {self.text}" if self.text else ""
        return AnchorRefusedError(f"it responded {self.status}{said}")


async def tls_of(url: AnchorUrl) -> ssl.SSLContext:
    """Return what the server of *url* is verified with; raise AnchorAwayError if files are bad."""
    try:
        # The system's certificates take 70 ms to read, and a volume may hang.
        return await in_disk_thread("anchor-tls", client_context, url.authorities, url.client)
    except TlsFilesError as error:
        raise AnchorAwayError(str(error)) from None


class Http:
    """Requests to one anchor, over connections that are kept open."""

    def __init__(self, url: AnchorUrl, *, is_secure: bool) -> None:
        self._url = url
        self._is_secure = is_secure
        self._session: ClientSession | None = None

    async def request(
        self,
        method: str,
        place: URL,
        body: bytes = b"",
        fields: Mapping[str, str] = MappingProxyType({}),
    ) -> Reply:
        """Send one request; return the response.

        Raise AnchorAwayError when there is none, or one that says "not now". Redirects are not
        followed: the operator chose this address and no other.
        """
        try:
            session = await self._opened()
            async with session.request(
                method, place, data=body, headers=fields, allow_redirects=False
            ) as response:
                content = await response.content.read(_MOST_BYTES)
                while len(content) < _MOST_BYTES and (
                    more := await response.content.read(_MOST_BYTES - len(content))
                ):
                    content += more
                reply = Reply(response.status, response.headers.copy(), content)
        except (ClientError, OSError) as error:
            raise AnchorAwayError(_reason_of(error)) from None
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or reply.status in _NOT_NOW:
            raise AnchorAwayError(f"it responded {reply.status}")
        return reply

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _opened(self) -> ClientSession:
        if self._session is None:
            tls = await tls_of(self._url) if self._is_secure else False
            self._session = ClientSession(
                connector=TCPConnector(limit=2, ssl=tls), cookie_jar=DummyCookieJar()
            )
        return self._session


def _reason_of(error: ClientError | OSError) -> str:
    """Return what to tell of *error*: not its message, which may quote a URL with a password."""
    cause = getattr(error, "certificate_error", None) or error
    said = getattr(cause, "verify_message", None) or getattr(cause, "strerror", None)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__

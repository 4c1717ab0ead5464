"""What a service reaches over the network: HTTP servers and NATS. Nothing is sent to them."""

import asyncio
import os
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from yarl import URL

from audit_log.errors import StoreUnavailableError
from audit_log.process.disk_thread import in_disk_thread
from audit_log.process.settings import NatsSettings
from audit_log.process.tls import KeyPair, TlsFilesError, client_context
from deploy.checks.check import Check, CheckFailedError


async def resolve(host: str) -> None:
    """Raise CheckFailedError if *host* has no address.

    In a thread of its own: the event loop would wait at its end for a resolver that hangs.
    """
    try:
        await in_disk_thread("check-resolver", socket.getaddrinfo, host, None)
    except (OSError, UnicodeError) as error:
        raise CheckFailedError(f"{host} has no address ({_reason(error)})") from None


def http_check(
    setting: str, url: str, *, authorities: Path | None = None, shown: KeyPair | None = None
) -> Check:
    """Return the check that a connection to the origin of *url*, which *setting* gives, opens.

    An https server is verified by the *authorities* in a file, or else by the system's, and is
    *shown* a client certificate.
    """
    address = URL(url)
    host, port = address.host or "", address.port or 0

    async def look() -> str:
        try:
            tls = client_context(authorities, shown) if address.scheme == "https" else None
            await resolve(host)
            _, writer = await asyncio.open_connection(host, port, ssl=tls)
        except (TlsFilesError, CheckFailedError) as error:
            raise CheckFailedError(f"{error}: see {setting}") from None
        except OSError as error:  # an ssl.SSLError is one too
            raise CheckFailedError(
                f"{host} port {port} cannot be reached ({_reason(error)}):"
                f" start it, or correct {setting}"
            ) from None
        writer.transport.abort()
        return f"{host} port {port} can be reached"

    return Check(setting, look)


def nats_check(settings: NatsSettings, application: str, *, needs_stream: bool) -> Check:
    """Return the check that NATS lets *application* in.

    With *needs_stream* say also whether the stream is there; a service that needs it makes it.
    """

    async def look() -> str:
        # The NATS client takes 2 MiB, and most do without.
        from audit_log.nats.jetstream import open_jetstream  # noqa: PLC0415

        for server in settings.servers:
            await resolve(urlsplit(server).hostname or "")
        try:
            async with open_jetstream(settings, application=application) as jetstream:
                await jetstream.connect()
                if not needs_stream:
                    return "NATS lets us in"
                if await jetstream.has_stream():
                    return f"NATS lets us in, and has the stream {settings.stream}"
                return f"NATS lets us in; the stream {settings.stream} is made at the first start"
        except StoreUnavailableError as error:
            raise CheckFailedError(
                f"{error}: start the servers, or correct AUDIT_LOG_NATS_URLS and"
                " AUDIT_LOG_NATS_CREDENTIALS_FILE"
            ) from None

    return Check("AUDIT_LOG_NATS_URLS", look)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, OSError) and error.errno:
        # The event loop says the address once more, before the reason.
        return os.strerror(error.errno)
    return str(error)

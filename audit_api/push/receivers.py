"""The receivers that the settings name."""

from contextlib import AsyncExitStack
from typing import Final
from urllib.parse import urlsplit

from aiohttp import ClientSession, DummyCookieJar, TCPConnector

from audit_api.push.items import Receiver
from audit_api.push.otlp import Otlp
from audit_api.push.push_settings import PushSettings
from audit_api.push.syslog import Syslog
from audit_api.push.webhook import Webhook
from audit_log.process.tls import client_context
from audit_log.webhooks import signing_key

_CA_FILE: Final = "AUDIT_PUSH_CA_FILE"


async def receivers_of(settings: PushSettings, stack: AsyncExitStack) -> list[Receiver]:
    """Return the receivers of the whole log, open as long as *stack*. Raises TlsFilesError."""
    receivers: list[Receiver] = []
    if settings.otlp_url is not None:
        fields = {}
        if settings.otlp_header is not None:
            name, _, value = settings.otlp_header.get_secret_value().partition(":")
            fields = {name.strip(): value.strip()}
        session = await _session(settings, stack, fields)
        receivers.append(Otlp(session, settings.otlp_url))
    if settings.syslog_url is not None:
        parts = urlsplit(settings.syslog_url)
        assert parts.hostname is not None
        assert parts.port is not None
        tls = client_context(settings.ca_file, settings.client_pair, _CA_FILE)
        syslog = Syslog(parts.hostname, parts.port, tls if parts.scheme == "tls" else None)
        stack.callback(syslog.close)
        receivers.append(syslog)
    return receivers


async def webhook_of(settings: PushSettings, stack: AsyncExitStack) -> Webhook | None:
    """Return the receiver of rules, open as long as *stack*, if there is one.

    Raises TlsFilesError.
    """
    if settings.webhook_url is None or settings.webhook_secret is None:
        return None
    session = await _session(settings, stack, {})
    key = signing_key(settings.webhook_secret.get_secret_value())
    return Webhook(session, settings.webhook_url.get_secret_value(), key)


async def _session(
    settings: PushSettings, stack: AsyncExitStack, fields: dict[str, str]
) -> ClientSession:
    tls = client_context(settings.ca_file, settings.client_pair, _CA_FILE)
    return await stack.enter_async_context(
        ClientSession(
            headers=fields,
            connector=TCPConnector(ssl=tls),
            cookie_jar=DummyCookieJar(),
            trust_env=True,
        )
    )

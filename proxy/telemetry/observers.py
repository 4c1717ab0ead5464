"""The observers of calls beside the audit log: the log of calls, tracing and the webhook."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from proxy.audit.exchange import Observer
from proxy.audit.tally import Tally
from proxy.telemetry.call_log import log_call
from proxy.telemetry.health import Health
from proxy.telemetry.tracing import Export, TracingUnavailableError, tracing
from proxy.telemetry.webhook.announcer import Announcer
from proxy.telemetry.webhook.event import signing_key
from proxy.telemetry.webhook.seen_tokens import SeenTokens
from proxy.telemetry.webhook.sender import announcing

SEEN_TOKENS_FILE = "seen-tokens"
"""In the journal folder, which belongs to this sidecar alone."""


class ObserverSettings(Protocol):
    """Which observers there are: all that is needed here of the sidecar's settings."""

    @property
    def log_requests(self) -> bool:
        """Whether each audited call is logged."""

    @property
    def tracing(self) -> bool:
        """Whether spans are sent."""

    @property
    def webhook_url(self) -> SecretStr | None:
        """Where events are sent; None for no webhook."""

    @property
    def webhook_secret(self) -> SecretStr | None:
        """What events are signed with; set if the URL is."""

    @property
    def journal_dir(self) -> Path:
        """The journal folder."""


@asynccontextmanager
async def observing(
    settings: ObserverSettings, instance: str, tally: Tally, health: Health
) -> AsyncIterator[Sequence[Observer]]:
    """Yield the observers of calls that *settings* ask for. Raises TracingUnavailableError."""
    observers: list[Observer] = [log_call] if settings.log_requests else []
    async with AsyncExitStack() as stack:
        if settings.tracing:
            sending = tracing(span_export(instance), tally.spans, health)
            observers.append(await stack.enter_async_context(sending))
        announcer = await stack.enter_async_context(
            announcing_events(settings, instance, tally.webhook_events, health)
        )
        if announcer is not None:
            observers.append(announcer.call_ended)
        yield observers


@asynccontextmanager
async def announcing_events(
    settings: ObserverSettings, instance: str, fates: Counter[str], health: Health
) -> AsyncIterator[Announcer | None]:
    """Yield what announces events to the webhook; None if *settings* name none.

    *fates* counts what becomes of the events.
    """
    if settings.webhook_url is None or settings.webhook_secret is None:
        yield None
        return
    async with announcing(
        settings.webhook_url.get_secret_value(),
        signing_key(settings.webhook_secret.get_secret_value()),
        SeenTokens(settings.journal_dir / SEEN_TOKENS_FILE),
        instance=instance,
        fates=fates,
        health=health,
    ) as announcer:
        yield announcer


def span_export(instance: str) -> Export:
    """Return what sends the spans of *instance*. Raises TracingUnavailableError."""
    try:
        # Only here: it needs the extra `otel`, which may be missing, and takes 25 MB.
        from proxy.telemetry.spans import SpanExport  # noqa: PLC0415

        return SpanExport(instance)
    except ImportError as error:
        raise TracingUnavailableError(
            f"OpenTelemetry is not installed ({error});"
            " install requirements/otel.lock, or set PROXY_TRACING=off"
        ) from None
    except ValueError as error:
        raise TracingUnavailableError(f"an OTEL_… variable makes no sense: {error}") from None

"""The observers of calls beside the audit log: the log of calls, tracing and the webhook."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from audit_log.record import Gap
from audit_log.webhooks import signing_key
from proxy.audit.tool_span import TracedInvocation
from proxy.telemetry.call_log import log_call
from proxy.telemetry.health import Health
from proxy.telemetry.tracing import Export, TracedRecord, TracingUnavailableError, tracing
from proxy.telemetry.webhook.announcer import Announcer
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


Observer = Callable[[TracedRecord], None]
"""Is told of each audited call that has ended. Never waits and never raises."""
ToolObserver = Callable[[TracedInvocation], None]
"""The same of each tool call."""


@dataclass(frozen=True, slots=True)
class Fates:
    """What becomes of spans and of the webhook's events."""

    spans: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Observers:
    """What is called when something has happened. Empty unless a setting asks for one."""

    call_ended: Sequence[Observer]
    tool_call_ended: Sequence[ToolObserver]
    announcer: Announcer | None

    @property
    def gap_found(self) -> Callable[[Gap], None] | None:
        """What is called with each gap that is written, or None."""
        return self.announcer.gap_found if self.announcer else None


@asynccontextmanager
async def observing(
    settings: ObserverSettings, instance: str, fates: Fates, health: Health
) -> AsyncIterator[Observers]:
    """Yield the observers that *settings* ask for. Raises TracingUnavailableError."""
    call_ended: list[Observer] = [log_call] if settings.log_requests else []
    tool_call_ended: list[ToolObserver] = []
    announcer = None
    async with AsyncExitStack() as stack:
        if settings.tracing:
            sending = tracing(span_export(instance), fates.spans, health)
            trace = await stack.enter_async_context(sending)
            call_ended.append(trace)
            tool_call_ended.append(trace)
        if settings.webhook_url is not None and settings.webhook_secret is not None:
            announcer = await stack.enter_async_context(
                announcing(
                    settings.webhook_url.get_secret_value(),
                    signing_key(settings.webhook_secret.get_secret_value()),
                    SeenTokens(settings.journal_dir / SEEN_TOKENS_FILE),
                    instance=instance,
                    fates=fates.events,
                    health=health,
                )
            )
            call_ended.append(announcer.call_ended)
        yield Observers(call_ended, tool_call_ended, announcer)


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

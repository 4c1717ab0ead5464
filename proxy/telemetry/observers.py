"""Who watches besides the audit log: the log of calls, tracing and the webhook."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from audit_log.record import Gap
from proxy.audit.exchange import Observer
from proxy.audit.tally import Tally
from proxy.settings import ProxySettings
from proxy.telemetry.call_log import log_call
from proxy.telemetry.health import Health
from proxy.telemetry.tracing import span_export, tracing
from proxy.telemetry.webhook.announcer import Announcer
from proxy.telemetry.webhook.event import signing_key
from proxy.telemetry.webhook.seen_tokens import SeenTokens
from proxy.telemetry.webhook.sender import announcing

SEEN_TOKENS_FILE = "seen-tokens"
"""In the journal directory, which is this sidecar's own."""


@dataclass(frozen=True, slots=True)
class Observers:
    """Who is to be told when something has happened. Nobody, unless a setting asks for it."""

    call_ended: Sequence[Observer]
    announcer: Announcer | None

    @property
    def gap_found(self) -> Callable[[Gap], None] | None:
        """Who is to be told of each gap."""
        return self.announcer.gap_found if self.announcer else None


@asynccontextmanager
async def observing(
    settings: ProxySettings, instance: str, tally: Tally, health: Health
) -> AsyncIterator[Observers]:
    """Yield the watchers that *settings* ask for. Raises TracingUnavailableError."""
    call_ended: list[Observer] = [log_call] if settings.log_requests else []
    announcer = None
    async with AsyncExitStack() as stack:
        if settings.tracing:
            sending = tracing(span_export(instance), tally.spans, health)
            call_ended.append(await stack.enter_async_context(sending))
        if settings.webhook_url is not None and settings.webhook_secret is not None:
            announcer = await stack.enter_async_context(
                announcing(
                    settings.webhook_url.get_secret_value(),
                    signing_key(settings.webhook_secret.get_secret_value()),
                    SeenTokens(settings.journal_dir / SEEN_TOKENS_FILE),
                    instance=instance,
                    fates=tally.webhook_events,
                    health=health,
                )
            )
            call_ended.append(announcer.call_ended)
        yield Observers(call_ended, announcer)

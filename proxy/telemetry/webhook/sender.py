"""Brings events to the receiver, in order, each again until the receiver has it."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from random import SystemRandom
from typing import Final
from uuid import UUID

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from audit_log.process.changes import LoggedState
from audit_log.process.disk_thread import DiskThread
from audit_log.webhooks import signed_fields
from proxy.telemetry.health import Health
from proxy.telemetry.outbox import DELIVERED, DROPPED, Outbox, emptied
from proxy.telemetry.webhook.announcer import CAPACITY, Announcer
from proxy.telemetry.webhook.event import Event, EventType
from proxy.telemetry.webhook.seen_tokens import SeenTokens

REFUSED: Final = "refused"
PATIENCE_SECONDS: Final = 3600.0
"""How long a receiver may respond "not now" to one event before the event counts as refused."""
RESPONSE_SECONDS: Final = 10.0
DRAIN_SECONDS: Final = 2.0
"""How long the stop waits for events that are not delivered."""
_FIRST_DELAY_SECONDS: Final = 0.5
_LONGEST_DELAY_SECONDS: Final = 60.0
_NOT_NOW: Final = frozenset({408, 425, 429})
"""Like 500 and above: a retry may help. Any other status that is not 2xx means "never"."""
_jitter = SystemRandom().uniform
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class ReceiverAwayError(Exception):
    """Not now: the receiver does not respond, or responds that it cannot take the event."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        """The status of its response, or None without one."""


def _receiver_state() -> LoggedState:
    return LoggedState(log, fails="webhook.became_unreachable", works="webhook.became_reachable")


@dataclass(slots=True)
class Sender:
    """Sends the events in *outbox* to *url*, signed with *key*. Run by `emptied`."""

    outbox: Outbox[Event]
    session: ClientSession
    url: str
    key: bytes
    seen: SeenTokens
    disk: DiskThread
    clock: Callable[[], float] = time.monotonic
    _receiver: LoggedState = field(default_factory=_receiver_state)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            for event in await self.outbox.take(1):
                if not await self._is_old(event):
                    await self._deliver(event)

    async def _is_old(self, event: Event) -> bool:
        """Return whether an earlier run has announced *event*, the first use of a token.

        The file was not read yet when the token was used.
        """
        if event.type is not EventType.FIRST_USE:
            return False
        return await self.disk.submit(self.seen.is_kept, UUID(str(event.data["token_id"])))

    async def _deliver(self, event: Event) -> None:
        """Send *event*, with retries, until it is taken, refused, or there is no time left.

        An event that meets "not now" for `PATIENCE_SECONDS` counts as refused: it must not hold up
        all later events.
        """
        delay = _FIRST_DELAY_SECONDS
        responding_since: float | None = None
        while True:
            try:
                status = await self._attempt(event)
            except ReceiverAwayError as error:
                self._receiver.note(str(error))
                if error.status is None:
                    responding_since = None
                elif responding_since is None:
                    responding_since = self.clock()
                elif self.clock() - responding_since >= PATIENCE_SECONDS:
                    await self._note_fate(event, error.status)
                    return
                if not await self.outbox.pause(_jitter(delay / 2, delay)):
                    self.outbox.fates[DROPPED] += 1
                    return
                delay = min(2 * delay, _LONGEST_DELAY_SECONDS)
            else:
                self._receiver.note(None)
                await self._note_fate(event, status)
                return

    async def _attempt(self, event: Event) -> int:
        """Send *event* once; return the status. Raises ReceiverAwayError if a retry may help."""
        fields = signed_fields(event.id, event.body, self.key, int(time.time()))
        try:
            # Redirects are not followed: the operator chose this address and no other.
            async with self.session.post(
                self.url, data=event.body, headers=fields, allow_redirects=False
            ) as response:
                status = response.status
        except (ClientError, OSError) as error:
            # Not the message of the error: it may quote the URL, which can hold a secret.
            raise ReceiverAwayError(
                getattr(error, "strerror", None) or type(error).__name__
            ) from error
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _NOT_NOW:
            raise ReceiverAwayError(f"the receiver answered {status}", status)
        return status

    async def _note_fate(self, event: Event, status: int) -> None:
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            self.outbox.fates[REFUSED] += 1
            log.error("webhook.event_refused", status=status, type=event.type.value, id=event.id)
            return
        self.outbox.fates[DELIVERED] += 1
        if event.type is EventType.FIRST_USE:
            # Only now: if the event is lost, the next run announces the token again.
            try:
                await self.disk.submit(self.seen.keep, UUID(str(event.data["token_id"])))
            except OSError as error:
                log.warning("webhook.seen_tokens_not_kept", error=str(error))


@asynccontextmanager
async def announcing(
    url: str, key: bytes, seen: SeenTokens, *, instance: str, fates: Counter[str], health: Health
) -> AsyncIterator[Announcer]:
    """Yield the announcer of events; send them to the receiver at *url* beside the block."""
    outbox: Outbox[Event] = Outbox(CAPACITY, fates)
    timeout = ClientTimeout(total=RESPONSE_SECONDS)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            ClientSession(timeout=timeout, cookie_jar=DummyCookieJar())
        )
        disk = DiskThread("webhook-seen-tokens")
        stack.callback(disk.end)
        # Not awaited: a disk that hangs holds up no other part of the recorder.
        _ = disk.submit(seen.load)
        sender = Sender(outbox, session, url, key, seen, disk)
        async with emptied(
            outbox, sender.run, "webhook", health=health, drain_seconds=DRAIN_SECONDS
        ):
            yield Announcer(outbox, instance, seen)

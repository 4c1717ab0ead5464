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
from proxy.telemetry.health import Health
from proxy.telemetry.outbox import DELIVERED, DROPPED, Outbox, emptied
from proxy.telemetry.webhook.announcer import CAPACITY, Announcer
from proxy.telemetry.webhook.event import Event, EventType, signed_fields
from proxy.telemetry.webhook.seen_tokens import SeenTokens

REFUSED: Final = "refused"
PATIENCE_SECONDS: Final = 3600.0
"""How long a receiver may go on answering one event with "not now" before that means never."""
ANSWER_SECONDS: Final = 10.0
DRAIN_SECONDS: Final = 2.0
_FIRST_DELAY_SECONDS: Final = 0.5
_LONGEST_DELAY_SECONDS: Final = 60.0
_NOT_NOW: Final = frozenset({408, 425, 429})
"""With those of 500 and more: trying again may help. Anything else but 2xx says never."""
_jitter = SystemRandom().uniform
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class ReceiverAwayError(Exception):
    """Not now: the receiver does not answer, or says that it cannot."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        """What it answered, if it did."""


def _receiver_state() -> LoggedState:
    return LoggedState(log, fails="webhook.became_unreachable", works="webhook.became_reachable")


@dataclass(slots=True)
class Sender:
    """Brings what is in *outbox* to *url*, signed with *key*. Run by `emptied`."""

    outbox: Outbox[Event]
    session: ClientSession
    url: str
    key: bytes
    seen: SeenTokens
    disk: DiskThread
    clock: Callable[[], float] = time.monotonic
    _receiver: LoggedState = field(default_factory=_receiver_state)

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            for event in await self.outbox.take(1):
                await self._deliver(event)

    async def _deliver(self, event: Event) -> None:
        """Try until the receiver has taken or refused *event*, or there is no time left.

        What it always answers with "not now" would keep all later events from it: that is refused.
        """
        delay = _FIRST_DELAY_SECONDS
        answering_since: float | None = None
        while True:
            try:
                status = await self._attempt(event)
            except ReceiverAwayError as error:
                self._receiver.note(str(error))
                if error.status is None:
                    answering_since = None
                elif answering_since is None:
                    answering_since = self.clock()
                elif self.clock() - answering_since >= PATIENCE_SECONDS:
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
        """Send *event*; return the status, unless it says that trying again may help."""
        fields = signed_fields(event, self.key, int(time.time()))
        try:
            # Not where a redirect leads: the address was the operator's choice.
            async with self.session.post(
                self.url, data=event.body, headers=fields, allow_redirects=False
            ) as answer:
                status = answer.status
        except (ClientError, OSError) as error:
            # Not its message: that may quote the address, which can hold a secret.
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
            # Only now: an event that was lost is told again by the next run.
            try:
                await self.disk.submit(self.seen.keep, UUID(str(event.data["token_id"])))
            except OSError as error:
                log.warning("webhook.seen_tokens_not_kept", error=str(error))


@asynccontextmanager
async def announcing(
    url: str, key: bytes, seen: SeenTokens, *, instance: str, fates: Counter[str], health: Health
) -> AsyncIterator[Announcer]:
    """Yield who tells the receiver at *url*; what is told is delivered beside the block."""
    outbox: Outbox[Event] = Outbox(CAPACITY, fates)
    timeout = ClientTimeout(total=ANSWER_SECONDS)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            ClientSession(timeout=timeout, cookie_jar=DummyCookieJar())
        )
        disk = DiskThread("webhook-seen-tokens")
        stack.callback(disk.end)
        work = Sender(outbox, session, url, key, seen, disk).run()
        async with emptied(outbox, work, "webhook", health=health, drain_seconds=DRAIN_SECONDS):
            yield Announcer(outbox, instance, seen)

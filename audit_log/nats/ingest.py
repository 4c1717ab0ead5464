"""The ingest: brings what the sidecars have published into PostgreSQL.

It delivers as the writer of a sidecar does (`audit_log.delivery_loop`), with a stream as its
source. A message is acknowledged only after all its items are inserted or quarantined. A message
that was in hand when the process was killed is therefore delivered again, and the ids of the
records make inserting it twice harmless.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

import structlog

from audit_log.delivery_loop import AnyItem, DeliveryLoop, NamingSink, Sink, kind_of
from audit_log.errors import RecordRefusedError, StoreError, StoreUnavailableError
from audit_log.naming import FindTokens
from audit_log.nats.jetstream import Delivery
from audit_log.nats.messages import (
    GAP,
    INVOCATION,
    RECORD,
    SEALED,
    Message,
    items_of,
    payload_of,
    refused,
)
from audit_log.process.changes import LoggedState
from audit_log.record import AnyRecord
from audit_log.seal.stored import Sealed

LOOK_SECONDS: Final = 5.0
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Stream(Protocol):
    """Where messages come from, and where quarantined items are kept."""

    @property
    def problem(self) -> str | None:
        """Why it may lose messages, or None."""

    async def reach(self) -> None:
        """Return when messages can be fetched; raise StoreUnavailableError."""

    async def fetch(self, seconds: float | None = None) -> list[Delivery]:
        """Return the next messages, none after *seconds*; raise StoreUnavailableError."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Have *messages* kept; raise StoreUnavailableError."""


class Store(Sink, Protocol):
    """Where the records end up."""

    async def reach(self) -> None:
        """Return when records can be kept; raise StoreUnavailableError."""

    async def identity(self) -> str | None:
        """Return what no other store has; None when it cannot be told."""

    async def has(self, record: AnyRecord) -> bool:
        """Say whether *record* is there."""

    async def append_sealed(self, parts: Sequence[Sealed]) -> None:
        """Keep all of *parts*; raise StoreUnavailableError or RecordRefusedError."""


@dataclass(frozen=True, slots=True)
class _Delivered:
    """A message whose items are appended, quarantined or held."""

    delivery: Delivery
    mark: int
    """What the loop held by its end."""
    store: str | None
    """The store that it went to, or an earlier one."""
    had: bool | None
    """Whether its one record was there before, if that was asked."""


class _Identified:
    """Knows which store the records go to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._look_at = 0.0
        self.name: str | None = None

    def look_again(self) -> None:
        """Look as soon as possible: the store that comes back may be another."""
        self._look_at = 0.0

    async def look(self) -> None:
        """Find out who the store is, if that is due."""
        if monotonic() < self._look_at:
            return
        self._look_at = monotonic() + LOOK_SECONDS
        try:
            self.name = await self._store.identity()
        except StoreError as error:
            log.debug("audit.store_not_identified", error=str(error))

    async def has(self, record: AnyRecord) -> bool | None:
        """Say whether the store has *record*; None when that cannot be told."""
        try:
            return await self._store.has(record)
        except RecordRefusedError:
            return True  # it was quarantined, which says nothing of others
        except StoreError:
            return None


class Ingest:
    """Writes what is published until it is cancelled. Any number of them share the stream."""

    def __init__(self, stream: Stream, store: Store, find: FindTokens) -> None:
        self._stream = stream
        self._store = store
        sink = NamingSink(store, find)
        self._appends: dict[str, Callable[[Sequence[Any]], Awaitable[None]]] = {
            RECORD: sink.append,
            INVOCATION: sink.append_invocations,
            GAP: sink.append_gaps,
            SEALED: store.append_sealed,
        }
        self._loop = DeliveryLoop(
            wait=self._wait, recovered=self._note_recovered, quarantine=self._quarantine
        )
        self._fetched: deque[Delivery] = deque()
        self._delivered: deque[_Delivered] = deque()
        """Messages to be acknowledged."""
        self._identified = _Identified(store)
        self._state = LoggedState(
            log, fails="audit.store_unavailable", works="audit.store_recovered"
        )
        self.problem: str | None = "NATS and PostgreSQL have not been reached yet"
        """Why nothing is written at the moment, or None."""
        self.written = 0
        self.quarantined = 0
        self.oldest_unwritten: datetime | None = None
        """When the oldest message was published that waits, as far as is known here."""

    @property
    def quarantined_lately(self) -> str | None:
        """What PostgreSQL refused in the last minutes, and why, or None."""
        return self._loop.quarantined_lately

    async def run(self) -> None:
        """Write until cancelled; wait for NATS and PostgreSQL while they are away."""
        while True:
            # PostgreSQL first: a message that is fetched is withheld from other ingests, and must
            # have somewhere to go.
            await self._loop.patiently(self._reach)
            # Before anything is inserted: a receipt must not name a later store.
            await self._identified.look()
            await self._loop.patiently(self._fetch)
            while self._fetched:
                first = self._fetched[0]
                self.oldest_unwritten = first.published_at
                await self._deliver(first)
                self.oldest_unwritten = first.published_at if first.waiting else None
                await self._settle()
            await self._settle()

    async def _reach(self) -> None:
        await self._store.reach()
        await self._stream.reach()

    async def _fetch(self) -> None:
        # An idle stream must not delay what is tried again.
        self._fetched.extend(await self._stream.fetch(self._loop.seconds_to_retry))

    async def _deliver(self, delivery: Delivery) -> None:
        store, had = self._identified.name, None
        try:
            items: Sequence[Any] = items_of(delivery.kind, delivery.payload)
        except RecordRefusedError as error:
            await self._keep("message", delivery.id, delivery.payload, error)
        else:
            if delivery.is_question and delivery.kind == RECORD and len(items) == 1:
                had = await self._identified.has(items[0])
            await self._loop.deliver(items, partial(self._append, delivery.kind))
        self._delivered.append(_Delivered(self._fetched.popleft(), self._loop.holds, store, had))

    async def _settle(self) -> None:
        """Try again the items that are held apart, and acknowledge what is settled."""
        await self._loop.retry_held()
        while self._delivered and self._loop.has_settled(self._delivered[0].mark):
            first = self._delivered.popleft()
            await first.delivery.acknowledge(first.store, had=first.had)
        for waiting in self._delivered:
            await waiting.delivery.hold()
        self._note_recovered()

    async def _append(self, kind: str, items: Sequence[Any]) -> None:
        await self._appends[kind](items)
        self.written += len(items)

    async def _quarantine(self, item: AnyItem, error: RecordRefusedError) -> None:
        await self._keep(kind_of(item), str(item.id), payload_of(item), error)

    async def _keep(self, kind: str, id_: str, payload: bytes, error: RecordRefusedError) -> None:
        """Keep in the stream, for the operator, what PostgreSQL refuses or cannot be read."""
        message = refused(kind, id_, payload, error)
        await self._loop.patiently(partial(self._stream.publish, [message]))
        self.quarantined += 1
        log.error("audit.record_quarantined", kind=kind, id=id_, reason=str(error))

    async def _wait(self, error: StoreUnavailableError, seconds: float) -> None:
        self._state.note(str(error))
        self.problem = f"nothing is written: {error}"
        self._identified.look_again()
        for delivery in (*self._fetched, *(waiting.delivery for waiting in self._delivered)):
            await delivery.hold()
        await asyncio.sleep(seconds)

    def _note_recovered(self) -> None:
        self._note(self._loop.problem or self._stream.problem)

    def _note(self, problem: str | None) -> None:
        self._state.note(problem)
        self.problem = problem

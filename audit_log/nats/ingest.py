"""The ingest: brings what the sidecars have published into PostgreSQL.

It delivers as the writer of a sidecar does (`audit_log.delivery`), with a stream as its source. A
message is acknowledged only after all its items are inserted or quarantined. A message that was
in hand when the process was killed is therefore delivered again, and the ids of the records make
inserting it twice harmless.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import structlog

from audit_log.delivery import AnyItem, DeliveryLoop, NamingSink, Sink, kind_of
from audit_log.errors import RecordRefusedError, StoreUnavailableError
from audit_log.naming import FindTokens
from audit_log.nats.jetstream import Delivery
from audit_log.nats.messages import (
    GAP,
    INVOCATION,
    RECORD,
    Message,
    items_of,
    payload_of,
    refused,
)
from audit_log.process.changes import LoggedState

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
        }
        self._loop = DeliveryLoop(
            wait=self._wait, recovered=self._note_recovered, quarantine=self._quarantine
        )
        self._fetched: deque[Delivery] = deque()
        self._delivered: deque[tuple[Delivery, int]] = deque()
        """Messages to be acknowledged, each with what the loop held by its end."""
        self._state = LoggedState(
            log, fails="audit.store_unavailable", works="audit.store_recovered"
        )
        self.problem: str | None = "NATS and PostgreSQL have not been reached yet"
        """Why nothing is written at the moment, or None."""
        self.written = 0
        self.quarantined = 0
        self.oldest_unwritten: datetime | None = None
        """When the oldest message was published that waits, as far as is known here."""

    async def run(self) -> None:
        """Write until cancelled; wait for NATS and PostgreSQL while they are away."""
        while True:
            # PostgreSQL first: a message that is fetched is withheld from other ingests, and must
            # have somewhere to go.
            await self._loop.patiently(self._reach)
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
        try:
            items: Sequence[Any] = items_of(delivery.kind, delivery.payload)
        except RecordRefusedError as error:
            await self._keep("message", delivery.id, delivery.payload, error)
        else:
            await self._loop.deliver(items, partial(self._append, delivery.kind))
        self._delivered.append((self._fetched.popleft(), self._loop.holds))

    async def _settle(self) -> None:
        """Try again the items that are held apart, and acknowledge what is settled."""
        await self._loop.retry_held()
        while self._delivered and self._loop.has_settled(self._delivered[0][1]):
            await self._delivered.popleft()[0].acknowledge()
        for delivery, _ in self._delivered:
            await delivery.hold()
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
        for delivery in (*self._fetched, *(delivery for delivery, _ in self._delivered)):
            await delivery.hold()
        await asyncio.sleep(seconds)

    def _note_recovered(self) -> None:
        self._note(self._loop.problem or self._stream.problem)

    def _note(self, problem: str | None) -> None:
        self._state.note(problem)
        self.problem = problem

"""The ingest: brings what the sidecars have published into PostgreSQL.

A message is acknowledged only after all it holds is inserted, or set aside. So whatever is killed
in between, it is delivered again; and the ids of the records make inserting twice harmless.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from random import SystemRandom
from typing import Any, Final, Protocol

import structlog

from audit_log.errors import RecordRefusedError, StoreUnavailableError
from audit_log.naming import FindToken, Naming
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
from audit_log.record import AuditRecord, Gap, Invocation

_FIRST_DELAY_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 5.0
_jitter = SystemRandom().uniform
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Stream(Protocol):
    """Where messages come from, and where those go that are refused."""

    async def reach(self) -> None:
        """Return when messages can be fetched; raise StoreUnavailableError."""

    async def fetch(self) -> list[Delivery]:
        """Return the next messages; raise StoreUnavailableError."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Have *messages* kept; raise StoreUnavailableError."""


class Store(Protocol):
    """Where the records end up. Repeating is harmless."""

    async def reach(self) -> None:
        """Return when records can be kept; raise StoreUnavailableError."""

    async def append(self, records: Sequence[AuditRecord]) -> None:
        """Keep all of *records*; raise StoreUnavailableError or RecordRefusedError."""

    async def append_invocations(self, invocations: Sequence[Invocation]) -> None:
        """Keep all of *invocations*; raise StoreUnavailableError or RecordRefusedError."""

    async def append_gaps(self, gaps: Sequence[Gap]) -> None:
        """Keep all of *gaps*; raise StoreUnavailableError or RecordRefusedError."""


class Ingest:
    """Writes what is published until it is cancelled. Any number of them share the stream."""

    def __init__(self, stream: Stream, store: Store, find: FindToken) -> None:
        self._stream = stream
        self._store = store
        self._naming = Naming(find)
        self._held: deque[Delivery] = deque()
        self.problem: str | None = "NATS and PostgreSQL have not been reached yet"
        """Why nothing is written at the moment, or None."""
        self._is_waiting = False
        self.written = 0
        self.refused = 0
        self.oldest_unwritten: datetime | None = None
        """When the oldest message was published that waits, as far as is known here."""

    async def run(self) -> None:
        """Write for ever. Whatever is away is waited for."""
        while True:
            # Nothing is taken from the others that would have no place to go.
            await self._patiently(self._reach)
            await self._patiently(self._fetch)
            while self._held:
                first = self._held[0]
                self.oldest_unwritten = first.published_at
                await self._patiently(partial(self._take, first))
                self.oldest_unwritten = first.published_at if first.waiting else None
                self._held.popleft()

    async def _reach(self) -> None:
        await self._store.reach()
        await self._stream.reach()

    async def _fetch(self) -> None:
        self._held.extend(await self._stream.fetch())

    async def _take(self, delivery: Delivery) -> None:
        try:
            items = items_of(delivery.kind, delivery.payload)
        except RecordRefusedError as error:
            await self._set_aside("message", delivery.id, delivery.payload, error)
        else:
            await self._write(delivery.kind, items)
        await delivery.acknowledge()

    async def _write(self, kind: str, items: Sequence[Any]) -> None:
        """Append *items*, halving what is refused until the one is found that is."""
        try:
            await self._append(kind, items)
        except RecordRefusedError as error:
            if len(items) == 1:
                await self._set_aside(kind, str(items[0].id), payload_of(items[0]), error)
                return
            middle = len(items) // 2
            await self._write(kind, items[:middle])
            await self._write(kind, items[middle:])
        else:
            self.written += len(items)

    async def _append(self, kind: str, items: Sequence[Any]) -> None:
        appends: dict[str, Callable[[Any], Awaitable[None]]] = {
            RECORD: self._store.append,
            INVOCATION: self._store.append_invocations,
            GAP: self._store.append_gaps,
        }
        named = items if kind == GAP else await self._naming.named(items)
        try:
            await appends[kind](named)
        except StoreUnavailableError:
            self._naming.start_over()
            raise

    async def _set_aside(
        self, kind: str, id_: str, payload: bytes, error: RecordRefusedError
    ) -> None:
        """Keep in the stream, for a person, what PostgreSQL refuses or nobody can read."""
        await self._stream.publish([refused(kind, id_, payload, error)])
        self.refused += 1
        log.error("audit.record_refused", kind=kind, id=id_, reason=str(error))

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do *work*, trying again while something is away."""
        delay = _FIRST_DELAY_SECONDS
        while True:
            _heed_cancellation()
            try:
                await work()
            except StoreUnavailableError as error:
                if not self._is_waiting:
                    log.warning("audit.store_unavailable", reason=str(error))
                self._is_waiting = True
                self.problem = f"nothing is written: {error}"
                for delivery in self._held:
                    await delivery.hold()
                await asyncio.sleep(_jitter(delay / 2, delay))
                delay = min(2 * delay, _LONGEST_DELAY_SECONDS)
            else:
                if self._is_waiting:
                    log.info("audit.store_recovered")
                self._is_waiting = False
                self.problem = None
                return


def _heed_cancellation() -> None:
    """Raise CancelledError if the task was cancelled and did not notice.

    The NATS client makes an error of its own of a cancellation that meets a closed connection.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError

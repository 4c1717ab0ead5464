"""The delivery loop: each item reaches the store or quarantine, in order, however long it takes.

The writer of a sidecar and the ingest share it. They differ in where items come from, in what
they do while the store is away, and in where they keep what is quarantined.

Theory of operation. A store rejects in two ways (`audit_log.errors`):

- "Not now" (`StoreUnavailableError`): the same items are appended again, after a delay that
  doubles with each attempt up to a limit. Appending is idempotent: each item has an id.
- "Never" (`RecordRefusedError`): the store does not take these items as they are. The batch is
  halved until the one item is found that is refused. That item is quarantined, and the others are
  appended. Finding one among n costs about 2 log2(n) attempts.

The loop does no I/O of its own: it calls what its owner gives it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import SystemRandom
from typing import Final, Protocol, TypeVar

from audit_log.errors import RecordRefusedError, StoreUnavailableError
from audit_log.naming import FindTokens, Naming
from audit_log.record import AuditRecord, Gap, Invocation

_FIRST_DELAY_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 5.0
_KINDS: Final = {AuditRecord: "record", Invocation: "invocation", Gap: "gap"}
_jitter = SystemRandom().uniform
AnyItem = AuditRecord | Invocation | Gap
Item = TypeVar("Item", AuditRecord, Invocation, Gap)
Append = Callable[[Sequence[Item]], Awaitable[None]]
"""Keeps all items; raises StoreUnavailableError or RecordRefusedError. Repeating is harmless."""
Wait = Callable[[StoreUnavailableError, float], Awaitable[None]]
"""Waits these seconds before the next attempt; raises the error when there is to be none."""
Quarantine = Callable[[AnyItem, RecordRefusedError], Awaitable[None]]
"""Keeps, apart from the audit log, an item that the store refuses."""


class Sink(Protocol):
    """Where items end up: all that delivery needs of a store. Repeating is harmless."""

    async def append(self, records: Sequence[AuditRecord]) -> None:
        """Keep all of *records*; raise StoreUnavailableError or RecordRefusedError."""

    async def append_invocations(self, invocations: Sequence[Invocation]) -> None:
        """Keep all of *invocations*; raise StoreUnavailableError or RecordRefusedError."""

    async def append_gaps(self, gaps: Sequence[Gap]) -> None:
        """Keep all of *gaps*; raise StoreUnavailableError or RecordRefusedError."""


class NamingSink:
    """A sink that adds the names of tokens before it passes items on to another sink."""

    def __init__(self, sink: Sink, find: FindTokens | None) -> None:
        """Pass on to *sink*; ask *find* for names, or pass items on as they are without it."""
        self._sink = sink
        self._naming = Naming(find)

    async def append(self, records: Sequence[AuditRecord]) -> None:
        """Keep all of *records*; raise StoreUnavailableError or RecordRefusedError."""
        await self._append(await self._naming.named(records), self._sink.append)

    async def append_invocations(self, invocations: Sequence[Invocation]) -> None:
        """Keep all of *invocations*; raise StoreUnavailableError or RecordRefusedError."""
        named = await self._naming.named(invocations)
        await self._append(named, self._sink.append_invocations)

    async def append_gaps(self, gaps: Sequence[Gap]) -> None:
        """Keep all of *gaps*; raise StoreUnavailableError or RecordRefusedError."""
        await self._append(gaps, self._sink.append_gaps)

    async def _append(self, items: Sequence[Item], append: Append[Item]) -> None:
        try:
            await append(items)
        except StoreUnavailableError:
            self._naming.start_over()
            raise


class DeliveryLoop:
    """Appends items, with patience while the store is away. Used by one task."""

    def __init__(
        self, *, wait: Wait, recovered: Callable[[], object], quarantine: Quarantine
    ) -> None:
        """Call *wait* after each failed attempt, and *recovered* after each that succeeded."""
        self._wait = wait
        self._recovered = recovered
        self._quarantine = quarantine

    async def deliver(self, items: Sequence[Item], append: Append[Item]) -> None:
        """Append *items* in order; quarantine those that the store refuses.

        Raises StoreUnavailableError only if *wait* does; repeating the call is then harmless.
        """
        pieces = deque([items] if items else [])
        while pieces:
            piece = pieces.popleft()
            try:
                await self.patiently(partial(append, piece))
            except RecordRefusedError as error:
                if len(piece) == 1:
                    await self._quarantine(piece[0], error)
                else:
                    middle = len(piece) // 2
                    pieces.extendleft([piece[middle:], piece[:middle]])

    async def patiently(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Call *attempt* until it raises no StoreUnavailableError, with growing delays."""
        delay = _FIRST_DELAY_SECONDS
        while True:
            _heed_cancellation()
            try:
                await attempt()
            except StoreUnavailableError as error:
                await self._wait(error, _jitter(delay / 2, delay))
                delay = min(2 * delay, _LONGEST_DELAY_SECONDS)
            else:
                self._recovered()
                return


def kind_of(item: AnyItem) -> str:
    """Return what *item* is called where it is quarantined."""
    return _KINDS[type(item)]


def _heed_cancellation() -> None:
    """Raise CancelledError if the task was cancelled and did not notice.

    A client library can turn a cancellation into an error of its own; nats-py does so when the
    cancellation meets a closed connection.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError

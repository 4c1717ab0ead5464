"""The delivery loop: each item reaches the store or quarantine, in order, however long it takes.

The writer of a sidecar and the ingest share it. They differ in where items come from, in what
they do while the store is away, and in where they keep what is quarantined.

Theory of operation. A store rejects in two ways (`audit_log.errors`):

- "Not now" (`StoreUnavailableError`): the same items are appended again, after a delay that
  doubles with each attempt up to a limit. Appending is idempotent: each item has an id. If the
  store was there and failed, fewer items are appended at once, and more again with each success.
- "Never" (`RecordRefusedError`): the store does not take these items as they are. The batch is
  halved until the one item is found that is refused. Finding one among n costs about 2 log2(n)
  attempts. It is held until another item passes, tried once more, and then quarantined. While
  nothing passes, the store is to blame (a new NOT NULL column, for example), and nothing is
  quarantined; only a few items are that no other has followed for `ALONE_SECONDS`: an idle
  sidecar has no other.

- "Not now", and for one item alone: a trigger may reject it with a SQLSTATE that blames no data.
  It is held, and others are appended meanwhile. Held items are tried again; one that failed
  `FAILURES` times while others passed is quarantined. While nothing passes, either the store is to
  blame or several such items follow each other. So twice as many are held after each delay, until
  one passes. One that fails with the text of an item that others passed beside is held at once.
  Before each further attempt the held ones are tried in order, up to the first
  failure, so the order is kept if the store was to blame.

The loop does no I/O of its own: it calls what its owner gives it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import SystemRandom
from time import monotonic
from typing import Final, Protocol, TypeVar

from audit_log.errors import (
    RecordRefusedError,
    StoreAwayError,
    StoreError,
    StoreUnavailableError,
)
from audit_log.naming import FindTokens, Naming
from audit_log.record import AnyRecord, AuditRecord, Gap, Invocation, Named, RecordRow
from audit_log.seal.stored import Sealed

_FIRST_DELAY_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 5.0
FAILURES: Final = 7
"""After so many failures while others passed an item is quarantined: in 6 s or more."""
_FAILURES_UNTIL_HELD: Final = 5
"""In a row. Fewer, and an item would be held for what is over in a moment."""
_MOST_HELD: Final = 100
_MOST_BLAMED: Final = 1_000
"""So many items in a row hold up no other, if an error blames them."""
ALONE_SECONDS: Final = 600.0
"""So long a few items are tried again that the store refuses, if no other comes after them."""
_FEW: Final = 10
TOLD_SECONDS: Final = 600.0
"""So long after a record was quarantined the service is degraded."""
_UNLIMITED: Final = 1 << 30
_KINDS: Final = {AuditRecord: "record", RecordRow: "record", Invocation: "invocation", Gap: "gap"}
_SEALED: Final = "sealed"
_jitter = SystemRandom().uniform
AnyItem = AnyRecord | Invocation | Gap | Sealed
Item = TypeVar("Item", AnyRecord, Invocation, Gap, Sealed)
Append = Callable[[Sequence[Item]], Awaitable[None]]
"""Keeps all items; raises StoreUnavailableError or RecordRefusedError. Repeating is harmless."""
Wait = Callable[[StoreUnavailableError, float], Awaitable[None]]
"""Waits these seconds before the next attempt; raises the error when there is to be none."""
Quarantine = Callable[[AnyItem, RecordRefusedError], Awaitable[None]]
"""Keeps, apart from the audit log, an item that the store refuses."""


class Sink(Protocol):
    """Where items end up: all that delivery needs of a store. Repeating is harmless."""

    async def append(self, records: Sequence[AnyRecord]) -> None:
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

    async def append(self, records: Sequence[AnyRecord]) -> None:
        """Keep all of *records*; raise StoreUnavailableError or RecordRefusedError."""
        await self._append(await self._named(records), self._sink.append)

    async def append_invocations(self, invocations: Sequence[Invocation]) -> None:
        """Keep all of *invocations*; raise StoreUnavailableError or RecordRefusedError."""
        await self._append(await self._named(invocations), self._sink.append_invocations)

    async def append_gaps(self, gaps: Sequence[Gap]) -> None:
        """Keep all of *gaps*; raise StoreUnavailableError or RecordRefusedError."""
        await self._append(gaps, self._sink.append_gaps)

    async def _named(self, items: Sequence[Named]) -> Sequence[Named]:
        try:
            return await self._naming.named(items)
        except StoreUnavailableError as error:
            raise StoreAwayError(str(error)) from error

    async def _append(self, items: Sequence[Item], append: Append[Item]) -> None:
        try:
            await append(items)
        except StoreUnavailableError:
            self._naming.start_over()
            raise


@dataclass(slots=True)
class _Held:
    """An item that fails while others pass."""

    number: int
    item: AnyItem
    append: Callable[[], Awaitable[None]]
    error: StoreError
    passed: int
    """How many pieces had passed when it failed last."""
    since: float
    failures: int = 0
    """While others passed."""
    due: float = 0.0
    delay: float = _FIRST_DELAY_SECONDS

    @property
    def is_refused(self) -> bool:
        """Whether the store said "never" last."""
        return isinstance(self.error, RecordRefusedError)

    def fail(self, error: StoreError, passed: int, now: float) -> None:
        """Note a failure, at *now*. It counts if others have passed since the last one.

        If none came since, it counts if it is the failure that others were seen to pass beside.
        """
        is_same = self.failures > 0 and str(error) == str(self.error)
        self.failures += passed > self.passed or is_same
        self.error, self.passed = error, passed
        self.due = now + self.delay
        self.delay = min(2 * self.delay, _LONGEST_DELAY_SECONDS)


class DeliveryLoop:
    """Appends items, with patience while the store is away. Used by one task."""

    def __init__(
        self,
        *,
        wait: Wait,
        recovered: Callable[[], object],
        quarantine: Quarantine,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Call *wait* after each failed attempt, and *recovered* after each that succeeded."""
        self._clock = clock
        self._wait = wait
        self._recovered = recovered
        self._quarantine = quarantine
        self._most = _UNLIMITED
        self._passed = 0
        self._held: list[_Held] = []
        self._may_hold = 1
        """How many may be held of which none was seen to fail beside others that passed."""
        self._last_quarantined: float | None = None
        self._last_reason = ""
        self.holds = 0
        """How many items were ever held: a mark for `has_settled`."""

    @property
    def problem(self) -> str | None:
        """Which items wait while others are written, and why, or None."""
        if not self._held:
            return None
        doubtful = [held for held in self._held if held.failures]
        if not doubtful:
            return f"{len(self._held)} wait and fail: {self._held[0].error}"
        return f"{len(doubtful)} fail while others are written: {doubtful[0].error}"

    @property
    def quarantined_lately(self) -> str | None:
        """What was quarantined in the last `TOLD_SECONDS`, and why, or None."""
        if self._last_quarantined is None or self._clock() - self._last_quarantined > TOLD_SECONDS:
            return None
        return f"records were quarantined in the last 10 minutes: {self._last_reason}"

    @property
    def seconds_to_retry(self) -> float | None:
        """In how many seconds `retry_held` has something to do; None when nothing is held."""
        due = min((held.due for held in self._to_retry), default=None)
        return None if due is None else max(due - self._clock(), 0)

    def has_settled(self, mark: int) -> bool:
        """Say whether all is appended or quarantined that was held when `holds` was *mark*."""
        return not self._held or self._held[0].number > mark

    async def deliver(self, items: Sequence[Item], append: Append[Item]) -> None:
        """Append *items* in order; quarantine those that the store refuses, hold a doubtful one.

        Raises StoreUnavailableError only if *wait* does; repeating the call is then harmless.
        """
        pieces = deque([items] if items else [])
        passed, failures, delay = self._passed, 0, _FIRST_DELAY_SECONDS
        while pieces:
            _heed_cancellation()
            piece = self._cut(pieces)
            try:
                await append(piece)
            except (RecordRefusedError, StoreUnavailableError) as error:
                failures += 1
                if len(piece) > 1 and self._blames_an_item(error):
                    pieces.extendleft(reversed(_halves(piece)))
                    continue
                if self._is_doubtful(piece, error, failures):
                    # A refusal counts beside others of the same call, even those before it.
                    seen = passed if isinstance(error, RecordRefusedError) else self._passed
                    self._hold(piece[0], partial(append, piece), error, seen)
                    continue
                pieces.appendleft(piece)
                self._shrink(len(piece), error)
                await self._wait(_not_now(error), _jitter(delay / 2, delay))
                delay = min(2 * delay, _LONGEST_DELAY_SECONDS)
                await self._retry(self._held)
                self._may_hold = min(2 * self._may_hold, _MOST_HELD)
            else:
                failures, delay = 0, _FIRST_DELAY_SECONDS
                self._pass()
                await self._retry([held for held in self._held if held.is_refused])
        await self._retry([held for held in self._held if held.is_refused and held.failures])

    async def retry_held(self) -> None:
        """Try again each held item whose delay is over."""
        now = self._clock()
        await self._retry([held for held in self._to_retry if held.due <= now])

    @property
    def _to_retry(self) -> Sequence[_Held]:
        """The held items to be tried again: the first alone while nothing passes."""
        first = self._held[:1]
        is_passing = not first or first[0].failures > 0 or first[0].passed < self._passed
        return self._held if is_passing else first

    @property
    def _are_few_alone(self) -> bool:
        """Say whether a few items are held, and none was added for a long time."""
        is_long = self._clock() - self._held[-1].since >= ALONE_SECONDS
        return len(self._held) <= _FEW and is_long

    async def _retry(self, tried: Sequence[_Held]) -> None:
        """Try again *tried*, in order, up to the first failure while nothing passes."""
        for held in list(tried):
            _heed_cancellation()
            try:
                await held.append()
            except StoreAwayError:
                return
            except (RecordRefusedError, StoreUnavailableError) as error:
                held.fail(error, self._passed, self._clock())
                if not held.failures and not self._are_few_alone:
                    return
                if isinstance(error, RecordRefusedError):
                    await self._give_up(held, error)
                elif held.failures >= FAILURES:
                    reason = f"failed {FAILURES} times while others were written: {error}"
                    await self._give_up(held, RecordRefusedError(reason))
            else:
                self._held.remove(held)
                self._pass()

    async def _give_up(self, held: _Held, error: RecordRefusedError) -> None:
        await self._quarantine(held.item, error)
        self._held.remove(held)
        self._last_quarantined, self._last_reason = self._clock(), str(error)

    def _cut(self, pieces: deque[Sequence[Item]]) -> Sequence[Item]:
        """Take what is appended next off *pieces*."""
        piece = pieces.popleft()
        if len(piece) > self._most:
            pieces.appendleft(piece[self._most :])
        return piece[: self._most]

    def _blames_an_item(self, error: StoreError) -> bool:
        """Say whether *error* is a refusal, or one that others were seen to pass beside."""
        return isinstance(error, RecordRefusedError) or any(
            held.failures and str(held.error) == str(error) for held in self._held
        )

    def _is_doubtful(self, piece: Sequence[Item], error: StoreError, failures: int) -> bool:
        """Say whether the one item of *piece* may be to blame, and not the store."""
        if self._blames_an_item(error):
            return len(self._held) < _MOST_BLAMED
        if len(piece) > 1 or isinstance(error, StoreAwayError) or len(self._held) >= _MOST_HELD:
            return False
        unproven = sum(held.passed == self._passed and not held.failures for held in self._held)
        return failures >= _FAILURES_UNTIL_HELD and unproven < self._may_hold

    def _hold(
        self,
        item: AnyItem,
        append: Callable[[], Awaitable[None]],
        error: StoreError,
        passed: int,
    ) -> None:
        """Hold *item*, which failed after *passed* pieces had passed."""
        self.holds += 1
        held = _Held(self.holds, item, append, error, passed, self._clock())
        held.fail(error, self._passed, self._clock())
        self._held.append(held)

    def _shrink(self, size: int, error: StoreError) -> None:
        """Append fewer than *size* at once: that may pass in time, or without what fails."""
        if not isinstance(error, StoreAwayError):
            self._most = max(size // 2, 1)

    def _pass(self) -> None:
        """Note a success. By an eighth more are appended next: a failure costs a whole attempt."""
        self._passed += 1
        self._may_hold = 1
        self._most = min(self._most + max(self._most // 8, 1), _UNLIMITED)
        self._recovered()

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


def _halves(piece: Sequence[Item]) -> list[Sequence[Item]]:
    middle = len(piece) // 2
    return [piece[:middle], piece[middle:]]


def _not_now(error: StoreError) -> StoreUnavailableError:
    if isinstance(error, StoreUnavailableError):
        return error
    return StoreUnavailableError(f"every record is refused: {error}")


def kind_of(item: AnyItem) -> str:
    """Return what *item* is called where it is quarantined."""
    return _KINDS.get(type(item), _SEALED)


def _heed_cancellation() -> None:
    """Raise CancelledError if the task was cancelled and did not notice.

    A client library can turn a cancellation into an error of its own; nats-py does so when the
    cancellation meets a closed connection.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError

"""Confirmed records that are not in the store are sent again from the journal.

Theory of operation. There are two signs, and the writer looks for them every `LOOK_SECONDS`, and
after each failure:

- *Another store is there*, such as a promoted standby. The ring holds the identity of the store
  that has what is committed. If it has changed, the writer goes back to the oldest record that
  the journal still has. A store loses only the end of what it had. If it lacks even that oldest
  record, it may lack earlier ones too, and a gap of unknown size tells of them.
- *Something did not arrive* (`arrivals`), as from a stream that was wiped. The writer goes back to
  where everything has arrived. What the journal no longer has is a gap.

Everything is appended again, which is harmless: records have ids. The position is moved back
first and the rest noted last, so a kill in between repeats it.
"""

from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from time import monotonic
from typing import Final, Protocol
from uuid import NAMESPACE_OID, uuid5

import structlog

from audit_log.delivery_loop import Sink
from audit_log.errors import (
    RecordRefusedError,
    StatementRefusedError,
    StoreAwayError,
    StoreError,
    StoreUnavailableError,
)
from audit_log.record import AnyRecord, Gap, Invocation
from audit_log.seal.stored import Sealed
from proxy.delivery.arrivals import Arrivals, Receipts
from proxy.journal import STORE_LOST, Batch, Journal, Place

LOOK_SECONDS: Final = 5.0
_FAILURES: Final = 5
_REFUSED_SECONDS: Final = 600.0
"""Until the next look where role or server do not permit it: each costs a connection."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
Patiently = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
"""Repeats what fails "not now"."""


class Destination(Sink, Protocol):
    """A store, or a stream that leads to one, which can be told from another in its place."""

    @property
    def receipts(self) -> Receipts | None:
        """Tells what has arrived; None if that is all that is appended."""

    async def identity(self) -> str | None:
        """Return what no other store has; None when it cannot be told."""

    async def has(self, record: AnyRecord) -> bool:
        """Say whether *record* is there."""

    async def append_sealed(self, parts: Sequence[Sealed]) -> None:
        """Keep *parts* of the seal; raise StoreUnavailableError or RecordRefusedError."""


class ReplacedStore:
    """Finds out that confirmed records are missing, and goes back. Used by the writer's task."""

    def __init__(
        self, store: Destination, journal: Journal, *, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._store = store
        self._look_seconds = look_seconds
        self._journal = journal
        self._back = journal.going_back
        self._arrivals = Arrivals(store.receipts, self._back)
        self._back.note_seen()
        self._found = 0
        self._begun = Place(0, 1, None)
        """Where the log is read again from."""
        self.due_at = 0.0
        """When to look again, by the monotonic clock."""

    @property
    def is_due(self) -> bool:
        """Whether to look now."""
        return monotonic() >= self.due_at

    def note_committed(self) -> None:
        """Note that a batch was committed."""
        self._arrivals.note_committed()

    async def go_back(self, patiently: Patiently) -> list[Gap] | None:
        """Go back if confirmed records are missing; return gaps of those that are not here.

        `note` follows when the gaps are written. None if nothing is missing, or that cannot be
        found out at the moment.
        """
        self.due_at = monotonic() + self._look_seconds
        is_new = await self._is_new()
        self._arrivals.look()
        if not (is_new or self._arrivals.is_missing) or not self._back.is_possible:
            return None
        arrived = None if is_new else self._back.arrived
        is_certain = not is_new and not self._arrivals.is_in_doubt
        is_short = self._back.go_back(arrived)
        log.warning(
            "audit.store_replaced" if is_new else "audit.records_missing",
            bytes_to_send_again=self._journal.unwritten_bytes,
        )
        batch = await self._journal.read() if self._journal.has_unwritten else None
        self._begun = self._beginning(batch)
        # With its number, the next read counts what calls overwrite meanwhile.
        self._back.begin_at(self._begun)
        if not is_short or batch is None or not (batch.records or batch.invocations):
            return []
        if not batch.records:
            return [self._gap(arrived, batch.invocations[0])]
        oldest = batch.records[0]
        if not is_certain and await self._has_patiently(oldest, patiently):
            return []
        return [self._gap(arrived, oldest)]

    def note(self) -> None:
        """Note that the store which was found gets everything from here on."""
        if self._found:
            self._back.store_id = self._found
        self._arrivals.begin_at(self._begun)

    async def _is_new(self) -> bool:
        """Look whether another store is there than the one that has what is committed."""
        try:
            identity = await self._store.identity()
        except StatementRefusedError as error:
            log.warning("audit.store_not_identified", error=str(error))
            self.due_at = monotonic() + _REFUSED_SECONDS
            self._back.note_seen()
            return False
        except StoreError:
            return False  # it is away, which the next batch will say
        if self._arrivals.is_all_there:
            self._back.note_seen()
        if identity is None:
            return False
        self._found = _number_of(identity)
        if not self._back.store_id:
            self._back.store_id = self._found
        return self._back.store_id != self._found

    def _beginning(self, batch: Batch | None) -> Place:
        """Return the place to which the log went back; *batch* is the first from there."""
        begun = self._back.committed
        number = begun.number or (0 if batch is None else batch.first_number)
        return Place(begun.offset, number, None)

    async def _has_patiently(self, oldest: AnyRecord, patiently: Patiently) -> bool:
        had, failures = True, 0

        async def look() -> None:
            nonlocal had, failures
            try:
                had = await self._store.has(oldest)
            except RecordRefusedError:
                had = True  # it was quarantined, which says nothing of others
            except StoreAwayError:
                raise
            except StoreUnavailableError:
                # A record that alone fails, and was quarantined, must not hold up all others.
                failures += 1
                if failures < _FAILURES:
                    raise

        await patiently(look)
        return had

    def _gap(self, arrived: Place | None, oldest: AnyRecord | Invocation) -> Gap:
        """Return the gap of what was between *arrived* and *oldest*.

        Its size is not known if *arrived* is not.
        """
        until, first = oldest.created_at, self._begun.number
        is_known = arrived is not None and 0 < arrived.number < first
        since = arrived.moment if arrived is not None else None
        return Gap(
            id=uuid5(NAMESPACE_OID, f"{STORE_LOST} {self._found} {oldest.id}"),
            started_at=min(since or self._back.began_at or until, until),
            ended_at=until,
            count=first - arrived.number if arrived is not None and is_known else None,
            reason=STORE_LOST,
            instance=oldest.instance or "",
        )


def _number_of(identity: str) -> int:
    return int.from_bytes(blake2b(identity.encode(), digest_size=8).digest(), "big") >> 1 | 1

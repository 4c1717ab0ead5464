"""A store that takes another's place, such as a promoted standby, may lack confirmed records.

Theory of operation. The ring holds the identity of the store that has what is committed. It is
compared every `LOOK_SECONDS`, and after each failure. If it has changed, the writer goes back to
the oldest record that the journal still has and appends everything again, which is harmless:
records have ids. A store loses only the end of what it had. If it lacks even that oldest record,
it may lack earlier ones too, and a gap of unknown size tells of them.

The position is moved back first and the identity noted last, so a kill in between repeats it.
"""

from collections.abc import Awaitable, Callable
from hashlib import blake2b
from time import monotonic
from typing import Final, Protocol
from uuid import NAMESPACE_OID, uuid5

import structlog

from audit_log.errors import (
    RecordRefusedError,
    StatementRefusedError,
    StoreAwayError,
    StoreError,
    StoreUnavailableError,
)
from audit_log.record import AuditRecord, Gap
from proxy.journal import Before, Journal

LOOK_SECONDS: Final = 5.0
_FAILURES: Final = 5
_REFUSED_SECONDS: Final = 600.0
"""Until the next look where role or server do not permit it: each costs a connection."""
STORE_LOST: Final = "store_lost"
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class IdentifiedStore(Protocol):
    """A store that can be told from one that takes its place."""

    async def identity(self) -> str | None:
        """Return what no other store has; None when it cannot be told."""

    async def has(self, record: AuditRecord) -> bool:
        """Say whether *record* is there."""


class ReplacedStore:
    """Finds out that the store was replaced, and goes back. Used by the writer's task."""

    def __init__(self, store: IdentifiedStore, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._found = 0
        self.due_at = 0.0
        """When to look again, by the monotonic clock."""

    @property
    def is_due(self) -> bool:
        """Whether to look now."""
        return monotonic() >= self.due_at

    async def is_new(self) -> bool:
        """Look whether another store is there than the one that has what is committed.

        False when that cannot be found out at the moment.
        """
        self.due_at = monotonic() + LOOK_SECONDS
        going_back = self._journal.going_back
        try:
            identity = await self._store.identity()
        except StatementRefusedError as error:
            log.warning("audit.store_not_identified", error=str(error))
            self.due_at = monotonic() + _REFUSED_SECONDS
            return False
        except StoreError:
            return False  # it is away, which the next batch will say
        if identity is None:
            return False
        self._found = _number_of(identity)
        if not going_back.store_id:
            going_back.store_id = self._found
        return going_back.store_id != self._found and going_back.is_possible

    async def go_back(
        self, patiently: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
    ) -> list[Gap]:
        """Go back to the oldest record; return a gap if earlier ones may be missing.

        `note` follows when the gap is written. *patiently* repeats what fails "not now".
        """
        before = self._journal.going_back.go_back()
        log.warning("audit.store_replaced", bytes_to_send_again=self._journal.unwritten_bytes)
        if before is None or not self._journal.has_unwritten:
            return []
        batch = await self._journal.read()
        if batch is None or not batch.records:
            return []
        oldest, gaps, failures = batch.records[0], [], 0

        async def look() -> None:
            nonlocal failures
            try:
                if not await self._has(oldest):
                    gaps.append(self._gap(before, oldest))
            except StoreAwayError:
                raise
            except StoreUnavailableError:
                # A record that alone fails, and was quarantined, must not hold up all others.
                failures += 1
                if failures < _FAILURES:
                    raise

        await patiently(look)
        return gaps

    def note(self) -> None:
        """Note that the store which was found gets everything from here on."""
        self._journal.going_back.store_id = self._found

    async def _has(self, record: AuditRecord) -> bool:
        try:
            return await self._store.has(record)
        except RecordRefusedError:
            return True  # it was quarantined, which says nothing of others

    def _gap(self, before: Before, oldest: AuditRecord) -> Gap:
        until = oldest.created_at
        return Gap(
            id=uuid5(NAMESPACE_OID, f"{STORE_LOST} {self._found} {oldest.id}"),
            started_at=min(before.began_at or until, until),
            ended_at=until,
            count=None,
            reason=STORE_LOST,
            instance=oldest.instance or "",
        )


def _number_of(identity: str) -> int:
    return int.from_bytes(blake2b(identity.encode(), digest_size=8).digest(), "big") >> 1 | 1

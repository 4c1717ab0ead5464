"""Checkpoints: the root of the tree, signed, brought to disk, and then published.

In this order. A checkpoint that is published has its state on disk, so a log never goes on from
before it. Ed25519 gives one signature for one text, so to sign a size again after a kill gives the
checkpoint that was published, or would have been.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import structlog
from msgspec.structs import replace

from audit_log.errors import (
    RecordRefusedError,
    StatementRefusedError,
    StoreError,
    StoreUnavailableError,
)
from audit_log.process.background import BackgroundTasks
from audit_log.process.changes import LoggedState
from audit_log.process.disk_thread import in_disk_thread
from audit_log.process.sealing.key_file import SealKey, SealKeyError, read_or_make_key
from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.growing.growth import Grown
from audit_log.seal.growing.state import State
from audit_log.seal.keys import NOTE, VerifierKey
from audit_log.seal.note import Note
from audit_log.seal.stored import SealCheckpoint, Sealed, SealLog
from proxy.seal.kept import KeptLog
from proxy.seal.seal import Seal, SealStore

PACE_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 60.0
"""So often a checkpoint is published although nothing is new, so that silence is noticed."""
LATE_SECONDS: Final = 10.0
FAREWELL_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.02
_RETRY_SECONDS: Final = 5.0
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint that is signed, and whose state is on disk."""

    log: int
    checkpoint: Checkpoint
    note: Note
    """The checkpoint with the signature of the log."""
    state: State
    """The log at this size."""


Offer = Callable[[Published], object]
"""Takes a checkpoint for the anchors. Never waits, never raises."""


class Checkpoints:
    """Publishes a checkpoint a second while there is something new."""

    def __init__(
        self,
        seal: Seal,
        store: SealStore,
        instance: str,
        offer: Offer | None,
    ) -> None:
        """Store the checkpoints of *seal* in *store*, and *offer* them to anchors."""
        self.seal = seal
        self._store = store
        self._instance = instance
        self._offer = offer
        self._state = LoggedState(log, fails="seal.not_signed", works="seal.signed")
        self._unstored: Sequence[Sealed] = ()
        self._heartbeat_due = 0.0
        self._stores_with_log = 0
        """Up to which store the log itself was stored."""
        self.published: Published | None = None
        """The newest one of this run."""
        self.published_at: datetime | None = None

    @property
    def problem(self) -> str | None:
        """Why nothing is signed, or None."""
        reason = self._state.reason
        return None if reason is None else f"the seal signs nothing: {reason}"

    @property
    def waiting(self) -> int:
        """How many leaves no checkpoint covers yet."""
        return self.size - self.published.checkpoint.size if self.published else self.size

    @property
    def size(self) -> int:
        """How many leaves the log has."""
        return self.seal.kept.state.size

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            await self.publish()
            await asyncio.sleep(PACE_SECONDS)

    async def publish(self) -> None:
        """Publish a checkpoint if there is something new, or a heartbeat is due."""
        if self.waiting or monotonic() >= self._heartbeat_due:
            key = await self._key()
            grown = self.seal.grown
            if grown.state.size:
                await self._publish(grown, key)
        await self._put_into_store()

    async def _key(self) -> SealKey:
        """Return the key, when it can be read and is that of the log."""
        kept = self.seal.kept
        while True:
            try:
                if kept.key is None:
                    kept.key = await in_disk_thread("seal-key", read_or_make_key, kept.key_file)
            except SealKeyError as error:
                self._state.note(str(error))
            else:
                if not kept.state.key:  # it could not be read when the log began
                    kept.put(replace(kept.state, key=kept.key.public))
                if kept.key.public == kept.state.key:
                    return kept.key
                self._state.note(f"{kept.key_file} holds another key: restart the sidecar")
                kept.key = None
            await asyncio.sleep(_RETRY_SECONDS)

    async def _publish(self, grown: Grown, key: SealKey) -> None:
        state = grown.state
        checkpoint = Checkpoint(state.origin, state.size, grown.tree.root())
        note = sign_checkpoint(checkpoint, *key.signers(state.origin))
        await self._on_disk(state.next_line)
        self.published = Published(state.sealing.log, checkpoint, note, state)
        self.published_at = datetime.now(UTC)
        self._heartbeat_due = monotonic() + HEARTBEAT_SECONDS
        self._unstored = self._parts(self.published)
        if self._offer is not None:
            self._offer(self.published)

    async def _on_disk(self, next_line: int) -> None:
        """Wait until the state with this *next_line*, or a later one, is on disk."""
        kept, began = self.seal.kept, monotonic()
        # The mover is a thread, and wakes no one here.
        while kept.saved_line < next_line:
            kept.is_wanted = True
            if monotonic() - began > LATE_SECONDS:
                self._state.note("the journal's disk does not take the state of the log")
            await asyncio.sleep(_LOOK_SECONDS)
        self._state.note(None)

    def _parts(self, published: Published) -> Sequence[Sealed]:
        """Return what is to be stored of *published*, with the log itself the first time."""
        state, note = published.state, str(published.note)
        checkpoint = SealCheckpoint(published.log, published.checkpoint.size, note)
        if self._stores_with_log == self.seal.stores:
            return (checkpoint,)
        vkey = VerifierKey(state.origin, NOTE, state.key)
        own = SealLog(published.log, state.origin, str(vkey), self._instance, state.first_line)
        return (own, checkpoint)

    async def _put_into_store(self) -> None:
        """Store the newest checkpoint, unless the store is away: then with the next one."""
        stores = self.seal.stores
        if self.published is not None and self._stores_with_log < stores:
            self._unstored = self._parts(self.published)
        if not (parts := self._unstored):
            return
        try:
            await self._store.append_sealed(parts)
        except (StatementRefusedError, RecordRefusedError) as error:
            self._state.note(f"checkpoints cannot be stored: {error}", kind="store")
        except StoreUnavailableError:
            return  # the writer says so
        else:
            self._stores_with_log = stores
            self._unstored = ()


@asynccontextmanager
async def sealing(
    kept: KeptLog | None,
    store: SealStore,
    instance: str,
    tasks: BackgroundTasks,
    offering: Callable[[Seal], Offer] | None = None,
) -> AsyncIterator[Checkpoints | None]:
    """Publish the checkpoints of the log *kept* beside the block, as one of *tasks*.

    At the end of the block the last one is published, in at most `FAREWELL_SECONDS`. *offering*
    makes what takes the checkpoints for the anchors. Nothing is done without a log.
    """
    if kept is None:
        yield None
        return
    seal = Seal(kept, store)
    offer = None if offering is None else offering(seal)
    checkpoints = Checkpoints(seal, store, instance, offer)
    async with tasks.running(checkpoints.run, "seal-checkpoints"):
        yield checkpoints
    with suppress(TimeoutError, StoreError):
        async with asyncio.timeout(FAREWELL_SECONDS):
            await checkpoints.publish()
            await seal.close()

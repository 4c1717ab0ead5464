"""Seals reads: the log of a key of this service's own, and its checkpoints.

Theory of operation. The log grows in the database, in the transaction that stores the reads
(`audit_log/postgres/readers/sealed_reads.py`). Once a second, if it has grown, and once a minute
otherwise, its root is signed: the checkpoint comes to the folder of the key first, then into the
database. The folder refuses a checkpoint that contradicts the one before it, so a log that was
put back to an older state is not signed again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Final

import structlog

from audit_log.errors import SealError, StoreError
from audit_log.postgres.database import Database
from audit_log.postgres.readers.sealed_reads import (
    ReadKey,
    append_event,
    append_sealed_reads,
    begin_log,
    log_state,
)
from audit_log.postgres.seal.seal_tables import SealTables
from audit_log.process.background import BackgroundTasks
from audit_log.process.changes import LoggedState
from audit_log.process.disk_thread import DiskThread
from audit_log.process.sealing.checkpoint_file import ContradictedError, keep_in
from audit_log.process.sealing.key_file import KEY_NAME, SealKey, read_or_make_key
from audit_log.reads import Read
from audit_log.record import Event, new_record_id
from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.growing.growth import Grown
from audit_log.seal.growing.state import State
from audit_log.seal.stored import SealCheckpoint, Sealed

PACE_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 60.0
"""So often a checkpoint is published although nothing is new, so that silence is noticed."""
OPEN_TILE_SECONDS: Final = 3_600.0
"""So often the hashes of the open tile are stored: else a row that the retention lets go while its
tile is open would leave none."""
DISK_SECONDS: Final = 10.0
FAREWELL_SECONDS: Final = 5.0
log: structlog.stdlib.BoundLogger = structlog.get_logger("audit_api")


class ReadSeal:
    """The log of one key. Several processes with the same key share it."""

    def __init__(self, database: Database, folder: Path, key: SealKey, instance: str) -> None:
        self._database = database
        self._folder = folder
        self._key = key
        self._log_key = ReadKey(key.public, key.seed)
        self._instance = instance
        self._thread = DiskThread("read-seal")
        self._is_begun = False
        self._published = 0
        """The size that was last published."""
        self._heartbeat_due = self._open_tile_due = monotonic()
        self._state = LoggedState(log, fails="reads.not_signed", works="reads.signed_again")

    @property
    def problem(self) -> str | None:
        """Why no checkpoint is signed at present, or None."""
        reason = self._state.reason
        return None if reason is None else f"reads are stored and not signed: {reason}"

    async def append(self, reads: Sequence[Read]) -> None:
        """Store *reads* with their places in the log. Raises StoreError."""
        await self._begin()
        await append_sealed_reads(self._database, self._log_key, reads)

    async def keep_publishing(self) -> None:
        """Publish a checkpoint a second while reads come, and one a minute while none does."""
        while True:
            await asyncio.sleep(PACE_SECONDS)
            await self.publish()

    async def publish(self) -> None:
        """Publish the root of now, if it is new or a minute has passed."""
        try:
            await self._begin()
            state = await log_state(self._database, self._log_key)
            if state.size == self._published and monotonic() < self._heartbeat_due:
                return
            await self._sign(state)
        except TimeoutError:
            self._state.note(f"{self._folder} does not respond")
        except (StoreError, SealError, OSError) as error:
            self._state.note(str(error))
        else:
            self._state.note(None)
            self._published = state.size
            self._heartbeat_due = monotonic() + HEARTBEAT_SECONDS

    async def close(self) -> None:
        """Seal that this service has stopped in order, publish that, and end the thread."""
        stop = Event(id=new_record_id(), at=datetime.now(UTC), name="stop")
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await append_event(self._database, self._log_key, stop)
                await self.publish()
        self._thread.end()

    async def _begin(self) -> None:
        if self._is_begun:
            return
        state = await begin_log(self._database, self._log_key, self._instance)
        self._is_begun = True
        log.info("reads.log_opened", vkey=str(self._key.named(state.origin).verifier))

    async def _sign(self, state: State) -> None:
        tree = state.tree()
        if not tree.size:
            return
        checkpoint = Checkpoint(state.origin, tree.size, tree.root())
        note = sign_checkpoint(checkpoint, *self._key.signers(state.origin))
        try:
            async with asyncio.timeout(DISK_SECONDS):
                await self._thread.submit(keep_in, self._folder, checkpoint, note, time.time())
        except ContradictedError:
            newer = await log_state(self._database, self._log_key)
            if newer.size <= state.size:
                raise
            return  # another process with this key has signed a larger size meanwhile
        parts: list[Sealed] = [SealCheckpoint(state.sealing.log, checkpoint.size, str(note))]
        if monotonic() >= self._open_tile_due:
            tile = Grown(state, tree).open_tile()
            parts += [] if tile is None else [tile]
            self._open_tile_due = monotonic() + OPEN_TILE_SECONDS
        await SealTables(self._database).append(parts)


@asynccontextmanager
async def sealing_reads(
    database: Database, folder: Path, instance: str, tasks: BackgroundTasks
) -> AsyncIterator[ReadSeal]:
    """Seal reads beside the block by the key in *folder*, which is made if there is none.

    Raises SealKeyError. What is stored is signed when the block ends.
    """
    seal = ReadSeal(database, folder, read_or_make_key(folder / KEY_NAME), instance)
    try:
        async with tasks.running(seal.keep_publishing, "read-seal"):
            yield seal
    finally:
        await seal.close()

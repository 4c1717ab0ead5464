"""The journal's reading side: batches of the log in its order, for the one writer."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from audit_log.process.disk_thread import DiskThread
from proxy.journal.batch import Batch
from proxy.journal.reader import Reader
from proxy.journal.ring import Ring
from proxy.journal.ring_header import Place

MANY_BYTES: Final = 256 * 1024
"""With less than this waiting, the writer favours short delays; with more, little work."""
MAX_BATCH_LINES: Final = 2_000
MAX_BATCH_BYTES: Final = 1024 * 1024
"""There is one commit for each batch. Larger ones gain little by that, and take memory twice: the
next one is read meanwhile."""
_RETRY_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.02


class BatchSource:
    """Reads batches, from memory or from disk, and keeps the committed position.

    Belongs to the event loop. Disks are read in a thread, so a disk that hangs holds up no task.
    """

    def __init__(self, ring: Ring, reader: Reader) -> None:
        self._ring = ring
        self._reader = reader
        self._thread = DiskThread("journal-reader")
        self._is_ending = False
        self._waiting_since = datetime.now(UTC)
        self._ahead: Batch | None = None
        """The batch that was read before the previous one was committed."""
        self.problem: str | None = None
        """Why the log cannot be read, or None."""
        self.damaged = 0
        """Records known to be missing because their lines were damaged."""

    def end(self) -> None:
        """Let `read` return None as soon as everything is committed."""
        self._is_ending = True

    async def read(self, after: Batch | None, max_lines: int) -> Batch | None:
        """Return the batch after *after*, or after the committed position; wait for one.

        Return None after `end`, when nothing is left. A repeated call returns the same batch. A
        disk that fails is tried again for ever; `problem` says so meanwhile.
        """
        while True:
            if not self.bytes_after(after):
                if self._is_ending:
                    return None
                # Another process appends, and between the two is only memory, which wakes no one.
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            try:
                batch = await self._gather(self._place(after), max_lines)
            except OSError as error:
                self.problem = f"the journal cannot be read: {error}"
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self.problem = None
            if after is None or after.end == self._ring.committed:
                self._note_waiting(batch)
            else:
                self._ahead = batch
            return batch

    async def _gather(self, start: Place, max_lines: int) -> Batch:
        """Return the batch at *start*, read piece by piece: other tasks run between two pieces."""
        written = self._ring.written
        batch = await self._piece(start, max_lines)
        limit = min(written, start.offset + MAX_BATCH_BYTES)
        while batch.end < limit and batch.size < max_lines:
            await asyncio.sleep(0)
            piece = await self._piece(batch.following, max_lines - batch.size)
            if piece.end <= batch.end or batch.is_sealed != piece.is_sealed:
                break
            batch.go_on_with(piece)
        return batch

    async def _piece(self, start: Place, max_lines: int) -> Batch:
        """Return a part of the batch at *start*; a thread reads what is not in memory."""
        piece = self._reader.read_memory(start, max_lines)
        if piece is None:
            piece = await self._thread.submit(self._reader.read, start, max_lines)
        if piece.damages:
            await self._thread.submit(self._reader.keep_damages, piece)
        return piece

    def _place(self, after: Batch | None) -> Place:
        return self._ring.place if after is None else after.following

    def _note_waiting(self, batch: Batch) -> None:
        if batch.records:
            self._waiting_since = batch.records[0].created_at

    def commit(self, batch: Batch) -> None:
        """Move the committed position to the end of *batch*."""
        self._ring.commit(batch.end, batch.next_number, batch.moment)
        self.damaged += batch.missing
        self._waiting_since = datetime.now(UTC)
        if self._ahead is not None:
            self._note_waiting(self._ahead)
            self._ahead = None

    def go_back(self, place: Place) -> None:
        """Move the committed position back to *place*.

        0 leaves the number open: the mover may delete the first segment meanwhile.
        """
        number = place.number or (0 if place.offset else 1)
        self._ring.commit(place.offset, number, place.moment)
        self._ahead = None
        self._waiting_since = datetime.now(UTC)

    def bytes_after(self, batch: Batch | None) -> int:
        """Return how many bytes of the log follow *batch*, or the committed position."""
        return self._ring.written - (self._ring.committed if batch is None else batch.end)

    @property
    def oldest_unwritten(self) -> datetime | None:
        """A lower bound of when the oldest record that is not committed arrived; None without one.

        If nothing was read since the last commit, it is the moment of that commit.
        """
        return self._waiting_since if self.bytes_after(None) else None

    async def settle(self) -> None:
        """Wait until the thread is idle; it may still read for a task that was cancelled."""
        await self._thread.submit(int)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.end()

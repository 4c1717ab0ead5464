"""Reads what the database keeps of the seal itself. None of it is trusted."""

from collections import defaultdict
from datetime import datetime
from typing import Final, NamedTuple

from audit_log.postgres.transaction import Transaction

_LOGS: Final = "SELECT DISTINCT log, origin, key, instance FROM mcp_audit_seal_log"
_CHECKPOINTS: Final = """
SELECT size, note, max(least('9999-12-30Z', greatest('0001-01-02Z', arrived_at))) AS arrived_at
FROM mcp_audit_seal_checkpoint
WHERE log = $1 AND size >= $2 GROUP BY size, note ORDER BY size
"""
_NOTES: Final = """
SELECT DISTINCT seq, count, data FROM mcp_audit_seal_note
WHERE log = $1 AND seq >= $2 AND seq < $3 AND count = 1 ORDER BY seq, data
"""
_TIMES: Final = """
SELECT DISTINCT seq, data FROM mcp_audit_seal_note
WHERE log = $1 AND seq >= $2 AND seq < $3 AND seq % 256 = 255 AND count = 1
"""
# All at once: one that begins before a range reaches into it.
_RUNS: Final = """
SELECT DISTINCT seq, count, data FROM mcp_audit_seal_note
WHERE log = $1 AND count > 1 AND seq::numeric + count + count / 255 >= $2
ORDER BY seq, count, data LIMIT 100000
"""
_TILES: Final = """
SELECT DISTINCT number, hashes FROM mcp_audit_seal_tile
WHERE log = $1 AND level = $2 AND number >= $3 AND number < $4
"""
_RECEIPTS: Final = """
SELECT DISTINCT size, anchor, receipt,
    least('9999-12-30Z', greatest('0001-01-02Z', anchored_at)) AS anchored_at
FROM mcp_audit_seal_anchor
WHERE log = $1 AND size >= $2
"""


# With the schema's name: another function could have this one.
_REPLICA: Final = "SELECT pg_catalog.pg_is_in_recovery()"


class StoredLog(NamedTuple):
    """What the database says of a log."""

    log: int
    origin: str
    key: str
    instance: str


class StoredCheckpoint(NamedTuple):
    """A signed note of the database, which may be no checkpoint."""

    size: int
    note: str
    arrived_at: datetime


class StoredNote(NamedTuple):
    """The leaf data of one line, or of several in a row that have the same."""

    place: int
    lines: int
    data: str


class Receipt(NamedTuple):
    """What an anchor said of a checkpoint, as the database has it."""

    size: int
    anchor: str
    receipt: str
    anchored_at: datetime


class StoredSeal:
    """The seal's tables, in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def is_replica(self) -> bool:
        """Return whether this is a copy that may lag behind its primary."""
        row = await self._transaction.fetch_row(_REPLICA)
        return row is not None and bool(row[0])

    async def logs(self) -> list[StoredLog]:
        """Return all logs that have ever begun."""
        return [StoredLog(*row) for row in await self._transaction.fetch(_LOGS)]

    async def checkpoints(self, log: int, size: int) -> list[StoredCheckpoint]:
        """Return the checkpoints of *log* from *size* on."""
        rows = await self._transaction.fetch(_CHECKPOINTS, log, size)
        return [StoredCheckpoint(*row) for row in rows]

    async def notes(self, log: int, start: int, end: int) -> list[StoredNote]:
        """Return the notes of single places from *start* to *end*."""
        rows = await self._transaction.fetch(_NOTES, log, start, end)
        return [StoredNote(*row) for row in rows]

    async def times(self, log: int, start: int, end: int) -> dict[int, list[str]]:
        """Return the notes of the last places of the tiles from place *start* to *end*."""
        found = defaultdict(list)
        for place, data in await self._transaction.fetch(_TIMES, log, start, end):
            found[place].append(data)
        return found

    async def runs(self, log: int, base: int) -> list[StoredNote]:
        """Return the notes of several lines, of which the last is not before place *base*."""
        return [StoredNote(*row) for row in await self._transaction.fetch(_RUNS, log, base)]

    async def tiles(self, log: int, level: int, first: int, end: int) -> dict[int, list[bytes]]:
        """Return the tiles of a *level* from *first* to *end*, by number; it may have several."""
        found = defaultdict(list)
        for number, hashes in await self._transaction.fetch(_TILES, log, level, first, end):
            found[number].append(hashes)
        return found

    async def receipts(self, log: int, size: int) -> list[Receipt]:
        """Return what anchors have said of the checkpoints from *size* on."""
        return [Receipt(*row) for row in await self._transaction.fetch(_RECEIPTS, log, size)]

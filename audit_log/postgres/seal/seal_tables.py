"""The tables of the seal: what sidecars append to them, and the tiles that a proof needs."""

from collections.abc import Sequence
from typing import Final

import msgspec

from audit_log.postgres.database import Database
from audit_log.postgres.transaction import Transaction
from audit_log.seal.stored import (
    SealCheckpoint,
    Sealed,
    SealLog,
    SealNote,
    SealReceipt,
    SealTile,
)

# No unique keys: what is stored twice does no harm, and INSERT alone is needed.
_INSERTS: Final[dict[type[Sealed], str]] = {
    SealLog: """
INSERT INTO mcp_audit_seal_log (log, origin, key, instance, first_line)
SELECT * FROM json_to_recordset($1)
    AS part (log integer, origin text, key text, instance text, first_line bigint)""",
    SealTile: """
INSERT INTO mcp_audit_seal_tile (log, level, number, hashes)
SELECT log, level, number, decode(hashes, 'base64') FROM json_to_recordset($1)
    AS part (log integer, level smallint, number bigint, hashes text)""",
    SealNote: """
INSERT INTO mcp_audit_seal_note (log, seq, count, data)
SELECT * FROM json_to_recordset($1) AS part (log integer, seq bigint, count bigint, data text)""",
    SealCheckpoint: """
INSERT INTO mcp_audit_seal_checkpoint (log, size, note)
SELECT * FROM json_to_recordset($1) AS part (log integer, size bigint, note text)""",
    SealReceipt: """
INSERT INTO mcp_audit_seal_anchor (log, size, anchor, receipt, anchored_at)
SELECT * FROM json_to_recordset($1)
    AS part (log integer, size bigint, anchor text, receipt text, anchored_at timestamptz)""",
}
_TILE: Final = """
SELECT hashes FROM mcp_audit_seal_tile
WHERE log = $1 AND level = $2 AND number = $3 ORDER BY length(hashes) DESC LIMIT 1
"""


async def append_parts(transaction: Transaction, parts: Sequence[Sealed]) -> None:
    """Write *parts* within *transaction*. Raises StoreError."""
    for kind, insert in _INSERTS.items():
        if some := [part for part in parts if isinstance(part, kind)]:
            await transaction.execute(insert, msgspec.json.encode(some).decode())


class SealTables:
    """The tables in PostgreSQL. Errors are those of `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, parts: Sequence[Sealed]) -> None:
        """Write *parts*: all or none of them. Repeating it is harmless."""
        async with self._database.transaction() as transaction:
            await append_parts(transaction, parts)

    async def tile(self, log: int, level: int, number: int) -> bytes | None:
        """Return the hashes of a tile, or None. Whether they are right is for a proof to show."""
        row = await self._database.fetch_row(_TILE, log, level, number)
        return None if row is None else bytes(row["hashes"])

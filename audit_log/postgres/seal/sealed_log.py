"""What the tables tell of one log: its keys, checkpoints, receipts and notes. None is trusted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from audit_log.errors import SealError
from audit_log.postgres.seal.sealed_rows import Span
from audit_log.postgres.transaction import Transaction
from audit_log.seal.checkpoint import Checkpoint, open_checkpoint
from audit_log.seal.keys import VerifierKey
from audit_log.seal.note import Note, Signature, parse_signatures
from audit_log.seal.places import LEAVES_PER_TILE, is_times, log_of

_SIGNATURE: Final = "\N{EM DASH} "
"""What a witness's receipt begins with; other anchors give other receipts."""
_RECEIPTS: Final = 500
# A batch is stored, then its leaves are made, then they are signed: in this order, but a row that
# belongs to the next checkpoint may be there before the one before it is.
_NEAR: Final = timedelta(seconds=15)
_FAR: Final = timedelta(hours=1)
_LOG: Final = "SELECT DISTINCT origin, key FROM mcp_audit_seal_log WHERE log = $1"
_BEGUN: Final = "SELECT min(begun_at) AS begun_at FROM mcp_audit_seal_log WHERE {condition} = $1"
_NEWEST: Final = """
SELECT note FROM mcp_audit_seal_checkpoint
WHERE log = $1 AND size > $2 ORDER BY size DESC, arrived_at DESC LIMIT 1
"""
_OF_SIZE: Final = """
SELECT note FROM mcp_audit_seal_checkpoint WHERE log = $1 AND size = $2 ORDER BY arrived_at LIMIT 1
"""
_RECEIPTS_OF: Final = """
SELECT anchor, size, receipt, anchored_at FROM mcp_audit_seal_anchor
WHERE log = $1 AND size > $2 ORDER BY size {order} LIMIT $3
"""
# A quarantined line may have its own note too, which arrives with it.
_NOTES: Final = """
SELECT seq, count, data FROM mcp_audit_seal_note
WHERE log = $1 AND seq >= $2 AND seq < $3
ORDER BY arrived_at, starts_with(data, '["quarantined"') DESC
"""
# A run may begin in an earlier tile. It has one note for its times leaf in each tile.
_RUN_BEFORE: Final = """
SELECT seq, count, data
FROM (
    SELECT seq, count, data FROM mcp_audit_seal_note
    WHERE log = $1 AND seq < $2 ORDER BY seq DESC LIMIT 10000
) AS before
WHERE count > 1 ORDER BY seq DESC LIMIT 1
"""
_SIGNED: Final = """
SELECT size, min(arrived_at) AS first, max(arrived_at) AS last FROM mcp_audit_seal_checkpoint
WHERE log = $1 AND size >= $2 AND size <= $3 GROUP BY size ORDER BY size
"""
_BEFORE: Final = """
SELECT size, arrived_at AS first, arrived_at AS last FROM mcp_audit_seal_checkpoint
WHERE log = $1 AND size <= $2 ORDER BY size DESC, arrived_at DESC LIMIT 1
"""

_AFTER: Final = """
SELECT size, arrived_at AS first, arrived_at AS last FROM mcp_audit_seal_checkpoint
WHERE log = $1 AND size >= $2 ORDER BY size, arrived_at LIMIT 1
"""


class Receipt(NamedTuple):
    """What an anchor has given for a checkpoint."""

    anchor: str
    size: int
    receipt: str
    anchored_at: datetime

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """The cosignatures in it; none if the anchor gives others, or it cannot be read."""
        if not self.receipt.startswith(_SIGNATURE):
            return ()
        try:
            return parse_signatures(
                self.receipt if self.receipt[-1] == "\n" else f"{self.receipt}\n"
            )
        except SealError:
            return ()


class Signed(NamedTuple):
    """A checkpoint whose signature by its log was verified."""

    checkpoint: Checkpoint
    key: VerifierKey
    note: Note
    """With the cosignatures that witnesses have given. Those are for their keys to judge."""
    receipts: Sequence[Receipt]
    """Of this size."""


def newest_of_each(receipts: Sequence[Receipt], size: int) -> list[Receipt]:
    """Return the newest receipt of each anchor for a checkpoint of at most *size* leaves."""
    return list({one.anchor: one for one in receipts if one.size <= size}.values())


class SealedLog:
    """One log, read in one transaction."""

    def __init__(self, transaction: Transaction, log: int) -> None:
        self.transaction = transaction
        self.log = log

    async def begun_at(self) -> datetime | None:
        """Return when the log began, or None if it is not known here."""
        return await begun_at(self.transaction, log=self.log)

    async def receipts(self, place: int) -> list[Receipt]:
        """Return receipts for checkpoints that cover *place*: the first ones and the last ones."""
        found: dict[Receipt, None] = {}
        for order in ("ASC", "DESC"):
            sql = _RECEIPTS_OF.format(order=order)
            rows = await self.transaction.fetch(sql, self.log, place, _RECEIPTS)
            found |= dict.fromkeys(Receipt(**dict(row)) for row in rows)
        return sorted(found, key=lambda receipt: (receipt.size, receipt.anchored_at))

    async def signed(self, place: int, receipts: Sequence[Receipt]) -> Signed | None:
        """Return the checkpoint to prove the leaf at *place* by; None while none covers it.

        That is the newest one with a cosignature, else the newest one that is anchored, else the
        newest one. Raise SealError when it is not signed by the log.
        """
        cosigned = [receipt for receipt in receipts if receipt.signatures]
        for receipt in [*cosigned[-1:], *receipts[-1:]]:
            row = await self.transaction.fetch_row(_OF_SIZE, self.log, receipt.size)
            if row is not None:
                return await self._opened(row["note"], receipts)
        row = await self.transaction.fetch_row(_NEWEST, self.log, place)
        return None if row is None else await self._opened(row["note"], receipts)

    async def note_of(self, size: int) -> str | None:
        """Return the checkpoint of this size as it was signed, unverified."""
        row = await self.transaction.fetch_row(_OF_SIZE, self.log, size)
        return None if row is None else str(row["note"])

    async def notes(self, start: int, end: int) -> dict[int, list[bytes]]:
        """Return the leaf data that notes give for places from *start* to before *end*."""
        rows = [
            *await self.transaction.fetch(_RUN_BEFORE, self.log, start),
            *await self.transaction.fetch(_NOTES, self.log, start, end),
        ]
        found: dict[int, list[bytes]] = {}
        for row in rows:
            first, count, data = row["seq"], row["count"], row["data"].encode()
            if count == 1:
                found.setdefault(first, []).append(data)
                continue
            for place in range(max(first, start), end):
                # Of a run only lines are counted: times leaves lie between.
                lines = place - first - (place // LEAVES_PER_TILE - first // LEAVES_PER_TILE)
                if lines < count and not is_times(place):
                    found.setdefault(place, []).append(data)
        return found

    async def spans(self, start: int, end: int) -> list[list[Span]]:
        """Return when the rows from place *start* to before *end* arrived.

        The first list has short spans, each between two checkpoints; the second one, for what was
        not found, has all that is possible. No list is returned for a log that is not here.
        """
        before = await self.transaction.fetch(_BEFORE, self.log, start)
        inside = await self.transaction.fetch(_SIGNED, self.log, start + 1, end - 1)
        after = await self.transaction.fetch(_AFTER, self.log, end)
        begun = await self.begun_at()
        later = [*inside, *after]
        if begun is None or not later:
            return []
        since = before[0]["last"] if before else begun - _FAR
        whole = Span(since - _FAR, later[-1]["first"] + _FAR)
        spans: list[Span] = []
        for row in later:
            span = Span(since - _NEAR, row["first"] + _NEAR)
            if spans and span.since <= spans[-1].until:
                span = Span(spans.pop().since, span.until)
            spans.append(span)
            since = row["last"]
        return [spans, [whole]]

    async def _opened(self, text: str, receipts: Sequence[Receipt]) -> Signed:
        note = Note.parse(text)
        rows = await self.transaction.fetch(_LOG, self.log)
        keys = [VerifierKey.parse(row["key"]) for row in rows if log_of(row["origin"]) == self.log]
        checkpoint = open_checkpoint(note, keys)
        [key, *_] = note.signed_by([key for key in keys if key.name == checkpoint.origin])
        given = [receipt for receipt in receipts if receipt.size == checkpoint.size]
        # Readers refuse two lines of one key: the last one counts.
        lines = {(line.name, line.key_id): line for one in given for line in one.signatures}
        own = {(line.name, line.key_id) for line in note.signatures}
        more = [line for key_, line in lines.items() if key_ not in own]
        return Signed(checkpoint, key, note.with_signatures(more), given)


async def begun_at(
    transaction: Transaction, *, log: int | None = None, instance: str | None = None
) -> datetime | None:
    """Return when a log began, or the first one of an instance; None if there is none."""
    condition, value = ("log", log) if instance is None else ("instance", instance)
    row = await transaction.fetch_row(_BEGUN.format(condition=condition), value)
    return None if row is None else row["begun_at"]

"""Proves that one row is in its log, by what is stored; what is returned was verified."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from audit_log.errors import ProofError
from audit_log.postgres.database import Database
from audit_log.postgres.seal.sealed_log import Receipt, SealedLog, Signed, begun_at
from audit_log.postgres.seal.sealed_rows import FoundRow
from audit_log.postgres.seal.stored_tree import StoredTree, TileGoneError, TileRoots
from audit_log.postgres.transaction import Transaction
from audit_log.record import UNKNOWN_TOKEN, unknown_token_name
from audit_log.seal.encoding import HASH_BYTES
from audit_log.seal.leaf import MISSING, QUARANTINED, UNSEALED, VOID, quarantined_leaf
from audit_log.seal.places import LEAVES_PER_TILE, is_times
from audit_log.seal.policy import Log, Policy
from audit_log.seal.proofs import inclusion_proof
from audit_log.seal.tiles import TILE_WIDTH, Tile
from audit_log.seal.tlog_proof import TlogProof
from audit_log.seal.tree import leaf_hash

_ISOLATION: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_NO_ENTRY: Final = {MISSING, VOID, UNSEALED}
_TOKEN_ID: Final = {"entry": 8, "tool_call": 8}
"""Where leaf data has the id of the token; its name follows."""


class NotSealed(NamedTuple):
    """There is no proof, and nothing is wrong."""

    state: str
    """`not_yet`, `before_the_seal`, `not_sealed` or `pruned`."""
    detail: str


class Proven(NamedTuple):
    """A row that is in its log."""

    place: int
    signed: Signed
    proof: TlogProof
    """Its extra line holds the leaf data."""
    receipts: Sequence[Receipt]
    """For checkpoints that cover it: the first ones and the last ones."""
    is_named_later: bool
    """The name of its token was found after it was sealed: the leaf has nulls and a hash."""
    refused: bytes | None = None
    """Leaf data of a row that the store refused at first: its own leaf holds the hash of this."""


class Prover:
    """Proves rows. It remembers hashes over full tiles, so that few tiles are read again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._roots = TileRoots()

    async def prove(self, row: FoundRow) -> Proven | NotSealed:
        """Return the proof of *row*, or why there is none.

        Raise SealError when what is stored contradicts itself: then it was altered.
        """
        async with self._database.transaction() as transaction:
            await transaction.execute(_ISOLATION)
            if row.log is None or row.place is None:
                return await _without_place(transaction, row)
            try:
                return await self._prove(SealedLog(transaction, row.log), row.place, row.data)
            except ProofError:
                self._roots.forget()
                raise

    async def _prove(self, sealed: SealedLog, place: int, data: bytes) -> Proven | NotSealed:
        if place < 0 or is_times(place):
            raise ProofError(f"no row can have the place {place}")
        receipts = await sealed.receipts(place)
        signed = await sealed.signed(place, receipts)
        if signed is None:
            return await _not_yet(sealed, place)
        size = signed.checkpoint.size
        if size <= place:
            raise ProofError(f"a checkpoint of {size} leaves is stored as one of more")
        tree = StoredTree(sealed, size, self._roots)
        try:
            leaf = await _leaf(tree, place, size, data)
            hashes = await tree.made(lambda node: inclusion_proof(place, size, node))
        except TileGoneError as error:
            return NotSealed(
                "pruned",
                f"It is sealed as leaf {place} of {signed.checkpoint.origin}, but a proof can no"
                f" longer be made: {error}, as retention let neighbours of it go",
            )
        proof = TlogProof(place, tuple(hashes), signed.note, leaf)
        proof.verify(leaf, Policy((Log(signed.key),)))
        if leaf in _NO_ENTRY:
            return NotSealed(
                "not_sealed",
                f"Not sealed: leaf {place} of {signed.checkpoint.origin} stands for this line of"
                f" the journal, and says only {leaf.decode()}",
            )
        refused = None
        if leaf.startswith(f'["{QUARANTINED}"'.encode()):
            refused = _refused(leaf, [data, *await tree.leaf_data(place)])
        sealed_data = leaf if refused is None else refused
        is_named_later = sealed_data != data
        if is_named_later and not may_be_named(sealed_data, data):
            raise ProofError(
                f"the row is not what was sealed at place {place}: it was altered, or put there"
            )
        return Proven(place, signed, proof, receipts, is_named_later, refused)


def _refused(leaf: bytes, candidates: Sequence[bytes]) -> bytes | None:
    """Return which of *candidates* the quarantined *leaf* holds the hash of, if any does."""
    fitting = (data for data in candidates if quarantined_leaf(leaf_hash(data)) == leaf)
    return next(fitting, None)


async def _leaf(tree: StoredTree, place: int, size: int, data: bytes) -> bytes:
    """Return the data of the leaf at *place*: that of the row, or of a note.

    Raise ProofError when neither is what was sealed.
    """
    index, offset = divmod(place, LEAVES_PER_TILE)
    width = min(size - index * LEAVES_PER_TILE, TILE_WIDTH)
    hashes = await tree.tile(Tile(0, index, width))
    wanted = hashes[offset * HASH_BYTES : (offset + 1) * HASH_BYTES]
    if leaf_hash(data) == wanted:
        return data
    for said in await tree.leaf_data(place):
        if leaf_hash(said) == wanted:
            return said
    raise ProofError(
        f"the row is not what was sealed at place {place}: it was altered, or put there"
    )


async def _without_place(transaction: Transaction, row: FoundRow) -> NotSealed:
    begun = await begun_at(transaction, instance=row.instance)
    if begun is not None and row.known_since < begun:
        return NotSealed(
            "before_the_seal",
            f"Before the seal: {row.instance} has sealed since {begun.isoformat()}",
        )
    return NotSealed(
        "not_sealed",
        "Not sealed: it has no place in a log, so it was not written by a sidecar that seals,"
        " or while that could not",
    )


async def _not_yet(sealed: SealedLog, place: int) -> NotSealed:
    if await sealed.begun_at() is None:
        return NotSealed(
            "not_yet",
            f"Not sealed yet: its log {sealed.log} is not here; it is stored with the first"
            " checkpoint, about a second after the first entry",
        )
    return NotSealed(
        "not_yet",
        f"Not sealed yet: no checkpoint covers leaf {place}; there is one about every second",
    )


def may_be_named(leaf: bytes, row: bytes) -> bool:
    """Say whether *row* is what *leaf* says, save for the name of its token, found later."""
    said: list[object] = msgspec.json.decode(leaf)
    found: list[object] = msgspec.json.decode(row)
    at = _TOKEN_ID.get(str(said[0]))
    if at is None or len(said) != len(found) + 1 or said[at : at + 2] != [None, None]:
        return False
    name = str(found[at + 1])
    is_right = not name.startswith(UNKNOWN_TOKEN) or name == unknown_token_name(str(said[-1]))
    return is_right and said[:at] == found[:at] and said[at + 2 : -1] == found[at + 2 :]

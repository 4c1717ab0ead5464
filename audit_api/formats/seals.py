"""What the seal says of one entry or tool call, as callers get it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Self
from uuid import UUID

import msgspec

from audit_api.formats.entries import Moment, timestamp
from audit_log.postgres.seal.proving import NotSealed, Proven
from audit_log.postgres.seal.sealed_log import Receipt


class ProofFormat(StrEnum):
    """The name of a format of a proof, as callers give it."""

    TLOG_PROOF = "tlog-proof"
    JSON = "json"


class Anchored(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """An anchor that keeps a checkpoint which covers it."""

    anchor: str
    anchored_at: Moment
    """Of the first of these checkpoints: since then no one can alter it unseen."""
    size: int
    """How many leaves that checkpoint has."""


class SealOfItem(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Whether and how an entry or tool call is sealed. Unknown values are null."""

    id: UUID
    state: str
    """`sealed`, `not_yet`, `before_the_seal`, `not_sealed` or `pruned`."""
    detail: str
    """The state in a sentence."""
    log: str | None = None
    """The origin of the log that it is in."""
    place: int | None = None
    """The place of its leaf."""
    leaf: str | None = None
    """The data of its leaf: a JSON array, as it was sealed."""
    refused: str | None = None
    """Of what PostgreSQL refused at first: its leaf data, of which `leaf` holds the hash."""
    named_later: bool = False
    """Whether the name of its token was found after it was sealed."""
    size: int | None = None
    """How many leaves the checkpoint has that the proof leads to."""
    checkpoint: str | None = None
    """That checkpoint, a signed note with its cosignatures."""
    hashes: list[bytes] = []
    """The inclusion proof, in base64."""
    cosigned_by: list[str] = []
    """The witnesses whose signatures the checkpoint bears."""
    anchors: list[Anchored] = []
    """Oldest first."""

    @classmethod
    def of(cls, id_: UUID, proven: Proven | NotSealed) -> Self:
        """Return what was proven, or why there is no proof."""
        if isinstance(proven, NotSealed):
            return cls(id_, proven.state, f"{proven.detail}.")
        checkpoint, note = proven.signed.checkpoint, proven.signed.note
        leaf = proven.proof.extra or b""
        refused = proven.refused
        later = " The name of its token was found later." if proven.is_named_later else ""
        if refused is not None:
            later = (
                " PostgreSQL refused it at first, so its leaf is quarantined and holds its hash;"
                f" it was replayed later.{later}"
            )
        return cls(
            id=id_,
            state="sealed",
            detail=f"Sealed: leaf {proven.place} of {checkpoint.origin}.{later}",
            log=checkpoint.origin,
            place=proven.place,
            leaf=leaf.decode(),
            refused=None if refused is None else refused.decode(),
            named_later=proven.is_named_later,
            size=checkpoint.size,
            checkpoint=str(note),
            hashes=list(proven.proof.hashes),
            cosigned_by=[
                line.name for line in note.signatures if not line.is_of(proven.signed.key)
            ],
            anchors=_first_of_each(proven.receipts),
        )


def _first_of_each(receipts: Iterable[Receipt]) -> list[Anchored]:
    first: dict[str, Anchored] = {}
    for receipt in receipts:
        told = Anchored(receipt.anchor, timestamp(receipt.anchored_at), receipt.size)
        first.setdefault(receipt.anchor, told)
    return list(first.values())

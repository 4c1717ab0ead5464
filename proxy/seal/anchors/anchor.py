"""What an anchor is offered, what it gives back, and how it fails."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from audit_log.seal.checkpoint import Checkpoint
from audit_log.seal.note import Note

Prove = Callable[[int], Awaitable[Sequence[bytes]]]
"""Returns the consistency proof from an older size, above 0, to the checkpoint that is offered.

Raises AnchorAwayError while the hashes cannot be read.
"""


@dataclass(frozen=True, slots=True)
class Offer:
    """A checkpoint of one log, signed by it, and the means to prove its growth."""

    log: int
    """The log's number in the tables."""
    checkpoint: Checkpoint
    note: Note
    """The checkpoint with the log's signatures, and no others."""
    prove: Prove


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an anchor gives for a checkpoint: it has it."""

    log: int
    size: int
    anchor: str
    """The anchor's name."""
    receipt: str
    """A witness's signature lines, a time stamp in base64, or where the checkpoint lies."""
    anchored_at: datetime


@dataclass(frozen=True, slots=True)
class Anchored:
    """What one anchor says of one checkpoint that it has taken."""

    receipt: str
    at: datetime


class AnchorError(Exception):
    """A checkpoint was not anchored. The message holds no secret: it is shown by `/readyz`."""


class AnchorAwayError(AnchorError):
    """Not now: the anchor is out of reach, or cannot take the checkpoint at the moment."""


class AnchorRefusedError(AnchorError):
    """The anchor refuses this log or this checkpoint, until somebody looks into it."""


class Anchor(Protocol):
    """Keeps checkpoints where the owner of the database cannot change them."""

    async def anchor(self, offer: Offer) -> Anchored | None:
        """Bring the checkpoint there; None if the place cannot say that it has it.

        Raise AnchorAwayError or AnchorRefusedError. May be called again for the same checkpoint.
        """

    async def close(self) -> None:
        """Close connections."""

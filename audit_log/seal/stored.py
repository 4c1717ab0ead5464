"""What is stored of the seal beside the rows themselves, in the tables of migration 0020.

None of it is trusted when it is read: a checkpoint that is kept elsewhere tells what is right. It
may be stored twice.
"""

from datetime import datetime

import msgspec


class SealLog(msgspec.Struct, frozen=True, tag="log"):
    """A log, from its beginning on."""

    log: int
    origin: str
    key: str
    """The vkey by which its checkpoints are signed."""
    instance: str
    first_line: int

    @property
    def id(self) -> str:
        """What names it in messages and logs."""
        return f"seal-log-{self.log}"


class SealTile(msgspec.Struct, frozen=True, tag="tile"):
    """256 hashes of one level of tiles, fewer of the open tile of level 0."""

    log: int
    level: int
    number: int
    hashes: bytes

    @property
    def id(self) -> str:
        """What names it in messages and logs."""
        return f"seal-tile-{self.log}-{self.level}-{self.number}"


class SealNote(msgspec.Struct, frozen=True, tag="note"):
    """The data of a leaf that no row gives, or of the leaves of *count* lines in a row."""

    log: int
    seq: int
    """The place of the first of them."""
    count: int
    data: str

    @property
    def id(self) -> str:
        """What names it in messages and logs."""
        return f"seal-note-{self.log}-{self.seq}"


class SealCheckpoint(msgspec.Struct, frozen=True, tag="checkpoint"):
    """A signed checkpoint, as it was published."""

    log: int
    size: int
    note: str

    @property
    def id(self) -> str:
        """What names it in messages and logs."""
        return f"seal-checkpoint-{self.log}-{self.size}"


class SealReceipt(msgspec.Struct, frozen=True, tag="receipt"):
    """What an anchor has given for a checkpoint."""

    log: int
    size: int
    anchor: str
    receipt: str
    """A cosignature line, a time-stamp in base64, an address."""
    anchored_at: datetime

    @property
    def id(self) -> str:
        """What names it in messages and logs."""
        return f"seal-receipt-{self.log}-{self.size}-{self.anchor}"


Sealed = SealLog | SealTile | SealNote | SealCheckpoint | SealReceipt

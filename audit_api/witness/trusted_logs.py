"""Which logs the witness signs for, as `AUDIT_API_WITNESS_LOGS` says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from audit_log.errors import SealFormatError
from audit_log.seal.keys import NOTE, VerifierKey

ANY_LOG: Final = "/*"
"""What the name of a key ends in that signs for each log below that name.

A sidecar begins a new log when its journal is lost, and has one for each worker: all of them have
its key and its name.
"""


@dataclass(frozen=True, slots=True)
class TrustedLogs:
    """The keys of the logs."""

    keys: tuple[VerifierKey, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the logs of vkeys that spaces separate; raise SealFormatError."""
        keys = tuple(VerifierKey.parse(vkey) for vkey in text.split())
        if not keys:
            raise SealFormatError("names no log: give vkeys, as `podwarden-audit seal key` shows")
        for key in keys:
            if key.type != NOTE:
                raise SealFormatError(f"the key of {key.name} is a witness's and not a log's")
        return cls(keys)

    def keys_of(self, origin: str) -> Sequence[VerifierKey]:
        """Return the keys that may sign for the log *origin*; none if it is unknown."""
        return [
            VerifierKey(origin, NOTE, key.public) for key in self.keys if _covers(key.name, origin)
        ]


def _covers(name: str, origin: str) -> bool:
    if not name.endswith(ANY_LOG):
        return name == origin
    above, slash, last = origin.rpartition("/")
    return bool(slash and last) and above == name.removesuffix(ANY_LOG)

"""A log of the seal in memory: it grows, signs checkpoints and proves, as a sidecar's does."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from audit_log.seal.add_checkpoint import AddCheckpoint
from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.keys import NOTE, SignerKey
from audit_log.seal.proofs import consistency_proof, root_hash
from audit_log.seal.tree import leaf_hash, node_hash
from proxy.seal.anchors.anchor import Offer

ORIGIN: Final = "podwarden-audit/edge/0123456789abcdef"


class SealedLog:
    """Leaves, and a key. Another *fork* gives other leaves under the same name."""

    def __init__(self, origin: str = ORIGIN, *, fork: str = "", seed: bytes = bytes(32)) -> None:
        self.origin = origin
        self.key = SignerKey(origin, NOTE, seed)
        self.proofs_asked: list[tuple[int, int]] = []
        self._fork = fork

    @property
    def vkey(self) -> str:
        return str(self.key.verifier)

    def offer(self, size: int) -> Offer:
        """Return the checkpoint of the first *size* leaves, signed."""
        checkpoint = Checkpoint(self.origin, size, root_hash(size, self._node))

        async def prove(old_size: int) -> Sequence[bytes]:
            self.proofs_asked.append((old_size, size))
            return self.proof(old_size, size)

        return Offer(7, checkpoint, sign_checkpoint(checkpoint, self.key), prove)

    def proof(self, old_size: int, size: int) -> list[bytes]:
        return consistency_proof(old_size, size, self._node)

    def request(self, old_size: int, size: int) -> bytes:
        """Return the body of a request to a witness that has *old_size*."""
        note = self.offer(size).note
        return str(AddCheckpoint.of(old_size, self.proof(old_size, size), note)).encode()

    def _node(self, level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hash(sha256(f"{self._fork}{index}".encode()).digest())
        left = self._node(level - 1, 2 * index)
        return node_hash(left, self._node(level - 1, 2 * index + 1))

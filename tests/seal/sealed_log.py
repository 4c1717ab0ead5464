"""A log as it is published: checkpoints, tiles and entry bundles in a folder, and its proofs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.cosignature import cosign
from audit_log.seal.encoding import base64_text
from audit_log.seal.keys import COSIGNATURE, SignerKey
from audit_log.seal.note import Signature
from audit_log.seal.proofs import consistency_proof, inclusion_proof
from audit_log.seal.tiles import (
    TILE_WIDTH,
    Tile,
    bundle_path,
    encode_bundle,
    node_from_tiles,
)
from audit_log.seal.tree import Tree, leaf_hashes
from tests.neighbours.growing_tiles import GrowingTiles

Claim = dict[str, Any]
LOG = SignerKey("audit.example/sidecar-1/a1b2c3d4", 0x01, b"1" * 32)
WITNESS = SignerKey("witness.example/w1", COSIGNATURE, b"2" * 32)
# A witness that signs by ML-DSA-44 too, as new ones should.
_POST_QUANTUM = Signature(WITNESS.verifier.name, b"\x06\x07\x08\x09", b"\0" * 2428)


@dataclass(frozen=True)
class SealedLog:
    """What a log of some leaves publishes, at each of some sizes."""

    leaves: Sequence[bytes]
    hashes: Sequence[bytes]
    tiles: dict[Tile, bytes]
    notes: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, leaves: Sequence[bytes], sizes: Sequence[int]) -> Self:
        """Grow a log to each of *sizes* in turn; its checkpoints are signed there."""
        tree, growing = Tree(), GrowingTiles(Tree(), {})
        log = cls(leaves, leaf_hashes(leaves), {})
        for size in sizes:
            log.tiles.update(growing.add(tree.append(log.hashes[tree.size : size])))
            log.notes[size] = note(size, tree.root())
        log.tiles.update(growing.partial())
        return log

    @property
    def size(self) -> int:
        return len(self.leaves)

    def write(self, folder: Path) -> Path:
        """Write tiles and entry bundles as c2sp.org/tlog-tiles has them."""
        files = {str(tile): data for tile, data in self.tiles.items()}
        for start in range(0, self.size, TILE_WIDTH):
            entries = self.leaves[start : start + TILE_WIDTH]
            files[bundle_path(start // TILE_WIDTH, len(entries))] = encode_bundle(entries)
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder

    def checkpoint(self, size: int) -> Claim:
        return {"kind": "checkpoint", "note": self.notes[size], "vkey": str(LOG.verifier)}

    def inclusion(self, index: int, size: int) -> Claim:
        proof = inclusion_proof(index, size, node_from_tiles(self.size, self.tiles.__getitem__))
        return self.checkpoint(size) | {
            "kind": "inclusion",
            "index": index,
            "leaf": base64_text(self.hashes[index]),
            "proof": [*map(base64_text, proof)],
        }

    def consistency(self, old_size: int, size: int) -> Claim:
        proof = consistency_proof(
            old_size, size, node_from_tiles(self.size, self.tiles.__getitem__)
        )
        return self.checkpoint(size) | {
            "kind": "consistency",
            "old_note": self.notes[old_size],
            "proof": [*map(base64_text, proof)],
        }


def note(size: int, root: bytes, key: SignerKey = LOG) -> str:
    """Return a signed and cosigned checkpoint."""
    signed = sign_checkpoint(Checkpoint(LOG.verifier.name, size, root), key)
    return str(signed.with_signatures([cosign(signed, WITNESS, 1_700_000_000), _POST_QUANTUM]))

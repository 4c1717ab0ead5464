"""Judges claims about a log by aics-tlog. Runs in an environment of its own: environment.py."""

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aics_tlog
from aics_tlog.checkpoint import checkpoint_from_note
from aics_tlog.tiles import entry_bundle_path, parse_entry_bundle, tile_path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Claim = dict[str, Any]


def opened(claim: Claim, note: str = "note") -> aics_tlog.Checkpoint:
    result = aics_tlog.verify_checkpoint(
        aics_tlog.parse_note(claim[note]),
        aics_tlog.parse_vkey(claim["vkey"]),
        [aics_tlog.parse_vkey(vkey) for vkey in claim.get("witnesses", [])],
        claim.get("quorum", 0),
    )
    if not result.ok:
        raise ValueError(result.error)
    return checkpoint_from_note(claim[note])[0]


def inclusion(claim: Claim) -> None:
    tree = opened(claim)
    leaf, proof = base64.b64decode(claim["leaf"]), list(map(base64.b64decode, claim["proof"]))
    if not aics_tlog.verify_inclusion(leaf, claim["index"], tree.size, proof, tree.root):
        raise ValueError("no inclusion")


def consistency(claim: Claim) -> None:
    old, tree = opened(claim, "old_note"), opened(claim)
    proof = list(map(base64.b64decode, claim["proof"]))
    if not aics_tlog.verify_consistency(old.size, tree.size, old.root, tree.root, proof):
        raise ValueError("no consistency")


def tiles(claim: Claim) -> None:
    """Judge every tile and every entry of a folder."""
    tree = opened(claim)
    reader = aics_tlog.FileSystemTileReader(claim["folder"])
    aics_tlog.audit_tiles(reader, tree.size, tree.root)


def written(claim: Claim) -> None:
    """Judge whether the folder has the very files that aics-tlog would have written."""
    tree, folder = opened(claim), Path(claim["folder"])
    widths = [min(256, tree.size - start) for start in range(0, tree.size, 256)]
    bundles = [
        entry_bundle_path(index, None if width == 256 else width)
        for index, width in enumerate(widths)
    ]
    leaves = [
        leaf for path in bundles for leaf in parse_entry_bundle((folder / path).read_bytes())
    ]
    own = aics_tlog.TileWriter(leaves).materialise()
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    if files != own:
        raise ValueError(f"other files: {sorted(set(files) ^ set(own))[:5]}")
    if tile_path(0, 1234067) != claim["tile"] or entry_bundle_path(1, 5) != claim["bundle"]:
        raise ValueError("other paths")


def signed(claim: Claim) -> None:
    """Judge whether aics-tlog signs and cosigns to the same note."""
    checkpoint, note = checkpoint_from_note(claim["note"])
    log, witness = (
        Ed25519PrivateKey.from_private_bytes(base64.b64decode(seed)) for seed in claim["seeds"]
    )
    origin, (_, cosigned) = checkpoint.origin, note.signatures
    time = int.from_bytes(cosigned.signature[:8])
    [signed] = aics_tlog.sign_checkpoint(checkpoint, log, origin).signatures
    _, line = aics_tlog.sign_cosignature(
        witness, cosigned.name, time, origin, checkpoint.size, checkpoint.root
    )
    own = aics_tlog.Note(note.text, (signed, line)).serialise()
    if own != claim["note"]:
        raise ValueError(f"another note:\n{own}")


JUDGES: dict[str, Callable[[Claim], object]] = {
    "checkpoint": opened,
    "inclusion": inclusion,
    "consistency": consistency,
    "tiles": tiles,
    "written": written,
    "signed": signed,
}


def judged(claim: Claim) -> str | None:
    """Return None for a claim that holds, else what is said against it."""
    try:
        JUDGES[claim["kind"]](claim)
    except (ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return None


json.dump([judged(claim) for claim in json.load(sys.stdin)], sys.stdout)

"""Judges claims about a log by metamorphic-log. Runs in an environment of its own."""

import base64
import json
import sys
from typing import Any

import metamorphic_log

Claim = dict[str, Any]


def check(claim: Claim) -> None:
    """Judge a claim; raise what metamorphic-log raises."""
    vkeys = [claim["vkey"]]
    proof = list(map(base64.b64decode, claim.get("proof", [])))
    match claim["kind"]:
        case "checkpoint":
            metamorphic_log.checkpoint_verify(claim["note"], vkeys)
        case "inclusion":
            leaf = base64.b64decode(claim["leaf"])
            metamorphic_log.checkpoint_verify_inclusion(
                claim["note"], vkeys, claim["index"], leaf, proof
            )
        case "consistency":
            metamorphic_log.checkpoint_verify_consistency(
                claim["old_note"], claim["note"], vkeys, proof
            )


def judged(claim: Claim) -> str | None:
    """Return None for a claim that holds, else what is said against it."""
    try:
        check(claim)
    except metamorphic_log.VerifyError as error:
        return f"{type(error).__name__}: {error}"
    return None


json.dump([judged(claim) for claim in json.load(sys.stdin)], sys.stdout)

"""Submits checkpoints to a witness by aics-witness's own client; tells what came of each.

Reads JSON: the witness's URL and vkey, and requests (old size or null, proofs, note).
"""

import json
import sys
from base64 import b64decode

from aics_witness import FeederError, WitnessClient

asked = json.load(sys.stdin)
told = []
with WitnessClient(asked["url"], asked["vkey"], max_attempts=1) as client:
    for request in asked["requests"]:
        proofs = {
            int(old): [b64decode(line) for line in proof]
            for old, proof in request["proofs"].items()
        }
        try:
            lines = client.submit(request["note"], lambda old, _, proofs=proofs: proofs[old])
            told.append(lines)
        except FeederError as error:
            told.append(f"{type(error).__name__} {getattr(error, 'status', '')}".strip())
json.dump(told, sys.stdout)

"""Answers requests to cosign as aics-witness does. Runs in an environment of its own."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from aics_tlog import format_vkey, parse_vkey
from aics_witness.config import LogConfig
from aics_witness.service import Witness, WitnessError
from aics_witness.store import WitnessStore
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def response(witness: Witness, body: str) -> tuple[int, str, str]:
    """Return status, media type and body."""
    try:
        return 200, "text/plain", witness.add_checkpoint(body.encode()).decode()
    except WitnessError as error:
        return error.status, error.content_type, error.body.decode()


asked = json.load(sys.stdin)
key = parse_vkey(asked["vkey"])
known = LogConfig(origin=key.name, vkeys=(key,))
with TemporaryDirectory() as folder:
    store = WitnessStore(Path(folder) / "witness.sqlite", create=True)
    witness = Witness("witness.example/w1", Ed25519PrivateKey.generate(), store, [known])
    responses = [response(witness, body) for body in asked["bodies"]]
json.dump({"vkey": format_vkey(witness.vkey), "responses": responses}, sys.stdout)

"""An anchor at a witness (c2sp.org/tlog-witness): it signs what continues what it has signed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import structlog

from audit_log.errors import SealError, SealFormatError
from audit_log.seal.add_checkpoint import SIZE_TYPE, AddCheckpoint, read_size
from audit_log.seal.cosignature import cosignatures
from audit_log.seal.keys import COSIGNATURE, VerifierKey
from audit_log.seal.note import Note, parse_signatures
from proxy.seal.anchors.anchor import (
    AnchorAwayError,
    Anchored,
    AnchorRefusedError,
    Offer,
)
from proxy.seal.anchors.anchor_http import Http, Reply
from proxy.seal.anchors.anchor_url import AnchorUrl

_FIELDS: Final = MappingProxyType({"Content-Type": "text/plain; charset=utf-8"})
_ATTEMPTS: Final = 3
"""A witness may be at another size than remembered, and another client may be faster."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class WitnessAnchor:
    """Has each checkpoint cosigned; the receipt is the witness's signature line."""

    def __init__(self, url: AnchorUrl) -> None:
        """Raise ValueError unless the fragment of *url* begins with the witness's vkey."""
        self._key = _witness_key(url.options.get("vkey", ""))
        self._place = url.place / "add-checkpoint"
        self._name = url.name
        self._http = Http(url, is_secure=url.place.scheme == "https")
        self._sizes: dict[str, int] = {}
        """What the witness has of each log, as far as is known. It says so when it is not."""

    async def anchor(self, offer: Offer) -> Anchored:
        """Have the checkpoint cosigned; see `Anchor.anchor`."""
        origin, size = offer.checkpoint.origin, offer.checkpoint.size
        for _ in range(_ATTEMPTS):
            old_size = self._sizes.get(origin, 0)
            reply = await self._send(offer, old_size)
            if reply.is_success:
                anchored = self._read(offer, reply)
                self._sizes[origin] = size
                return anchored
            # Of v1.0.0 of the protocol is a 409 that tells of another root at the same size.
            if not _tells_size(reply) or (of_witness := _size_in(reply)) == old_size:
                raise _refusal(reply, origin)
            self._note_size(origin, size, of_witness)
        raise AnchorAwayError("its size changes with each request: another client is faster")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _send(self, offer: Offer, old_size: int) -> Reply:
        proof: Sequence[bytes] = ()
        if 0 < old_size < offer.checkpoint.size:
            proof = await offer.prove(old_size)
        request = AddCheckpoint.of(old_size, proof, offer.note)
        return await self._http.request("POST", self._place, str(request).encode(), _FIELDS)

    def _note_size(self, origin: str, size: int, of_witness: int) -> None:
        known = self._sizes.get(origin, 0)
        if of_witness > size:
            raise AnchorRefusedError(
                f"it has signed {of_witness} leaves of {origin}, which has only {size}: the "
                "journal folder was brought back to an older state, or the log was forked"
            )
        if of_witness < known:
            log.error("anchor.rolled_back", anchor=self._name, had=known, has=of_witness)
        self._sizes[origin] = of_witness

    def _read(self, offer: Offer, reply: Reply) -> Anchored:
        """Return the witness's cosignature in *reply*; lines of other keys are ignored."""
        try:
            lines = parse_signatures(reply.body.decode())
            cosigned = cosignatures(Note(offer.note.text, lines), [self._key])
        except (SealError, UnicodeDecodeError) as error:
            raise AnchorRefusedError(f"its cosignature is wrong: {error}") from None
        if not cosigned:
            raise AnchorRefusedError(f"it signs with another key than {self._key}: {reply.text}")
        own = "".join(str(line) for line in lines if line.is_of(self._key))
        return Anchored(own, datetime.fromtimestamp(cosigned[0].time, UTC))


def _witness_key(vkey: str) -> VerifierKey:
    if not vkey:
        raise ValueError("needs the witness's key behind a #: witness+https://host/prefix#vkey")
    key = VerifierKey.parse(vkey)
    if key.type != COSIGNATURE:
        raise ValueError(f"the key of {key.name} is a log's and not a witness's")
    return key


def _tells_size(reply: Reply) -> bool:
    return (
        reply.status == HTTPStatus.CONFLICT
        and reply.fields.get("Content-Type", "").partition(";")[0].strip() == SIZE_TYPE
    )


def _size_in(reply: Reply) -> int:
    try:
        return read_size(reply.body)
    except SealFormatError as error:
        raise AnchorRefusedError(str(error)) from None


def _refusal(reply: Reply, origin: str) -> AnchorRefusedError:
    said = f": {reply.text}" if reply.text else ""
    match reply.status:
        case HTTPStatus.NOT_FOUND:
            reason = f"it does not know the log {origin}, or there is no witness here{said}"
        case HTTPStatus.FORBIDDEN:
            reason = f"it does not know the key of {origin}: tell it the new one{said}"
        case HTTPStatus.CONFLICT | HTTPStatus.UNPROCESSABLE_ENTITY:
            reason = (
                f"{origin} does not continue what it has signed: a fork, or altered tiles{said}"
            )
        case _:
            return reply.refusal()
    return AnchorRefusedError(f"{reason} (status {reply.status})")

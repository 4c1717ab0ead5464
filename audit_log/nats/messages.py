"""Messages: what the writer writes, as it travels from a sidecar to the ingest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import msgspec

from audit_log.errors import RecordRefusedError
from audit_log.record import AuditRecord, Gap, Invocation

MAX_PAYLOAD_BYTES: Final = 256 * 1024
"""A message is never longer, unless it holds a single item. NATS allows 1 MiB by default."""
RECORD: Final = "record"
INVOCATION: Final = "invocation"
GAP: Final = "gap"
REFUSED: Final = "refused"
Items = Sequence[AuditRecord] | Sequence[Invocation] | Sequence[Gap]
_encode = msgspec.json.Encoder().encode
_DECODERS: Final[dict[str, msgspec.json.Decoder[Items]]] = {
    RECORD: msgspec.json.Decoder(list[AuditRecord]),
    INVOCATION: msgspec.json.Decoder(list[Invocation]),
    GAP: msgspec.json.Decoder(list[Gap]),
}
KINDS: Final = tuple(_DECODERS)
"""What travels to the ingest. What is refused there stays in the stream."""


@dataclass(frozen=True, slots=True)
class Message:
    """Some items of one kind: a JSON array."""

    kind: str
    id: str
    """The id of the first item and a digest of them all.

    The same message sent again is recognised by it. One that begins alike and goes on otherwise,
    as after a crash that cut the batches in another place, is another message.
    """
    payload: bytes
    fields: Mapping[str, str] = field(default_factory=dict)
    """Further header fields."""


def messages(kind: str, items: Items) -> list[Message]:
    """Return *items* in as few messages as the limit allows; raise RecordRefusedError."""
    if not items:
        return []
    try:
        payload = _encode(items)
    except UnicodeEncodeError as error:
        raise RecordRefusedError("a text holds half a surrogate pair") from error
    if len(payload) > MAX_PAYLOAD_BYTES and len(items) > 1:
        middle = len(items) // 2
        return [*messages(kind, items[:middle]), *messages(kind, items[middle:])]
    digest = sha256(payload).hexdigest()[:16]
    return [Message(kind, f"{items[0].id}-{digest}", payload)]


def items_of(kind: str, payload: bytes) -> Items:
    """Return what the message of this *kind* holds; raise RecordRefusedError if it is none."""
    try:
        return _DECODERS[kind].decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordRefusedError(f"the message cannot be read: {error}") from error


def refused(kind: str, id_: str, payload: bytes, error: RecordRefusedError) -> Message:
    """Return the message that keeps *payload*, a *kind* or a whole message, for a person."""
    reason = " ".join(str(error).split())
    return Message(
        REFUSED, f"{REFUSED}-{id_}", payload, {"Audit-Kind": kind, "Audit-Reason": reason}
    )


def payload_of(item: AuditRecord | Invocation | Gap) -> bytes:
    """Return one item as it is set aside."""
    return _encode(item)

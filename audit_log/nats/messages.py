"""Messages between sidecars and the ingest: records, tool calls and gaps as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import msgspec

from audit_log.errors import RecordRefusedError
from audit_log.record import AnyRecord, Gap, Invocation, RecordRow
from audit_log.seal.stored import Sealed

MAX_PAYLOAD_BYTES: Final = 256 * 1024
"""No message is longer, unless it has a single item. NATS allows 1 MiB by default."""
RECORD: Final = "record"
INVOCATION: Final = "invocation"
GAP: Final = "gap"
SEALED: Final = "sealed"
"""Parts of the seal. They go by the subject of gaps, which every stream takes, with `KIND`."""
KIND: Final = "Audit-Kind"
"""The header field that names the kind where the subject does not."""
REFUSED: Final = "refused"
"""The subject of quarantined messages; the name is kept, as streams hold such messages."""
Items = Sequence[AnyRecord] | Sequence[Invocation] | Sequence[Gap] | Sequence[Sealed]
_encode = msgspec.json.Encoder().encode
_DECODERS: Final[dict[str, msgspec.json.Decoder[Items]]] = {
    RECORD: msgspec.json.Decoder(list[RecordRow]),
    INVOCATION: msgspec.json.Decoder(list[Invocation]),
    GAP: msgspec.json.Decoder(list[Gap]),
    SEALED: msgspec.json.Decoder(list[Sealed]),
}
KINDS: Final = (RECORD, INVOCATION, GAP)
"""What the ingest consumes. What it quarantines stays in the stream."""


@dataclass(frozen=True, slots=True)
class Message:
    """Some items of one kind: a JSON array."""

    kind: str
    id: str
    """The id of the first item and a digest of all items.

    By it the stream discards a message that is sent again. A message that begins with the same
    item but differs later, as after a crash that cut batches in another place, has another id.
    """
    payload: bytes
    fields: Mapping[str, str] = field(default_factory=dict)
    """Further header fields."""


def messages(kind: str, items: Items, room: int = MAX_PAYLOAD_BYTES) -> list[Message]:
    """Return *items* in messages of *room* bytes; raise RecordRefusedError for invalid text."""
    if not items:
        return []
    try:
        payload = _encode(items)
    except UnicodeEncodeError as error:
        raise RecordRefusedError("a text holds half a surrogate pair") from error
    if len(payload) > room and len(items) > 1:
        middle = len(items) // 2
        return [*messages(kind, items[:middle], room), *messages(kind, items[middle:], room)]
    id_ = f"{items[0].id}-{sha256(payload).hexdigest()[:16]}"
    if kind == SEALED:
        return [Message(GAP, id_, payload, {KIND: SEALED})]
    return [Message(kind, id_, payload)]


def items_of(kind: str, payload: bytes) -> Items:
    """Return the items of a message of this *kind*; raise RecordRefusedError if unreadable."""
    try:
        return _DECODERS[kind].decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordRefusedError(f"the message cannot be read: {error}") from error


def refused(kind: str, id_: str, payload: bytes, error: RecordRefusedError) -> Message:
    """Return the message that quarantines *payload*, a *kind* or a whole message."""
    reason = " ".join(str(error).split())
    return Message(REFUSED, f"{REFUSED}-{id_}", payload, {KIND: kind, "Audit-Reason": reason})


def payload_of(item: AnyRecord | Invocation | Gap | Sealed) -> bytes:
    """Return one item as it is quarantined."""
    return _encode(item)

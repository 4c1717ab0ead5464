"""A record as the JSON it is kept as, put together from parts that repeat from call to call.

To make a struct of a record and encode that, twice a call, costs more than all else that is done
to record it. Most of a record is the same for every call with the same head and token, so that
part is encoded once, and what differs is put before it.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from uuid_utils import uuid7

from audit_log.record import AuditRecord, Outcome

_encode = msgspec.json.Encoder().encode


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What all records of calls with the same head and the same token say: see `AuditRecord`."""

    method: str
    path: str
    instance: str
    token_id: UUID | None
    token_name: str | None
    token_hash: str | None
    client_ip: str | None
    user_agent: str | None
    request_id: str | None
    traceparent: str | None = None
    tracestate: str | None = None
    """The client's span, where spans are sent (W3C Trace Context): no part of the audit record."""

    @property
    def rest(self) -> bytes:
        """Return the end of the JSON of a record: these members, and `}`."""
        return _encode(self)[1:]


class TracedRecord(AuditRecord, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A record with the client's span, as the journal has it."""

    traceparent: str | None = None
    tracestate: str | None = None


class RecordText(msgspec.Struct, frozen=True, gc=False):
    """What `AuditRecord` says, as JSON."""

    opening: bytes
    """`{` and the members that no other record has, with a comma at the end."""
    ending: bytes
    """The members that tell how the call ended, with a comma at the end."""
    rest: bytes
    """The members that repeat, and `}`."""

    @property
    def json(self) -> bytes:
        """Return the whole."""
        return self.opening + self.ending + self.rest

    @property
    def record(self) -> AuditRecord:
        """Return the record as a struct, for code that reads its members."""
        return msgspec.json.decode(self.json, type=AuditRecord)


def opening(created_at: datetime) -> bytes:
    """Return the members that only one record has, with a new id."""
    # The id is never a uuid.UUID: to make one takes as long as all of this.
    return b'{"id":"%b","created_at":%b,' % (str(uuid7()).encode(), _encode(created_at))


def ending(outcome: Outcome, status: int, duration_ms: float | None) -> bytes:
    """Return the members that tell how the call ended; *duration_ms* is None if unknown."""
    if duration_ms is None:
        return b'"status_code":%d,"outcome":"%b",' % (status, _OUTCOMES[outcome])
    return b'"status_code":%d,"outcome":"%b","duration_ms":%.4f,' % (
        status,
        _OUTCOMES[outcome],
        duration_ms,
    )


_OUTCOMES: Final = {outcome: outcome.value.encode() for outcome in Outcome}

"""Reads of the audit log as callers get them."""

from typing import Self
from uuid import UUID

import msgspec

from audit_api.formats.entries import Moment, known_timestamp, timestamp
from audit_log.reads import Read


class ReadOfLog(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One read; unknown values are null."""

    id: UUID
    created_at: Moment
    ended_at: Moment | None
    """Of an export or a stream; null while it is under way, or if the service was killed."""
    kind: str
    reader: str | None
    """The name of the token; null if PodWarden admitted the reader, or no token is known."""
    role: str | None
    token_id: UUID | None
    session: str | None
    """Tells the sessions of the page apart."""
    client_ip: str | None
    question: str
    """Below `/api/v1/settings`; of the page, the first of a view."""
    status_code: int | None
    """499: an export that was not sent to its end."""
    rows_told: int | None
    times: int
    """How often this caller was refused for one reason within a minute."""
    instance: str

    @classmethod
    def of(cls, read: Read) -> Self:
        """Return *read* as callers get it."""
        return cls(
            id=read.id,
            created_at=timestamp(read.created_at),
            ended_at=known_timestamp(read.ended_at),
            kind=read.kind,
            reader=read.reader,
            role=read.role,
            token_id=read.token_id,
            session=read.session,
            client_ip=read.client_ip,
            question=read.question,
            status_code=read.status_code,
            rows_told=read.rows_told,
            times=read.times,
            instance=read.instance,
        )

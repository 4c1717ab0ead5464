"""Reads of the audit log: who asked the audit API what, and how much it told."""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

MOST_CHARACTERS: Final = 2_048
"""The length of a question that is kept."""


class ReadKind(StrEnum):
    """What was asked for."""

    QUESTION = "question"
    """A list, numbers, one entry, or its proof."""
    EXPORT = "export"
    EVIDENCE = "evidence"
    STREAM = "stream"
    SIGN_IN = "sign_in"
    """At the page."""
    REFUSED = "refused"
    """A caller that may not read. It was told nothing."""


class Read(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One read, or the end of one. Unknown values are None."""

    id: UUID
    created_at: datetime
    """By PostgreSQL's clock, as far as the audit API knows it."""
    kind: ReadKind
    question: str
    """The path below `/api/v1/settings`, and the parameters; never a secret."""
    instance: str
    """The host of the audit API."""
    reader: str | None = None
    """The name of the token; None if PodWarden admitted the reader."""
    role: str | None = None
    token_id: UUID | None = None
    session: str | None = None
    """Tells the sessions of the page apart. It opens none."""
    client_ip: str | None = None
    status_code: int | None = None
    """What the caller was sent; None while an export or a stream is under way."""
    rows_told: int | None = None
    times: int = 1
    """How often this caller was refused for this reason within a minute."""
    began: UUID | None = None
    """At the end of an export or a stream: the read that was added at its beginning."""
    seq: int | None = None
    """The place of its leaf in the log of the seal."""
    log: int | None = None
    ended_at: datetime | None = None
    """When an export or a stream ended. It is stored as a read of its own."""

"""Entries, tokens and gaps as callers get them: PodWarden's documented JSON and its extensions.

Names, methods, paths and user agents are untrusted text. Here they are JSON strings; a program
that displays them must escape them.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import UUID

import msgspec

from audit_log.objects import object_of
from audit_log.postgres.agents.token_details import NO_DETAILS, TokenDetails
from audit_log.postgres.usage import TokenUse
from audit_log.record import AuditRecord, Gap

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class Entry(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One record in PodWarden's documented shape: these six keys, in this order."""

    id: UUID
    token_name: str | None
    method: str
    path: str
    status_code: int
    created_at: Moment

    @classmethod
    def of(cls, record: AuditRecord) -> Self:
        """Return *record* as callers get it."""
        return cls(**_documented(record))


class DetailedEntry(Entry, frozen=True, gc=False, forbid_unknown_fields=True):
    """One record with all its details; unknown values are null."""

    token_id: UUID | None
    outcome: str
    duration_ms: float | None
    client_ip: str | None
    user_agent: str | None
    tool: str | None
    invocation_id: UUID | None
    attribution: str | None
    request_id: str | None
    instance: str
    arrived_at: Moment | None
    """When PostgreSQL took it in, by its own clock; null in entries of before version 0.2."""
    object: str | None
    """The outermost object in the path, as the filter `object` names it; null if none is known."""

    @classmethod
    def of(cls, record: AuditRecord) -> Self:
        """Return *record* with all its details."""
        return cls(
            **_documented(record),
            token_id=record.token_id,
            outcome=record.outcome,
            duration_ms=milliseconds(record.duration_ms),
            client_ip=record.client_ip,
            user_agent=record.user_agent,
            tool=record.tool,
            invocation_id=record.invocation_id,
            attribution=record.attribution,
            request_id=record.request_id,
            instance=record.instance,
            arrived_at=known_timestamp(record.arrived_at),
            object=object_of(record.path),
        )


class UsedToken(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One token in use, or all unknown ones, with the calls of the last 30 days."""

    token_name: str
    token_id: UUID | None
    last_used: Moment
    calls_30d: int
    refused_30d: int
    unknown_tokens: int | None
    """How many unknown tokens these are; null for one token."""
    owner: str | None
    """What the token query says of it now, like the rest; null where it has no such column."""
    description: str | None
    role: str | None
    created_at: Moment | None
    expires_at: Moment | None
    revoked_at: Moment | None

    @classmethod
    def of(cls, use: TokenUse, details: TokenDetails = NO_DETAILS) -> Self:
        """Return *use* as callers get it, with *details* of the token."""
        return cls(
            use.token_name,
            use.token_id,
            timestamp(use.last_used),
            use.calls,
            use.refused,
            use.unknown_tokens,
            details.owner,
            details.description,
            details.role,
            known_timestamp(details.created_at),
            known_timestamp(details.expires_at),
            known_timestamp(details.revoked_at),
        )


class MissingEntries(
    msgspec.Struct,
    frozen=True,
    gc=False,
    forbid_unknown_fields=True,
    rename={"started_at": "from", "ended_at": "to"},
):
    """One gap: records are missing between `from` and `to`; an unknown count is null."""

    id: UUID
    started_at: Moment
    ended_at: Moment
    count: int | None
    reason: str
    instance: str

    @classmethod
    def of(cls, gap: Gap) -> Self:
        """Return *gap* as callers get it."""
        return cls(
            id=gap.id,
            started_at=timestamp(gap.started_at),
            ended_at=timestamp(gap.ended_at),
            count=gap.count,
            reason=gap.reason,
            instance=gap.instance,
        )


def _documented(record: AuditRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "token_name": record.token_name,
        "method": record.method,
        "path": record.path,
        "status_code": record.status_code,
        "created_at": timestamp(record.created_at),
    }


def timestamp(moment: datetime) -> str:
    """Return *moment* as PodWarden documents it: `2026-02-28T03:42:00+00:00`.

    This is `isoformat()` in UTC, with a fraction if there is one: an audit log does not round.
    JSON encoders write `Z` instead of `+00:00`, so the text is made here.
    """
    return moment.astimezone(UTC).isoformat()


def known_timestamp(moment: datetime | None) -> str | None:
    """Return *moment* as `timestamp` does, or None."""
    return None if moment is None else timestamp(moment)


def milliseconds(duration: float | None) -> float | None:
    """Return *duration* in ms rounded to 3 digits: PostgreSQL's `real` holds no more."""
    return None if duration is None else round(duration, 3)

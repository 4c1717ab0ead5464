"""The announcer: decides which events are sent, and puts them into the outbox. Never waits."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from uuid import UUID

from audit_log.record import AuditRecord, Gap, Outcome, new_record_id
from proxy.telemetry.outbox import Outbox
from proxy.telemetry.webhook.burst import COUNT, SECONDS, Burst
from proxy.telemetry.webhook.event import Event, EventType
from proxy.telemetry.webhook.seen_tokens import SeenTokens

CAPACITY: Final = 1_000
"""How many events wait for the receiver before the oldest is dropped."""


class Announcer:
    """Announces what happens in this sidecar. Each worker announces its own events."""

    def __init__(
        self,
        outbox: Outbox[Event],
        instance: str,
        seen: SeenTokens,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Put events into *outbox* in the name of *instance*."""
        self._outbox = outbox
        self._instance = instance
        self._seen = seen
        self._clock = clock
        self._burst = Burst()

    def call_ended(self, record: AuditRecord) -> None:
        """Announce the first use of a token, and a burst of calls with refused tokens."""
        if record.status_code == HTTPStatus.UNAUTHORIZED:
            if self._burst.begins(self._clock()):
                self._announce_burst(record)
        elif (
            record.token_id is not None
            and record.outcome is not Outcome.REFUSED
            and self._seen.is_new(record.token_id)
        ):
            self._announce(
                EventType.FIRST_USE,
                token_id=str(record.token_id),
                token_name=record.token_name,
                client_ip=record.client_ip,
                record_id=str(record.id),
            )

    def gap_found(self, gap: Gap) -> None:
        """Announce *gap*, which has just been written."""
        self._announce(
            EventType.GAP,
            gap.id,
            started_at=gap.started_at.isoformat(),
            ended_at=gap.ended_at.isoformat(),
            count=gap.count,
            reason=gap.reason,
        )

    def budget_nears(self, used_bytes: int, max_bytes: int, days_left: float | None) -> None:
        """Announce that the audit log reaches its *max_bytes* in *days_left* days, if known."""
        self._announce(
            EventType.BUDGET, used_bytes=used_bytes, max_bytes=max_bytes, days_left=days_left
        )

    def _announce_burst(self, record: AuditRecord) -> None:
        self._announce(
            EventType.REFUSED_BURST,
            count=COUNT,
            seconds=SECONDS,
            last_token_name=record.token_name,
            last_client_ip=record.client_ip,
        )

    def _announce(
        self, kind: EventType, event_id: UUID | None = None, **data: str | float | None
    ) -> None:
        data["instance"] = self._instance
        event = Event(str(event_id or new_record_id()), kind, datetime.now(UTC), data)
        self._outbox.offer(event)

"""The publisher: a sink that stores records in a NATS stream until the ingest has them."""

from collections.abc import Sequence

from audit_log.nats.jetstream import JetStream
from audit_log.nats.messages import GAP, INVOCATION, RECORD, Items, messages
from audit_log.record import AuditRecord, Gap, Invocation


class Publisher:
    """A sink like `Store`: each method returns when a majority of the servers has stored all.

    Raises StoreUnavailableError and RecordRefusedError. Idempotent.
    """

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream

    async def append(self, records: Sequence[AuditRecord]) -> None:
        """Publish *records*. The ingest finds the names that are still unknown."""
        await self._publish(RECORD, records)

    async def append_invocations(self, invocations: Sequence[Invocation]) -> None:
        """Publish *invocations*, in the same way."""
        await self._publish(INVOCATION, invocations)

    async def append_gaps(self, gaps: Sequence[Gap]) -> None:
        """Publish *gaps*."""
        await self._publish(GAP, gaps)

    async def _publish(self, kind: str, items: Items) -> None:
        if items:
            room = await self._jetstream.room()
            await self._jetstream.publish(messages(kind, items, room))

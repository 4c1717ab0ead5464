"""The publisher: what the writer appends is kept by a NATS stream until the ingest has it."""

from collections.abc import Sequence

from audit_log.nats.jetstream import JetStream
from audit_log.nats.messages import GAP, INVOCATION, RECORD, messages
from audit_log.record import AuditRecord, Gap, Invocation


class Publisher:
    """A sink like `Store`: each method returns when a majority of the servers has everything.

    Raises StoreUnavailableError and RecordRefusedError. Repeating is harmless.
    """

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream

    async def append(self, records: Sequence[AuditRecord]) -> None:
        """Have *records* kept. Names that are not known yet are found out by the ingest."""
        await self._jetstream.publish(messages(RECORD, records))

    async def append_invocations(self, invocations: Sequence[Invocation]) -> None:
        """Have *invocations* kept, as records are."""
        await self._jetstream.publish(messages(INVOCATION, invocations))

    async def append_gaps(self, gaps: Sequence[Gap]) -> None:
        """Have *gaps* kept."""
        await self._jetstream.publish(messages(GAP, gaps))

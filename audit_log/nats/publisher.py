"""The publisher: a sink that stores records in a NATS stream until the ingest has them."""

import asyncio
from collections.abc import Sequence
from typing import Final

from audit_log.errors import StoreUnavailableError
from audit_log.nats.jetstream import JetStream
from audit_log.nats.messages import GAP, INVOCATION, RECORD, SEALED, Items, Message, messages
from audit_log.nats.receipts import PACE_SECONDS, Receipts
from audit_log.record import AnyRecord, Gap, Invocation
from audit_log.seal.stored import Sealed

_RESPONSE_SECONDS: Final = 5.0


class Publisher:
    """A sink like `Store`: each method returns when a majority of the servers has stored all.

    What has arrived in PostgreSQL is told by `receipts`. Raises StoreUnavailableError and
    RecordRefusedError. Idempotent.
    """

    def __init__(self, jetstream: JetStream, *, pace_seconds: float = PACE_SECONDS) -> None:
        """Publish to *jetstream*. For *pace_seconds* see `Receipts`."""
        self._jetstream = jetstream
        self.receipts = Receipts(pace_seconds)
        jetstream.hear(self.receipts.subject, self.receipts.take)

    async def append(self, records: Sequence[AnyRecord]) -> None:
        """Publish *records*. The ingest finds the names that are still unknown."""
        await self._publish(RECORD, records)

    async def append_invocations(self, invocations: Sequence[Invocation]) -> None:
        """Publish *invocations*, in the same way."""
        await self._publish(INVOCATION, invocations)

    async def append_gaps(self, gaps: Sequence[Gap]) -> None:
        """Publish *gaps*."""
        await self._publish(GAP, gaps)

    async def append_sealed(self, parts: Sequence[Sealed]) -> None:
        """Publish *parts* of the seal."""
        await self._publish(SEALED, parts)

    async def identity(self) -> str | None:
        """Return the store that the ingest writes to, as the last receipt named it, or None."""
        probe = self.receipts.probe()
        if probe is not None:
            await self._send([probe])
        return self.receipts.store

    async def has(self, record: AnyRecord) -> bool:
        """Say whether *record* was in PostgreSQL; publish it."""
        [message] = messages(RECORD, [record], await self._jetstream.room())
        question, response = self.receipts.question(message)
        try:
            await self._jetstream.publish([question])
        except StoreUnavailableError:
            self.receipts.note_failed(message, question)
            raise
        try:
            async with asyncio.timeout(_RESPONSE_SECONDS):
                had = await response
        except TimeoutError as error:
            raise StoreUnavailableError("no ingest responds") from error
        if had is None:
            raise StoreUnavailableError("the ingest cannot tell")
        return had

    async def _publish(self, kind: str, items: Items) -> None:
        if items:
            room = await self._jetstream.room()
            await self._send(messages(kind, items, room))

    async def _send(self, unnumbered: Sequence[Message]) -> None:
        stamped = [self.receipts.stamped(message) for message in unnumbered]
        try:
            await self._jetstream.publish(stamped)
        except StoreUnavailableError:
            for message, sent in zip(unnumbered, stamped, strict=True):
                self.receipts.note_failed(message, sent)
            raise

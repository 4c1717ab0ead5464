"""The stream and its consumer: their configuration, and making them."""

from datetime import timedelta
from typing import Final

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from audit_log.nats.messages import KINDS, REFUSED
from audit_log.process.settings import NatsSettings

ACK_SECONDS: Final = 30.0
"""A message not acknowledged by then is delivered again, to any ingest."""
MAX_UNACKNOWLEDGED: Final = 1_000
DEDUPE_WINDOW: Final = timedelta(minutes=10)
"""How long the stream discards duplicates. After that only the ids in PostgreSQL do."""
CONSUMER: Final = "ingest"


async def make_stream(jetstream: JetStreamContext, settings: NatsSettings) -> None:
    """Make the stream and its consumer if they are missing; change nothing that is there."""
    try:
        await jetstream.stream_info(settings.stream)
    except nats.js.errors.NotFoundError:
        await jetstream.add_stream(_stream(settings))
    try:
        await jetstream.consumer_info(settings.stream, CONSUMER)
    except nats.js.errors.NotFoundError:
        await jetstream.add_consumer(settings.stream, _consumer(settings))


def _stream(settings: NatsSettings) -> StreamConfig:
    return StreamConfig(
        name=settings.stream,
        subjects=[f"{settings.stream}.{kind}" for kind in (*KINDS, REFUSED)],
        retention=RetentionPolicy.WORK_QUEUE,
        storage=StorageType.FILE,
        num_replicas=settings.replicas,
        max_bytes=settings.max_bytes,
        discard=DiscardPolicy.NEW,
        duplicate_window=DEDUPE_WINDOW.total_seconds(),
    )


def _consumer(settings: NatsSettings) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=CONSUMER,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_SECONDS,
        max_ack_pending=MAX_UNACKNOWLEDGED,
        # Not the quarantined messages: those stay for the operator.
        filter_subjects=[f"{settings.stream}.{kind}" for kind in KINDS],
    )

"""The stream and its consumer: their configuration, making them, and how found ones differ."""

from datetime import timedelta
from fnmatch import fnmatchcase
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


def stream_differences(found: StreamConfig, settings: NatsSettings) -> list[str]:
    """Return what in the configuration of a stream makes it lose records, or take none."""
    per_subject = found.max_msgs_per_subject or 0
    retention, discard, storage = found.retention, found.discard, found.storage
    differences = {
        f"its retention is {retention}, not workqueue": retention != RetentionPolicy.WORK_QUEUE,
        f"it discards {discard} messages when it is full, not new": discard != DiscardPolicy.NEW,
        f"it deletes messages after {found.max_age} s (max_age)": bool(found.max_age),
        f"it keeps {per_subject} messages of a subject, not all": per_subject > 0,
        f"its storage is {storage}, not file": storage != StorageType.FILE,
        "it confirms nothing (no_ack)": bool(found.no_ack),
    }
    taken = [subject.replace(">", "*") for subject in found.subjects or ()]
    missing = [
        f"it does not take the subject {subject}"
        for subject in _subjects(settings)
        if not any(fnmatchcase(subject, pattern) for pattern in taken)
    ]
    return [text for text, is_so in differences.items() if is_so] + missing


def consumer_differences(found: ConsumerConfig) -> list[str]:
    """Return what in the configuration of the consumer makes the ingest lose records."""
    differences = []
    if found.ack_policy != AckPolicy.EXPLICIT:
        differences.append(f"its ack policy is {found.ack_policy}, not explicit")
    if (found.max_deliver or 0) > 0:
        differences.append(f"it gives a message up after {found.max_deliver} deliveries")
    return differences


def _subjects(settings: NatsSettings) -> list[str]:
    return [f"{settings.stream}.{kind}" for kind in (*KINDS, REFUSED)]


def _stream(settings: NatsSettings) -> StreamConfig:
    return StreamConfig(
        name=settings.stream,
        subjects=_subjects(settings),
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

"""The door to NATS JetStream: the only module that speaks to it, and where its errors are sorted.

The stream is a work queue: what is acknowledged is deleted, and nothing else ever is. When it is
full it refuses what is new, so that records wait in the journals of the sidecars.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Final

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    Header,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from audit_log.errors import CredentialsFileError, StoreUnavailableError
from audit_log.nats.credentials import NatsCredentials, read_credentials
from audit_log.nats.messages import KINDS, REFUSED, Message
from audit_log.process.settings import NatsSettings
from audit_log.process.tls import TlsFilesError, client_context

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 5.0
"""How long a fetch waits for a message before it looks whether anybody is there at all."""
ACK_SECONDS: Final = 30.0
"""What is not acknowledged by then is delivered again, to whoever asks."""
MAX_UNACKNOWLEDGED: Final = 1_000
DEDUPE_WINDOW: Final = timedelta(minutes=10)
"""How long the stream knows a message again. After that the ids in PostgreSQL alone do."""
_FETCHED: Final = 8
_CONSUMER: Final = "ingest"
_FAREWELL_SECONDS: Final = 1.0
_FILES: Final = (CredentialsFileError, TlsFilesError)
_random = SystemRandom()


class Delivery:
    """A message as it was delivered. Until it is acknowledged the stream keeps it."""

    def __init__(self, message: Msg) -> None:
        self._message = message
        self.kind = message.subject.rpartition(".")[2]
        self.id = (message.headers or {}).get(Header.MSG_ID, "")
        self.payload = message.data
        self.published_at: datetime = message.metadata.timestamp
        self.waiting: int = message.metadata.num_pending
        """How many messages waited for delivery behind it."""

    async def acknowledge(self) -> None:
        """Let the stream delete it. If that gets lost it is delivered again, which is harmless."""
        with suppress(nats.errors.Error):
            await self._message.ack()

    async def hold(self) -> None:
        """Ask for more time, so that nobody else is given it."""
        with suppress(nats.errors.Error):
            await self._message.in_progress()


class JetStream:
    """A stream that may be away. Connects when first used, and again when lost.

    Every method raises StoreUnavailableError, within a bounded time.
    """

    def __init__(self, settings: NatsSettings, application: str) -> None:
        self._settings = settings
        self._application = application
        self._servers = deque(_random.sample(settings.servers, len(settings.servers)))
        self._client: Client | None = None
        self._pull: JetStreamContext.PullSubscription | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the stream has all of *messages*. Repeating it is harmless."""
        if not messages:
            return
        async with self._connected() as jetstream:
            answers = await asyncio.gather(
                *(
                    jetstream.publish(
                        f"{self._settings.stream}.{message.kind}",
                        message.payload,
                        stream=self._settings.stream,
                        headers={Header.MSG_ID: message.id, **message.fields},
                    )
                    for message in messages
                ),
                return_exceptions=True,
            )
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer

    async def connect(self) -> None:
        """Return when a server has let us in. Makes nothing."""
        async with self._connected():
            pass

    async def has_stream(self) -> bool:
        """Say whether the stream is there. Makes nothing."""
        async with self._connected() as jetstream:
            try:
                await jetstream.stream_info(self._settings.stream)
            except nats.js.errors.NotFoundError:
                return False
            return True

    async def reach(self) -> None:
        """Return when messages can be fetched.

        Makes the stream and its consumer if they are not there; what is there stays as it is.
        """
        async with self._connected() as jetstream:
            if self._pull is None:
                await _make(jetstream, self._settings)
                self._pull = await jetstream.pull_subscribe_bind(
                    _CONSUMER, stream=self._settings.stream
                )

    async def fetch(self) -> list[Delivery]:
        """Return the next messages; none when none came for a while. Others get other ones."""
        await self.reach()
        async with self._connected() as jetstream:
            assert self._pull is not None
            try:
                found = await self._pull.fetch(_FETCHED, timeout=IDLE_SECONDS)
            except nats.errors.TimeoutError:
                # A server that hangs is as silent as an empty stream, but does not answer this.
                await jetstream.consumer_info(self._settings.stream, _CONSUMER)
                return []
            return [Delivery(message) for message in found]

    async def close(self) -> None:
        """Hang up. The next use connects again, perhaps to another server."""
        client, self._client, self._pull = self._client, None, None
        if client is not None:
            with suppress(nats.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await client.close()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[JetStreamContext]:
        """Yield the connection, and speak of store errors, whatever the client calls them."""
        try:
            if self._client is None or self._client.is_closed:
                await self._connect()
            assert self._client is not None
            yield self._client.jetstream(timeout=ANSWER_SECONDS)
        except (*_FILES, nats.errors.Error, OSError, TimeoutError) as error:
            # Whatever it was: another server may do better.
            await self.close()
            raise StoreUnavailableError(f"NATS: {_said(error, self._settings)}") from error

    async def _connect(self) -> None:
        await self.close()
        self._servers.rotate()  # away from the one that failed
        # Read anew each time, for files change; and first, for a client that fails before it has
        # connected cannot be closed.
        tls, credentials = _tls(self._settings), _credentials(self._settings)
        self._client = Client()
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._client.connect(
                list(self._servers),
                dont_randomize=True,
                name=self._application,
                # Apart, so that servers can keep a sidecar from reading what an ingest is sent.
                inbox_prefix=f"_INBOX.{self._application}",
                error_cb=_said_by_what_failed,
                allow_reconnect=False,  # ours, so that a failed request moves on to another server
                connect_timeout=2,
                reconnect_time_wait=0,
                tls=tls,
                # Beside a token only, which nobody asks for, does nats-py 2.16 heed the other two.
                token="none" if credentials else None,
                user_jwt_cb=credentials.shown if credentials else None,
                signature_cb=credentials.signature if credentials else None,
            )


@asynccontextmanager
async def open_jetstream(
    settings: NatsSettings, *, application: str = "podwarden-audit"
) -> AsyncIterator[JetStream]:
    """Yield the stream of *settings*, whether or not it can be reached."""
    jetstream = JetStream(settings, application)
    try:
        yield jetstream
    finally:
        await jetstream.close()


def check_files(settings: NatsSettings) -> None:
    """Raise TlsFilesError or CredentialsFileError if NATS could not be reached for a file."""
    _ = _tls(settings), _credentials(settings)


async def _make(jetstream: JetStreamContext, settings: NatsSettings) -> None:
    try:
        await jetstream.stream_info(settings.stream)
    except nats.js.errors.NotFoundError:
        await jetstream.add_stream(_stream(settings))
    try:
        await jetstream.consumer_info(settings.stream, _CONSUMER)
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
        durable_name=_CONSUMER,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_SECONDS,
        max_ack_pending=MAX_UNACKNOWLEDGED,
        # Not what was refused: that stays, for a person.
        filter_subjects=[f"{settings.stream}.{kind}" for kind in KINDS],
    )


def _tls(settings: NatsSettings) -> ssl.SSLContext | None:
    return client_context(settings.ca_file, None) if settings.ca_file else None


def _credentials(settings: NatsSettings) -> NatsCredentials | None:
    return read_credentials(settings.credentials_file) if settings.credentials_file else None


def _said(error: Exception, settings: NatsSettings) -> str:
    if isinstance(error, nats.js.errors.NoStreamResponseError):
        return f"nobody answers for the stream {settings.stream}"
    said = error.description if isinstance(error, nats.js.errors.APIError) else str(error)
    return " ".join((said or "no answer in time").split()).removeprefix("nats: ")


async def _said_by_what_failed(_error: Exception) -> None:
    """Say nothing: whoever needed the connection says it."""

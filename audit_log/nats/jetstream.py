"""The client of NATS JetStream: connects, publishes, fetches, and translates its errors.

Theory of operation. The stream is a work queue: an acknowledged message is deleted, and no other
message ever is. A full stream rejects new messages, so that records wait in the journals of the
sidecars. One durable consumer, shared by all ingests, gives each message to one of them. A message
that is not acknowledged within `ACK_SECONDS` is delivered again; every step is idempotent.

The client's own reconnection is switched off. After any error the connection is closed, and the
next use connects to the next server of the list. So a failed request never waits on one server.

A stream of that name may have been made by others, or changed. It is compared with what we need at
each connection and every `LOOK_SECONDS`: nothing is published to one that would lose records, and
an ingest goes on reading from it and says so.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from random import SystemRandom
from time import monotonic
from typing import Final

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import Header

from audit_log.errors import CredentialsFileError, StoreAwayError, StoreUnavailableError
from audit_log.nats.credentials import NatsCredentials, read_credentials
from audit_log.nats.messages import KIND, MAX_PAYLOAD_BYTES, Message
from audit_log.nats.receipts import FIELD, QUESTION, RECEIPTS, receipt_for, subject_of
from audit_log.nats.stream import (
    CONSUMER,
    consumer_differences,
    make_stream,
    stream_differences,
)
from audit_log.process.settings import NatsSettings
from audit_log.process.tls import client_context

CONNECT_SECONDS: Final = 5.0
RESPONSE_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 5.0
"""How long a fetch waits for a message before it checks that the server still responds."""
LOOK_SECONDS: Final = 30.0
_FETCHED: Final = 8
_SHORTEST_WAIT_SECONDS: Final = 0.1
_HEADER_BYTES: Final = 1_024
"""More than the header of a message takes: a server counts it as payload."""
_FAREWELL_SECONDS: Final = 1.0
_random = SystemRandom()
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Delivery:
    """A delivered message. The stream keeps it until it is acknowledged."""

    def __init__(self, message: Msg, client: Client) -> None:
        self._message = message
        self._client = client
        fields = message.headers or {}
        self._asked = fields.get(FIELD, "")
        self.is_question = QUESTION in fields
        """Whether the sidecar wants to know if its one record was there before."""
        self.kind = fields.get(KIND) or message.subject.rpartition(".")[2]
        self.id = fields.get(Header.MSG_ID, "")
        self.payload = message.data
        self.published_at: datetime = message.metadata.timestamp
        self.waiting: int = message.metadata.num_pending
        """How many messages were waiting behind it."""

    async def acknowledge(self, store: str | None = None, *, had: bool | None = None) -> None:
        """Tell its sidecar that *store* has it, if that asks, and let the stream delete it.

        If that is lost, it is delivered again, which is harmless.
        """
        with suppress(nats.errors.Error):
            if subject := subject_of(self._asked):
                receipt = receipt_for(self._asked, store, had=had)
                await self._client.publish(subject, receipt)
            await self._message.ack()

    async def hold(self) -> None:
        """Restart `ACK_SECONDS`, so that no other ingest gets the message."""
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
        self._look_at = 0.0
        self._may_look = True
        self._complaint: str | None = None
        """What the server has said last of what we may not do, on this connection."""
        self._heard: tuple[str, Callable[[bytes], None]] | None = None
        self.problem: str | None = None
        """In what the stream differs from what we need, as seen last, or None."""

    def hear(self, subject: str, take: Callable[[bytes], None]) -> None:
        """Call *take* with what is sent to *subject*, on each connection from now on."""
        self._heard = subject, take

    async def room(self) -> int:
        """Return how many bytes a message may have."""
        async with self._connected():
            assert self._client is not None
            return min(MAX_PAYLOAD_BYTES, max(self._client.max_payload - _HEADER_BYTES, 1))

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the stream has stored all of *messages*. Idempotent."""
        if not messages:
            return
        async with self._connected() as jetstream:
            await self._look(jetstream)
            if self.problem is not None:
                raise StoreUnavailableError(self.problem)
            results = await asyncio.gather(
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
            for result in results:
                if isinstance(result, BaseException):
                    raise result

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

        Makes the stream and its consumer if they are missing; existing ones are not changed.
        A consumer that would lose records is refused.
        """
        async with self._connected() as jetstream:
            if self._pull is None:
                await make_stream(jetstream, self._settings)
            await self._look(jetstream)
            if self._pull is None:
                said = await jetstream.consumer_info(self._settings.stream, CONSUMER)
                if differences := consumer_differences(said.config):
                    raise StoreUnavailableError(
                        f"the consumer {CONSUMER} of the stream {self._settings.stream} is not as"
                        f" needed: {', '.join(differences)}; delete it, and it is made anew"
                    )
                self._pull = await jetstream.pull_subscribe_bind(
                    CONSUMER, stream=self._settings.stream
                )

    async def fetch(self, seconds: float | None = None) -> list[Delivery]:
        """Return the next messages; none if none came within *seconds*, at most `IDLE_SECONDS`."""
        wait = IDLE_SECONDS if seconds is None else min(seconds, IDLE_SECONDS)
        await self.reach()
        async with self._connected() as jetstream:
            assert self._pull is not None
            try:
                found = await self._pull.fetch(_FETCHED, timeout=max(wait, _SHORTEST_WAIT_SECONDS))
            except nats.errors.TimeoutError:
                # A hanging server is as silent as an empty stream, but fails this request.
                await jetstream.consumer_info(self._settings.stream, CONSUMER)
                return []
            assert self._client is not None
            return [Delivery(message, self._client) for message in found]

    async def close(self) -> None:
        """Close the connection. The next use connects again, to the next server."""
        client, self._client, self._pull = self._client, None, None
        if client is not None:
            with suppress(nats.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await client.close()

    async def _look(self, jetstream: JetStreamContext) -> None:
        """Compare the stream with what we need, if that is due; `problem` has the result."""
        if not self._may_look or monotonic() < self._look_at:
            return
        try:
            said = await jetstream.stream_info(self._settings.stream)
        except (nats.js.errors.NotFoundError, nats.js.errors.ServiceUnavailableError):
            return  # publishing to it says so
        except TimeoutError:
            # A sidecar's user of an older version may publish and nothing else.
            if self._complaint is None or "$JS.API.STREAM.INFO" not in self._complaint.upper():
                raise
            self._may_look, self._complaint = False, None
            return
        differences = stream_differences(said.config, self._settings)
        if not differences:
            self.problem, self._look_at = None, monotonic() + LOOK_SECONDS
        else:
            self.problem = (
                f"the stream {self._settings.stream} would lose records: {', '.join(differences)};"
                " change it with the `nats` command, or delete it and it is made anew"
            )

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[JetStreamContext]:
        """Yield the connection; raise whatever fails as StoreUnavailableError.

        The client raises more than its own errors when a server answers oddly.
        """
        try:
            if self._client is None or self._client.is_closed:
                await self._connect()
        except Exception as error:
            # The next server of the list may work.
            await self.close()
            raise StoreAwayError(f"NATS: {self._message_of(error)}") from error
        assert self._client is not None
        try:
            yield self._client.jetstream(timeout=RESPONSE_SECONDS)
        except StoreUnavailableError:
            raise
        except Exception as error:
            message = self._message_of(error)
            await self.close()
            raise StoreUnavailableError(f"NATS: {message}") from error

    def _message_of(self, error: Exception) -> str:
        if isinstance(error, nats.js.errors.NoStreamResponseError):
            return f"no server responds for the stream {self._settings.stream}"
        if isinstance(error, TimeoutError | nats.errors.TimeoutError) and self._complaint:
            # What may not be done is not answered: the server says so beside it.
            return self._complaint
        text = error.description if isinstance(error, nats.js.errors.APIError) else str(error)
        return " ".join((text or "no response in time").split()).removeprefix("nats: ")

    async def _note_complaint(self, error: Exception) -> None:
        """Keep what the server says; a request that fails raises, and its caller logs that."""
        text = str(error).removeprefix("nats: ").strip("' ")
        if "ermissions" in text or "uthorization" in text:
            if RECEIPTS in text and text != self._complaint:
                log.warning("nats.receipts_refused", error=text)
            self._complaint = text

    async def _connect(self) -> None:
        await self.close()
        self._look_at, self._complaint = 0.0, None
        self._servers.rotate()  # the next one, after the one that failed
        # Read at each connection, because files change; and before the client is made, because a
        # client that has never connected cannot be closed.
        tls, credentials = _tls(self._settings), _credentials(self._settings)
        self._client = Client()
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._client.connect(
                list(self._servers),
                dont_randomize=True,
                name=self._application,
                # One per application, so that servers can deny a sidecar the inbox of an ingest.
                inbox_prefix=f"_INBOX.{self._application}",
                error_cb=self._note_complaint,
                allow_reconnect=False,  # ours, so that a failed request moves on to another server
                connect_timeout=2,
                reconnect_time_wait=0,
                tls=tls,
                # nats-py 2.16 uses the two callbacks only if a token is given as well.
                token="none" if credentials else None,
                user_jwt_cb=credentials.shown if credentials else None,
                signature_cb=credentials.signature if credentials else None,
            )
            if self._heard is not None:
                subject, take = self._heard
                await self._client.subscribe(subject, cb=partial(_taken, take))


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
    """Raise TlsFilesError or CredentialsFileError if a file of *settings* cannot be used."""
    _ = _tls(settings), _credentials(settings)


async def _taken(take: Callable[[bytes], None], message: Msg) -> None:
    take(message.data)


def _tls(settings: NatsSettings) -> ssl.SSLContext | None:
    if settings.ca_file is None:
        return None
    return client_context(settings.ca_file, None, "AUDIT_LOG_NATS_CA_FILE")


def _credentials(settings: NatsSettings) -> NatsCredentials | None:
    if settings.credentials_file is None:
        return None
    try:
        return read_credentials(settings.credentials_file)
    except CredentialsFileError as error:
        raise CredentialsFileError(f"AUDIT_LOG_NATS_CREDENTIALS_FILE: {error}") from None

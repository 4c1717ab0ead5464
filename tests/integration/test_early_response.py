"""A response that comes before the end of the request reaches the client, whoever closes first."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.neighbours.certificates import LOOPBACK, self_signed
from tests.neighbours.client import PATIENCE_SECONDS
from tests.neighbours.corpus import request
from tests.neighbours.services import Service, running_sidecar
from tests.neighbours.upstream import Call, Upstream, running_upstream

ROUNDS: Final = int(os.environ.get("EARLY_RESPONSE_ROUNDS", "100"))
BODY: Final = b"x" * 4_000_000
REFUSAL: Final = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
SWITCH: Final = b"HTTP/1.1 101 Frobbing\r\nUpgrade: frob\r\nConnection: Upgrade\r\n\r\n"
LAST_WORDS: Final = b"the last words"


@pytest.fixture(params=["plain", "TLS"])
async def upstream_and_sidecar(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Upstream, Service]]:
    """An upstream, over TLS or not, and a sidecar before it."""
    tls: ssl.SSLContext | None = None
    settings = {}
    if request.param == "TLS":
        tls, trusted = self_signed(LOOPBACK, tmp_path)
        settings["PROXY_UPSTREAM_CA_FILE"] = str(trusted)
    async with (
        running_upstream(tls=tls) as upstream,
        running_sidecar(upstream.url, **settings) as sidecar,
    ):
        yield upstream, sidecar


def after_reading(size: int, response: bytes) -> Callable[[Call], Awaitable[None]]:
    """Respond when *size* bytes of the body were read, and close at once."""

    async def behave(call: Call) -> None:
        if size:
            await call.reader.readexactly(size)
        await call.send(response)
        call.close()

    return behave


def uploaded(port: int, head: bytes, body: bytes, wanted: int) -> bytes:
    """Send *head*, and *body* while the peer takes it; return *wanted* bytes of what came.

    With plain sockets in threads: reading goes on when writing fails.
    """

    def send() -> None:
        with suppress(OSError):
            connection.sendall(body)

    received = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
        connection.sendall(head)
        sending = threading.Thread(target=send)
        sending.start()
        with suppress(ConnectionError):
            while len(received) < wanted and (piece := connection.recv(wanted - len(received))):
                received += piece
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        sending.join()
    return received


@pytest.mark.parametrize("size", [0, 1, 200_000])
async def test_a_refusal_during_an_upload_is_what_the_client_reads(upstream_and_sidecar, size):
    upstream, sidecar = upstream_and_sidecar
    upstream.plan(after_reading(size, REFUSAL))
    head = request(b"POST /", b"Content-Length: %d" % len(BODY))
    start = REFUSAL.partition(b"\r\n")[0]

    seen = [
        await asyncio.to_thread(uploaded, sidecar.port, head, BODY, len(start))
        for _ in range(ROUNDS)
    ]

    assert seen == [start] * ROUNDS


@contextmanager
def refusing_at_once(tls: ssl.SSLContext) -> Iterator[int]:
    """Yield the port of an upstream that refuses each request after its head, and closes.

    It has plain sockets in threads, so that Nagle's algorithm keeps the refusal back until the
    session tickets are acknowledged.
    """

    def refuse(connection: socket.socket) -> None:
        with suppress(OSError), tls.wrap_socket(connection, server_side=True) as secured:
            while b"\r\n\r\n" not in secured.recv(4_096):
                pass
            secured.sendall(REFUSAL)

    def serve() -> None:
        with suppress(OSError):
            while True:
                refuse(listening.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve)
        serving.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        serving.join()


async def test_a_refusal_waits_for_no_acknowledgement_of_session_tickets(tmp_path):
    tls, trusted = self_signed(LOOPBACK, tmp_path)
    head = request(b"POST /", b"Content-Length: %d" % len(BODY))
    start = REFUSAL.partition(b"\r\n")[0]
    with refusing_at_once(tls) as port:
        url = f"https://127.0.0.1:{port}"
        async with running_sidecar(url, PROXY_UPSTREAM_CA_FILE=str(trusted)) as sidecar:
            seen = [
                await asyncio.to_thread(uploaded, sidecar.port, head, BODY, len(start))
                for _ in range(20)
            ]

    # On a busy machine tickets may come later than they are waited for. Without waiting none was
    # in time.
    assert seen.count(start) > 15


async def test_the_last_words_of_an_upstream_reach_the_client_of_a_tunnel(upstream_and_sidecar):
    upstream, sidecar = upstream_and_sidecar

    async def speak_and_leave(call: Call) -> None:
        await call.send(SWITCH)
        await call.reader.readexactly(1)
        await call.send(LAST_WORDS)
        call.close()

    upstream.plan(speak_and_leave)
    head = request(b"GET /", b"Connection: Upgrade", b"Upgrade: frob")
    words = SWITCH + LAST_WORDS

    heard = [
        await asyncio.to_thread(uploaded, sidecar.port, head, BODY, len(words))
        for _ in range(ROUNDS)
    ]

    assert heard == [words] * ROUNDS


def spoken(port: int, head: bytes, words: bytes) -> None:
    """Open a tunnel with *head*, send *words* and end our half, while reading what comes."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
        connection.sendall(head)
        connection.recv(len(SWITCH))

        def read() -> None:
            with suppress(OSError):
                while connection.recv(65_536):
                    pass

        reading = threading.Thread(target=read)
        reading.start()
        connection.sendall(words)
        connection.shutdown(socket.SHUT_WR)
        reading.join()


async def test_the_last_words_of_a_client_reach_an_upstream_that_is_speaking(
    upstream_and_sidecar,
):
    upstream, sidecar = upstream_and_sidecar
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def speak(call: Call) -> None:
        with suppress(ConnectionError):
            while True:
                await call.send(b"." * 3_000)
                await asyncio.sleep(0)

    async def speak_and_listen(call: Call) -> None:
        await call.send(SWITCH)
        speaking = asyncio.create_task(speak(call))
        heard.put_nowait(await call.reader.read(-1))
        speaking.cancel()
        await asyncio.wait({speaking})
        call.close()

    upstream.plan(speak_and_listen)
    head = request(b"GET /", b"Connection: Upgrade", b"Upgrade: frob")
    words = b"y" * 1_000
    for _ in range(40):
        await asyncio.to_thread(spoken, sidecar.port, head, words)

        assert await heard.get() == words

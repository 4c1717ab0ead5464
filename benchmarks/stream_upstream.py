"""`python -m benchmarks.stream_upstream PORT`: event streams that stay silent, WebSocket echo.

Plain sockets and epoll: an event loop would cost more than the proxies that are measured.
"""

import select
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.process import CLIENT_CORE, free_port, listens, running
from benchmarks.websocket import accept_value, frame_head, frame_size, masked_by_zero

# X-Accel-Buffering is what nginx wants to be told by those who stream.
_STREAM: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nd\r\ndata: hello\n\n\r\n"
)
_RECEIVED_BYTES: Final = 2**18


class Caller:
    """One connection: a request, then a silent stream or an echo."""

    def __init__(self, connection: socket.socket) -> None:
        """Answer on *connection*."""
        self.connection = connection
        self._received = b""
        self._echoes = False

    def hear(self) -> bool:
        """Answer what is there; say whether the connection goes on."""
        try:
            data = self.connection.recv(_RECEIVED_BYTES)
        except ConnectionResetError:
            return False
        self._received = self._received + data if self._received else data
        if self._echoes:
            self._echo()
        elif b"\r\n\r\n" in self._received:
            self._open()
        return bool(data)

    def _open(self) -> None:
        key = accept_value(self._received)
        self._echoes = key is not None
        self._received = b""
        self.connection.sendall(
            _STREAM
            if key is None
            else b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"
            b"\r\nSec-WebSocket-Accept: %b\r\n\r\n" % key
        )

    def _echo(self) -> None:
        """Send back the one message that a caller has under way, once all of it is here."""
        head, payload = frame_size(self._received)
        if payload is None or len(self._received) < head + payload:
            return
        if not masked_by_zero(self._received, head):
            raise ValueError("this echo only knows the mask that changes nothing")
        sent = frame_head(payload) + self._received[head:]
        self._received = b""
        self.connection.sendall(sent)


def serve(port: int) -> None:
    """Answer on *port* of loopback until we are ended."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    callers: dict[int, Caller] = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                caller = Caller(listener.accept()[0])
                caller.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                callers[caller.connection.fileno()] = caller
                poll.register(caller.connection, select.EPOLLIN)
            elif not callers[number].hear():
                callers.pop(number).connection.close()


@contextmanager
def running_stream_upstream(directory: Path) -> Iterator[str]:
    """Run the upstream with its files in *directory*; yield its origin."""
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.stream_upstream", str(port)]
    environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with running(
        command, core=CLIENT_CORE, directory=directory, environment=environment
    ) as process:
        process.wait_until(lambda: listens(port))
        yield f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    serve(int(sys.argv[1]))

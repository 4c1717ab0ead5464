"""`python -m benchmarks.echo ORIGIN TOKEN BYTES SECONDS`: WebSocket messages, each echoed."""

import json
import select
import socket
import sys
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from benchmarks.open_loop import summary
from benchmarks.websocket import frame_head

CONNECTIONS: Final = 32
_RECEIVED_BYTES: Final = 2**18
_PATH: Final = "/api/v1/terminal"


class Line:
    """One WebSocket with one message under way."""

    def __init__(self, origin: str, token: str, size: int) -> None:
        """Open it at *origin*; messages have *size* bytes."""
        where = urlsplit(origin)
        self.socket = socket.create_connection((where.hostname or "", where.port or 80))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._message = frame_head(size, masked=True) + bytes(size)
        self._wanted = len(frame_head(size)) + size
        self._missing = self._wanted
        self._sent_at = 0.0
        self.socket.sendall(
            f"GET {_PATH} HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {token}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self.socket.recv(1)
        if not answer.startswith(b"HTTP/1.1 101 "):
            raise SystemExit(answer.decode(errors="replace"))

    def send(self) -> None:
        """Send the next message."""
        self._sent_at = perf_counter()
        self.socket.sendall(self._message)

    def hear(self) -> float | None:
        """Receive; return how long the message took once all of it is back."""
        data = self.socket.recv(_RECEIVED_BYTES)
        if not data:
            raise SystemExit("a WebSocket was closed")
        self._missing -= len(data)
        if self._missing:
            return None
        self._missing = self._wanted
        return perf_counter() - self._sent_at


def measured(origin: str, token: str, size: int, seconds: float) -> dict[str, float]:
    """Have messages of *size* bytes echoed for *seconds*; return what `Answers` wants."""
    poll = select.epoll()
    lines = {}
    for _ in range(CONNECTIONS):
        line = Line(origin, token, size)
        lines[line.socket.fileno()] = line
        poll.register(line.socket, select.EPOLLIN)
    begin = perf_counter()
    for line in lines.values():
        line.send()
    times: list[float] = []
    while perf_counter() - begin < seconds:
        for number, _ in poll.poll(1):
            took = lines[number].hear()
            if took is not None:
                times.append(took)
                lines[number].send()
    return summary(times, 0, perf_counter() - begin)


if __name__ == "__main__":
    _, origin_, token_, size_, seconds_ = sys.argv
    print(json.dumps(measured(origin_, token_, int(size_), float(seconds_))))

"""`python -m benchmarks.open_loop TARGET RATE SECONDS`: requests at a fixed rate.

A wait of `select` ends within microseconds of the time asked for; those of epoll and libuv are
rounded to whole milliseconds, which is more than what is to be measured. Hence plain sockets.
"""

import json
import re
import select
import socket
import sys
from collections import deque
from collections.abc import Iterator
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from benchmarks.heads import heads
from benchmarks.load import Target

CONNECTIONS: Final = 64
GIVE_UP_SECONDS: Final = 60
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Connection:
    """One kept connection, with at most one request on its way."""

    def __init__(self, address: tuple[str, int]) -> None:
        """Connect to *address*."""
        self._socket = socket.create_connection(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self.due = 0.0
        """When the request under way was to be sent."""

    def fileno(self) -> int:
        """Return what `select` waits for."""
        return self._socket.fileno()

    def ask(self, request: bytes, due: float) -> None:
        """Send *request*, which was *due*."""
        self.due = due
        self._socket.sendall(request)

    def answered(self) -> int | None:
        """Receive; return the status once the response is complete, 0 if it never will be."""
        data = self._socket.recv(65_536)
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return None if data else 0
        length = _LENGTH.search(head + b"\r\n")
        if length is None:
            return 0
        if len(body) < int(length[1]):
            return None if data else 0
        self._received = b""
        return int(head[9:12])


class OpenLoop:
    """Asks when a request is due, whether or not earlier ones have their response."""

    def __init__(self, address: tuple[str, int], requests: Iterator[bytes], rate: float) -> None:
        """Ask *requests* at *address*, *rate* of them a second."""
        self._address, self._requests, self._rate = address, requests, rate
        self._idle = deque(Connection(address) for _ in range(CONNECTIONS))
        self._busy: set[Connection] = set()
        self._asked = 0
        self.times: list[float] = []
        """How long each good answer took, from when its request was due."""
        self.bad = 0

    def run(self, total: int) -> float:
        """Ask *total* times; return how long it took."""
        begin = perf_counter()
        give_up = begin + total / self._rate + GIVE_UP_SECONDS
        while len(self.times) + self.bad < total and perf_counter() < give_up:
            wait = 1.0
            while self._idle and self._asked < total:
                due = begin + self._asked / self._rate
                wait = due - perf_counter()
                if wait > 0:
                    break
                self._ask(due)
            for connection in select.select(self._busy, [], [], max(0.0, wait))[0]:
                self._hear(connection)
        self.bad += total - len(self.times) - self.bad
        return perf_counter() - begin

    def _ask(self, due: float) -> None:
        connection = self._idle.popleft()
        connection.ask(next(self._requests), due)
        self._busy.add(connection)
        self._asked += 1

    def _hear(self, connection: Connection) -> None:
        status = connection.answered()
        if status is None:
            return
        self._busy.remove(connection)
        if status == 200:
            self.times.append(perf_counter() - connection.due)
        else:
            self.bad += 1
        self._idle.append(connection if status else Connection(self._address))


def measured(target: Target, rate: float, seconds: float) -> dict[str, float]:
    """Ask *target* *rate* times a second for *seconds*; return what `Answers` wants."""
    where = urlsplit(target.origin)
    loop = OpenLoop((where.hostname or "", where.port or 80), heads(target), rate)
    took = loop.run(int(rate * seconds))
    return summary(loop.times, loop.bad, took)


def summary(times: list[float], bad: int, seconds: float) -> dict[str, float]:
    """Return what `Answers` wants to know of *times*, of *bad* responses and of the *seconds*."""
    times.sort()
    last = len(times) - 1
    return {
        "requests": len(times),
        "per_second": len(times) / seconds,
        "p50_ms": times[last // 2] * 1_000 if times else 0,
        "p99_ms": times[last * 99 // 100] * 1_000 if times else 0,
        "p999_ms": times[last * 999 // 1_000] * 1_000 if times else 0,
        "max_ms": times[last] * 1_000 if times else 0,
        "bad": bad,
    }


if __name__ == "__main__":
    _, target_, rate_, seconds_ = sys.argv
    print(json.dumps(measured(Target.from_json(target_), float(rate_), float(seconds_))))

"""Event streams that are open and silent: what each costs a proxy in memory."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from benchmarks.heads import heads
from benchmarks.load import Target
from benchmarks.process import Process
from benchmarks.results import table
from benchmarks.rounds import Contestant

_PATIENCE_SECONDS: Final = 20
_EVENT: Final = b"data: hello"


@dataclass(frozen=True, slots=True)
class Held:
    """What a proxy held resident before the streams were opened, and with them."""

    name: str
    before_bytes: int
    with_bytes: int


def idle_streams(contestants: Sequence[Contestant], number: int) -> list[Held]:
    """Open *number* streams through each contestant in turn; return what it held."""
    return [
        _held(each.name, each.process, each.target, number)
        for each in contestants
        if each.process is not None
    ]


def stream_table(held: Sequence[Held], number: int) -> str:
    """Return a table of what *number* streams cost."""
    return table(
        ("", "MiB before", f"MiB with {number:,}", "KiB a stream"),
        [
            (
                each.name,
                f"{each.before_bytes / 2**20:.1f}",
                f"{each.with_bytes / 2**20:.1f}",
                f"{(each.with_bytes - each.before_bytes) / number / 2**10:.1f}",
            )
            for each in held
        ],
    )


def _held(name: str, process: Process, target: Target, number: int) -> Held:
    with _opened(target, 1):  # what the first one costs is not a stream's
        before = process.memory_bytes
    with _opened(target, number):
        return Held(name, before, process.memory_bytes)


@contextmanager
def _opened(target: Target, number: int) -> Iterator[None]:
    """Keep *number* streams open, each with its first event received."""
    where = urlsplit(target.origin)
    request = next(heads(target))
    with ExitStack() as stack:
        streams = [
            stack.enter_context(
                socket.create_connection(
                    (where.hostname or "", where.port or 80), _PATIENCE_SECONDS
                )
            )
            for _ in range(number)
        ]
        for stream in streams:
            stream.sendall(request)
        for stream in streams:
            _wait_for_event(stream)
        yield


def _wait_for_event(stream: socket.socket) -> None:
    received = b""
    while _EVENT not in received:
        piece = stream.recv(4096)
        if not piece:
            raise SystemExit(f"no event stream, but {received!r}")
        received += piece

"""The follower: reads the newest lines of the ring for the observers, at their own pace.

It does not wait for the store as the writer does. Where it stands is kept in the ring, so that a
recorder that is started again goes on there.
"""

import asyncio
from typing import Final

import msgspec
import structlog

from audit_log.record import UNFINISHED
from proxy.audit.record_text import TracedRecord
from proxy.audit.tool_span import TracedInvocation
from proxy.journal.line import is_whole, split
from proxy.journal.ring import Ring
from proxy.telemetry.observers import Observers

_LOOK_SECONDS: Final = 0.02
_PIECE_BYTES: Final = 128 * 1024
"""More than a line: what is parsed before other tasks have their turn."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class _Line(msgspec.Struct, frozen=True, gc=False):
    record: TracedRecord | None = None
    invocation: TracedInvocation | None = None


_decode = msgspec.json.Decoder(_Line).decode


class Follower:
    """Tells the observers of each call and tool call that has ended."""

    def __init__(self, ring: Ring, observers: Observers) -> None:
        self._ring = ring
        self._observers = observers

    async def run(self) -> None:
        """Follow for ever."""
        # Another process appends; between the two there is only memory, which wakes no one.
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0 if self._tell() else _LOOK_SECONDS)

    def tell_rest(self) -> None:
        """Tell of all that is there."""
        while self._tell():
            pass

    def _tell(self) -> bool:
        """Tell of some lines; return whether there were any."""
        ring, at = self._ring, self._ring.observed
        if at >= ring.written:
            return False
        data = ring.peek(at, _PIECE_BYTES)
        if data is None:
            # Calls are faster than the observers: what they missed is in the audit log.
            log.warning("observers.fell_behind", missed_bytes=ring.floor - at)
            ring.observed = ring.floor
            return True
        data = data[: data.rfind(b"\n") + 1]
        # First: an observer that fails must not be told of the same call for ever.
        ring.observed = at + len(data)
        for line in split(data, len(data)):
            self._tell_of(_read(line))
        return bool(data)

    def _tell_of(self, line: _Line) -> None:
        if line.record is not None:
            for observe in self._observers.call_ended:
                observe(line.record)
        elif line.invocation is not None and line.invocation.outcome not in UNFINISHED:
            for observe_tool_call in self._observers.tool_call_ended:
                observe_tool_call(line.invocation)


def _read(line: bytes) -> _Line:
    """Return what is in *line*: neither of the two if it is damaged."""
    if not is_whole(line):
        return _Line()
    try:
        return _decode(line)
    except (ValueError, RecursionError):
        return _Line()

"""Writes quarantined items into PostgreSQL, after the operator mended why they were refused."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from audit_log.delivery_loop import Sink
from audit_log.errors import RecordRefusedError
from audit_log.record import Gap, Invocation, RecordRow


class _Line(msgspec.Struct):
    """A line of the file: one of the three is there."""

    record: RecordRow | None = None
    invocation: Invocation | None = None
    gap: Gap | None = None


@dataclass(slots=True)
class Replayed:
    """What became of the lines of a file."""

    written: int = 0
    refused: int = 0
    unreadable: int = 0
    reason: str = ""
    """Why the last one was refused."""


async def replay_quarantined(file: Path, sink: Sink) -> Replayed:
    """Append each item of *file* to *sink*, one by one. The file stays as it is.

    Repeating it is harmless: each item has its id. Raises OSError and StoreUnavailableError.
    """
    replayed = Replayed()
    with file.open("rb") as lines:
        for line in lines:
            append = _append_of(line, sink)
            if append is None:
                replayed.unreadable += 1
                continue
            try:
                await append()
            except RecordRefusedError as error:
                replayed.refused += 1
                replayed.reason = str(error)
            else:
                replayed.written += 1
    return replayed


def _append_of(line: bytes, sink: Sink) -> Callable[[], Awaitable[None]] | None:
    """Return what appends the item of *line*; None when there is none that can be read."""
    try:
        kept = msgspec.json.decode(line, type=_Line)
    except msgspec.DecodeError:
        return None
    if (record := kept.record) is not None:
        return lambda: sink.append([record])
    if (invocation := kept.invocation) is not None:
        return lambda: sink.append_invocations([invocation])
    if (gap := kept.gap) is not None:
        return lambda: sink.append_gaps([gap])
    return None

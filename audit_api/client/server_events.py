"""Server-sent events as a client reads them (WHATWG HTML, section 9.2.6)."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import NamedTuple


class ServerEvent(NamedTuple):
    """One block of the live stream."""

    kind: str
    """`entry`, `tool_call`, `gap`, `waiting`, `resumed`, `notice` (it ends); "" is a heartbeat."""
    data: bytes
    mark: str | None
    """From where a later stream goes on; None where the block has no id."""


async def events_of(lines: AsyncIterable[bytes]) -> AsyncIterator[ServerEvent]:
    """Yield the events in *lines*. A block that did not end is left out."""
    kind, data, mark = "", b"", None
    async for line in lines:
        name, _, value = line.rstrip(b"\r\n").partition(b": ")
        if name == b"event":
            kind = value.decode()
        elif name == b"id":
            mark = value.decode()
        elif name == b"data":  # the audit API sends one line of it
            data = value
        elif not line.strip(b"\r\n"):
            yield ServerEvent(kind, data, mark)
            kind, data, mark = "", b"", None

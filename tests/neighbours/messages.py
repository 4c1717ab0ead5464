"""HTTP/1.1 messages as they are on the wire: framed, never interpreted.

Shared by the raw client and the raw upstream. It trusts its peer: a peer that breaks the rules
makes the test fail here, which is what the test is for.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Final

HEAD_LIMIT_BYTES: Final = 2**20
END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Message:
    """One request or response, with the bytes as they came."""

    head: bytes
    """From the start line to the empty line, both included."""
    body: bytes = b""
    """With its framing: chunk sizes and trailers are still in it."""
    complete: bool = True
    """Whether the peer sent all that the head announced."""

    @property
    def start_line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]

    @property
    def field_lines(self) -> list[bytes]:
        return self.head.removesuffix(END_OF_HEAD).split(b"\r\n")[1:]

    @property
    def status(self) -> int:
        return int(self.start_line.split(b" ")[1])

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of every field called *name*, in order."""
        lines = [line for line in self.field_lines if field_name(line) == name.lower()]
        return [line.partition(b":")[2].strip(b" \t") for line in lines]

    @property
    def is_chunked(self) -> bool:
        return any(b"chunked" in value.lower() for value in self.values(b"Transfer-Encoding"))

    @property
    def content(self) -> bytes:
        """The body without its chunk framing."""
        return _unchunked(self.body)[0] if self.is_chunked else self.body

    @property
    def trailers(self) -> bytes:
        """The lines after the last chunk, as they came."""
        return _unchunked(self.body)[1] if self.is_chunked else b""

    @property
    def detail(self) -> object:
        """What an error of ours says: the one member of its JSON object."""
        document = json.loads(self.content)
        assert list(document) == ["detail"], document
        return document["detail"]


def field_name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """Return the next head; nothing at all when the peer has no more to say."""
    try:
        return await reader.readuntil(END_OF_HEAD)
    except asyncio.IncompleteReadError as end:
        assert end.partial == b"", f"broke off in the head: {end.partial!r}"
        return b""


async def read_request_body(reader: asyncio.StreamReader, head: bytes) -> Message:
    """Return the request that *head* began, with its body read."""
    return await _read_framed(reader, head)


async def read_response(reader: asyncio.StreamReader, method: bytes = b"GET") -> Message:
    """Return the next response, interim ones included, to a request made with *method*."""
    head = await read_head(reader)
    assert head, "the connection ended where a response was expected"
    status = Message(head).status
    # RFC 9112, 6.3: these have no body whatever their fields say.
    if method == b"HEAD" or status in (204, 304) or status < 200:
        return Message(head)
    message = Message(head)
    if message.is_chunked or message.values(b"Content-Length"):
        return await _read_framed(reader, head)
    return Message(head, await reader.read())


async def _read_framed(reader: asyncio.StreamReader, head: bytes) -> Message:
    body = bytearray()
    message = Message(head)
    try:
        if message.is_chunked:
            await _read_chunked(reader, body)
        else:
            [length] = message.values(b"Content-Length") or [b"0"]
            body += await reader.readexactly(int(length))
    except asyncio.IncompleteReadError as end:
        return Message(head, bytes(body) + end.partial, complete=False)
    except ConnectionError:
        return Message(head, bytes(body), complete=False)
    return Message(head, bytes(body))


async def _read_chunked(reader: asyncio.StreamReader, body: bytearray) -> None:
    while size := await _read_chunk_size(reader, body):
        body += await reader.readexactly(size + len(b"\r\n"))
    while not body.endswith(b"\r\n\r\n"):
        body += await reader.readuntil(b"\r\n")


async def _read_chunk_size(reader: asyncio.StreamReader, body: bytearray) -> int:
    line = await reader.readuntil(b"\r\n")
    body += line
    return int(line.partition(b";")[0], 16)


def _unchunked(body: bytes) -> tuple[bytes, bytes]:
    """Return the content and the trailers of a chunked *body*, which may have been cut off."""
    content = b""
    rest = body
    while rest:
        line, _, rest = rest.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            return content, rest.removesuffix(b"\r\n")
        content, rest = content + rest[:size], rest[size + 2 :]
    return content, b""

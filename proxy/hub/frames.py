"""Extracts messages from a stream of WebSocket frames (RFC 6455, RFC 7692). Pure.

Messages are not assembled: their content is handed on piece by piece, so the size of a message
costs no memory. A message that cannot be read costs that message alone, unless later messages
refer to it: without the context of compression no compressed message can be read any more. The
frames are followed even then, so that each message is counted.
"""

import zlib
from typing import Final, NamedTuple, Protocol

_CONTINUATION: Final = 0
_TEXT: Final = 1
_BINARY: Final = 2
_CLOSE: Final = 8
_FIRST_CONTROL: Final = 8
_FIN: Final = 0x80
_COMPRESSED: Final = 0x40
_MASKED: Final = 0x80
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127
_MAX_HEADER_BYTES: Final = 14
MAX_INFLATED_BYTES: Final = 64 * 1024 * 1024
"""Of one message. One that inflates to more would hold up the event loop, and is not read."""
_PIECE_BYTES: Final = 65_536
_END_OF_DEFLATED: Final = b"\x00\x00\xff\xff"


class MessageReader(Protocol):
    """Receives the messages of one direction."""

    def feed(self, data: bytes) -> None:
        """Receive a piece of a message, text or binary."""

    def reset(self) -> None:
        """Learn that a message has ended."""

    def unread(self) -> None:
        """Learn that a message has ended which could not be read, or not to its end."""

    def context_lost(self) -> None:
        """Learn that no compressed message can be read from now on."""

    def closed(self) -> None:
        """Learn that the peer has sent its last message (RFC 6455, section 5.5.1)."""


class Frame(NamedTuple):
    """What the header of a frame says (RFC 6455, section 5.2)."""

    opcode: int
    is_final: bool
    is_compressed: bool
    """Whether the message that begins here is compressed (RFC 7692, section 6)."""
    length: int
    mask: bytes
    header_bytes: int

    @classmethod
    def parse(cls, header: bytes) -> "Frame | None":
        """Return the frame that *header* begins with, or None while it is incomplete."""
        if len(header) < 2:  # noqa: PLR2004  the two bytes that every frame has
            return None
        short = header[1] & 0x7F
        extended = {_LENGTH_16: 2, _LENGTH_64: 8}.get(short, 0)
        end = 2 + extended + (4 if header[1] & _MASKED else 0)
        if len(header) < end:
            return None
        return cls(
            opcode=header[0] & 0x0F,
            is_final=bool(header[0] & _FIN),
            is_compressed=bool(header[0] & _COMPRESSED),
            length=int.from_bytes(header[2 : 2 + extended], "big") if extended else short,
            mask=header[2 + extended : end],
            header_bytes=end,
        )


class FrameReader:
    """Reads one direction of a WebSocket."""

    def __init__(self, reader: MessageReader, *, keeps_context: bool) -> None:
        """Hand messages to *reader*.

        *keeps_context* says whether a compressed message refers to earlier ones (RFC 7692,
        section 7.1.1).
        """
        self._reader = reader
        self._keeps_context = keeps_context
        self._inflater: zlib._Decompress | None = _inflater()
        self._header = b""
        self._frame = _NO_FRAME
        self._missing = 0  # bytes of the current frame's payload
        self._is_compressed = False  # the current message, which may have several frames
        self._is_unread = False
        self._inflated_bytes = 0

    def feed(self, data: bytes) -> None:
        """Read on; *data* may begin and end anywhere."""
        at = 0
        while at < len(data):
            if self._missing:
                payload = data[at : at + self._missing]
                at += len(payload)
                self._missing -= len(payload)
                self._payload(payload)
                continue
            known = len(self._header)
            self._header += data[at : at + _MAX_HEADER_BYTES - known]
            frame = Frame.parse(self._header)
            if frame is None:
                return
            self._header = b""
            at += frame.header_bytes - known
            self._begin(frame)

    def _begin(self, frame: Frame) -> None:
        self._frame, self._missing = frame, frame.length
        if frame.opcode != _CONTINUATION and frame.opcode < _FIRST_CONTROL:
            self._is_compressed = frame.is_compressed
            self._inflated_bytes = 0
            has_no_context = frame.is_compressed and self._inflater is None
            self._is_unread = has_no_context or frame.opcode not in {_TEXT, _BINARY}
        elif frame.opcode == _CLOSE:
            self._reader.closed()
        if not frame.length:
            self._payload(b"")

    def _payload(self, payload: bytes) -> None:
        if self._frame.opcode >= _FIRST_CONTROL:
            return  # ping, pong, close: may stand between the frames of a message
        is_end = self._frame.is_final and not self._missing
        if not self._is_unread:
            content = self._unmasked(payload)
            if self._is_compressed:
                self._inflate(content + _END_OF_DEFLATED if is_end else content)
            elif content:
                self._reader.feed(content)
        if is_end:
            self._end_message()

    def _end_message(self) -> None:
        if self._is_unread:
            self._reader.unread()
        else:
            self._reader.reset()
        if self._is_compressed and not self._keeps_context:
            self._inflater = _inflater()

    def _unmasked(self, payload: bytes) -> bytes:
        """Return the bytes just read without their mask (RFC 6455, section 5.3)."""
        mask = self._frame.mask
        if not mask or not payload:
            return payload
        turned = (self._frame.length - self._missing - len(payload)) % 4
        keys = ((mask[turned:] + mask[:turned]) * (len(payload) // 4 + 1))[: len(payload)]
        mixed = int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")
        return mixed.to_bytes(len(payload), "big")

    def _inflate(self, payload: bytes) -> None:
        inflater = self._inflater
        while payload and inflater is not None:
            try:
                piece = inflater.decompress(payload, _PIECE_BYTES)
            except zlib.error:
                self._lose_context()
                return
            payload = inflater.unconsumed_tail
            self._inflated_bytes += len(piece)
            if self._inflated_bytes > MAX_INFLATED_BYTES:
                self._lose_context()
                return
            self._reader.feed(piece)

    def _lose_context(self) -> None:
        self._inflater, self._is_unread = None, True
        if self._keeps_context:
            self._reader.context_lost()


_NO_FRAME: Final = Frame(
    _CONTINUATION, is_final=False, is_compressed=False, length=0, mask=b"", header_bytes=0
)


def _inflater() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=-zlib.MAX_WBITS)

"""Extracts text from a stream of WebSocket frames (RFC 6455, RFC 7692). Pure.

Messages are not assembled: text is handed on piece by piece, so the size of a message costs no
memory.
"""

import zlib
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

_CONTINUATION: Final = 0
_TEXT: Final = 1
_BINARY: Final = 2
_FIRST_CONTROL: Final = 8
_FIN: Final = 0x80
_COMPRESSED: Final = 0x40
_MASKED: Final = 0x80
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127
_MAX_INFLATED_BYTES: Final = 16 * 1024 * 1024
"""Of one piece. One that inflates to more is an attack, and ends the reading."""
_END_OF_DEFLATED: Final = b"\x00\x00\xff\xff"


class TextReader(Protocol):
    """Receives the text."""

    def feed(self, data: bytes) -> None:
        """Receive a piece of a message."""

    def reset(self) -> None:
        """Learn that a message has ended."""


class Frame(NamedTuple):
    """What the header of a frame says (RFC 6455, section 5.2)."""

    opcode: int
    is_final: bool
    is_compressed: bool
    """Whether the message that begins here is compressed (RFC 7692, section 6)."""
    length: int
    mask: bytes

    @classmethod
    def parse(cls, header: bytes) -> "Frame | None":
        """Return the frame that *header* announces, or None while that is incomplete."""
        if len(header) < 2:  # noqa: PLR2004  the two bytes that every frame has
            return None
        short = header[1] & 0x7F
        extended = {_LENGTH_16: 2, _LENGTH_64: 8}.get(short, 0)
        if len(header) < 2 + extended + (4 if header[1] & _MASKED else 0):
            return None
        return cls(
            opcode=header[0] & 0x0F,
            is_final=bool(header[0] & _FIN),
            is_compressed=bool(header[0] & _COMPRESSED),
            length=int.from_bytes(header[2 : 2 + extended], "big") if extended else short,
            mask=header[2 + extended :],
        )


class FrameReader:
    """Reads one direction of a WebSocket. A frame that it does not understand ends the reading."""

    def __init__(
        self, reader: TextReader, *, keeps_context: bool, gave_up: Callable[[], None]
    ) -> None:
        """Hand text to *reader*, and call *gave_up* when the reading ends early.

        *keeps_context* says whether a compressed message refers to earlier ones (RFC 7692,
        section 7.1.1).
        """
        self.is_reading = True
        self._reader = reader
        self._keeps_context = keeps_context
        self._gave_up = gave_up
        self._inflater = _inflater()
        self._header = b""
        self._frame = Frame(_CONTINUATION, is_final=False, is_compressed=False, length=0, mask=b"")
        self._missing = 0  # bytes of the current frame's payload
        self._is_text = False  # the current message, which may have several frames
        self._is_compressed = False

    def feed(self, data: bytes) -> None:
        """Read on; *data* may begin and end anywhere."""
        at = 0
        while at < len(data) and self.is_reading:
            if self._missing:
                payload = data[at : at + self._missing]
                at += len(payload)
                self._missing -= len(payload)
                self._payload(payload)
            else:
                self._header += data[at : at + 1]
                at += 1
                if (frame := Frame.parse(self._header)) is not None:
                    self._header = b""
                    self._begin(frame)

    def _begin(self, frame: Frame) -> None:
        self._frame, self._missing = frame, frame.length
        if frame.opcode in {_TEXT, _BINARY}:
            self._is_text = frame.opcode == _TEXT
            self._is_compressed = frame.is_compressed
        elif frame.opcode != _CONTINUATION and frame.opcode < _FIRST_CONTROL:
            self._give_up()
        if not frame.length:
            self._payload(b"")

    def _payload(self, payload: bytes) -> None:
        if self._frame.opcode >= _FIRST_CONTROL:
            return  # ping, pong, close: may stand between the frames of a message
        is_end = self._frame.is_final and not self._missing
        # A compressed message that is not text is inflated too: the next one may refer to it.
        if self._is_text or self._is_compressed:
            content = self._inflated(self._unmasked(payload), is_end=is_end)
            if self._is_text and content:
                self._reader.feed(content)
        if is_end and self._is_text:
            self._reader.reset()

    def _unmasked(self, payload: bytes) -> bytes:
        """Return the bytes just read without their mask (RFC 6455, section 5.3)."""
        mask = self._frame.mask
        if not mask or not payload:
            return payload
        turned = (self._frame.length - self._missing - len(payload)) % 4
        keys = ((mask[turned:] + mask[:turned]) * (len(payload) // 4 + 1))[: len(payload)]
        mixed = int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")
        return mixed.to_bytes(len(payload), "big")

    def _inflated(self, payload: bytes, *, is_end: bool) -> bytes:
        if not self._is_compressed:
            return payload
        payload += _END_OF_DEFLATED if is_end else b""
        try:
            content = self._inflater.decompress(payload, _MAX_INFLATED_BYTES)
        except zlib.error:
            self._give_up()
            return b""
        if self._inflater.unconsumed_tail:
            self._give_up()
        if is_end and not self._keeps_context:
            self._inflater = _inflater()
        return content

    def _give_up(self) -> None:
        self.is_reading = False
        self._gave_up()


def _inflater() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=-zlib.MAX_WBITS)

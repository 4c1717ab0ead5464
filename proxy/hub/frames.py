"""Reads the text out of WebSocket frames that stream past (RFC 6455, RFC 7692). Pure.

Nothing is assembled: a message is handed on piece by piece, so its size does not matter.
"""

import zlib
from collections.abc import Callable
from typing import Final, Protocol

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
"""Of one piece. What inflates to more is meant to harm, and no longer watched."""
_END_OF_DEFLATED: Final = b"\x00\x00\xff\xff"


class TextReader(Protocol):
    """Who is handed the text."""

    def feed(self, data: bytes) -> None:
        """Receive a piece of a message."""

    def reset(self) -> None:
        """Learn that a message has ended."""


class FrameReader:
    """Watches one direction of a WebSocket. What it does not understand ends the watching."""

    def __init__(
        self, reader: TextReader, *, keeps_context: bool, gave_up: Callable[[], None]
    ) -> None:
        """Hand text to *reader*; *keeps_context* says how compressed messages follow another."""
        self.is_watching = True
        self._reader = reader
        self._keeps_context = keeps_context
        self._gave_up = gave_up
        self._inflater = _inflater()
        self._head = b""
        self._missing = 0  # of the payload of the frame that we are in
        self._mask = b""
        self._masked_at = 0
        self._opcode = _CONTINUATION
        self._is_final = False
        self._is_text = False  # the message that we are in, which may have several frames
        self._is_compressed = False

    def feed(self, data: bytes) -> None:
        """Read on; *data* may begin and end anywhere."""
        at = 0
        while at < len(data) and self.is_watching:
            if self._missing:
                payload = data[at : at + self._missing]
                at += len(payload)
                self._missing -= len(payload)
                self._payload(payload)
            else:
                self._head += data[at : at + 1]
                at += 1
                self._try_head()

    def _try_head(self) -> None:
        head = self._head
        if len(head) < 2:  # noqa: PLR2004  the two bytes that every frame has
            return
        short = head[1] & 0x7F
        extended = {_LENGTH_16: 2, _LENGTH_64: 8}.get(short, 0)
        masked = 4 if head[1] & _MASKED else 0
        if len(head) < 2 + extended + masked:
            return
        self._missing = int.from_bytes(head[2 : 2 + extended], "big") if extended else short
        self._mask = head[2 + extended :]
        self._masked_at = 0
        self._head = b""
        self._begin(head[0])
        if not self._missing:
            self._payload(b"")

    def _begin(self, first: int) -> None:
        self._opcode, self._is_final = first & 0x0F, bool(first & _FIN)
        if self._opcode in {_TEXT, _BINARY}:
            self._is_text = self._opcode == _TEXT
            self._is_compressed = bool(first & _COMPRESSED)
        elif self._opcode != _CONTINUATION and self._opcode < _FIRST_CONTROL:
            self._give_up()

    def _payload(self, payload: bytes) -> None:
        if self._opcode >= _FIRST_CONTROL:
            return  # ping, pong, close: may stand between the frames of a message
        is_end = self._is_final and not self._missing
        # A compressed message that is not text is inflated too: the next one builds on it.
        if self._is_text or self._is_compressed:
            content = self._inflated(self._unmasked(payload), is_end=is_end)
            if self._is_text and content:
                self._reader.feed(content)
        if is_end and self._is_text:
            self._reader.reset()

    def _unmasked(self, payload: bytes) -> bytes:
        if not self._mask or not payload:
            return payload
        turned = self._masked_at % 4
        mask = self._mask[turned:] + self._mask[:turned]
        self._masked_at += len(payload)
        keys = (mask * (len(payload) // 4 + 1))[: len(payload)]
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
        self.is_watching = False
        self._gave_up()


def _inflater() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=-zlib.MAX_WBITS)

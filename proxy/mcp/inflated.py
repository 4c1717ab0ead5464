"""Inflates a copy of compressed content. Pure; holds one piece at most."""

import zlib
from typing import Final

from proxy.http.framing import Payload

INFLATABLE: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
"""The supported content codings (RFC 9110, section 8.4.1)."""
_PIECE_BYTES: Final = 65_536
_EITHER_WRAPPER: Final = 32 + zlib.MAX_WBITS


class Inflated:
    """Hands the content on, inflated, in pieces of bounded size. Invalid data ends it silently."""

    def __init__(self, receive: Payload) -> None:
        self._receive = receive
        self._inflater = zlib.decompressobj(_EITHER_WRAPPER)
        self._is_broken = False

    def feed(self, data: bytes) -> None:
        """Read on; *data* may begin and end anywhere."""
        while data and not self._is_broken and not self._inflater.eof:
            try:
                piece = self._inflater.decompress(data, _PIECE_BYTES)
            except zlib.error:
                self._is_broken = True
                return
            data = self._inflater.unconsumed_tail
            self._receive(piece)

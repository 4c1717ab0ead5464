"""Inflates a copy of compressed content. Pure; holds one piece at most.

The event loop waits meanwhile, so content may inflate to FREE_BYTES and MAX_RATIO times its size.
Beyond that it is read no further.
"""

import zlib
from typing import Final

from proxy.http.framing import Payload

INFLATABLE: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
"""The supported content codings (RFC 9110, section 8.4.1)."""
FREE_BYTES: Final = 1_048_576
MAX_RATIO: Final = 32
_PIECE_BYTES: Final = 65_536
_MEMBER_BYTES: Final = 4_096
"""What a further member of gzip counts as: it costs work even if it is empty."""
_EITHER_WRAPPER: Final = 32 + zlib.MAX_WBITS
_NO_WRAPPER: Final = -zlib.MAX_WBITS
_WRAPPER_BYTES: Final = 2
"""How many bytes tell a zlib or gzip wrapper from raw deflate."""


class Inflated:
    """Hands the content on, inflated, in pieces of bounded size. Invalid data sets `is_broken`.

    Some servers send `deflate` without the zlib wrapper, and clients read it: so does this.
    """

    def __init__(self, coding: bytes, receive: Payload) -> None:
        self._receive = receive
        self._is_deflate = coding == b"deflate"
        self._begin = b""  # of deflate, until it is known whether it has a wrapper
        self._inflater = None if self._is_deflate else zlib.decompressobj(_EITHER_WRAPPER)
        self._room = FREE_BYTES
        self.is_broken = False
        """Nothing more is handed on."""

    def feed(self, data: bytes) -> None:
        """Read on; *data* may begin and end anywhere."""
        self._room += MAX_RATIO * len(data)
        if self._inflater is None:
            self._begin += data
            if len(self._begin) < _WRAPPER_BYTES:
                return
            wrapper = _EITHER_WRAPPER if _has_wrapper(self._begin) else _NO_WRAPPER
            self._inflater = zlib.decompressobj(wrapper)
            data, self._begin = self._begin, b""
        inflater = self._inflater
        while data and not self.is_broken:
            if inflater.eof:
                if self._is_deflate:
                    return
                # RFC 1952 section 2.2: gzip is one member or several.
                self._inflater = inflater = zlib.decompressobj(_EITHER_WRAPPER)
                self._room -= _MEMBER_BYTES
            try:
                piece = inflater.decompress(data, _PIECE_BYTES)
            except zlib.error:
                self.is_broken = True
                return
            self._room -= len(piece)
            self.is_broken = self._room < 0
            data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            self._receive(piece)


def _has_wrapper(begin: bytes) -> bool:
    """Say whether *begin* is of zlib (RFC 1950 section 2.2) or gzip (RFC 1952 section 2.3.1)."""
    is_zlib = begin[0] & 0x0F == zlib.DEFLATED and (begin[0] << 8 | begin[1]) % 31 == 0
    return is_zlib or begin.startswith(b"\x1f\x8b")

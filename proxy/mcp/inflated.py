"""Inflates a copy of compressed content. Pure; holds one piece at most, and the coding's window.

The event loop waits meanwhile, so content may inflate to FREE_BYTES and MAX_RATIO times its size.
Beyond that it is read no further.
"""

from typing import Final

from proxy.http.framing import Payload
from proxy.mcp.codings import CODINGS, UndecodableError

FREE_BYTES: Final = 1_048_576
MAX_RATIO: Final = 32
_MEMBER_BYTES: Final = 4_096
"""What a further member counts as: it costs work even if it is empty."""


class Inflated:
    """Hands the content on, inflated, in pieces of bounded size. Invalid data sets `is_broken`."""

    def __init__(self, coding: bytes, receive: Payload) -> None:
        """Hand to *receive* what is in *coding*, one of CODINGS."""
        self._begin = CODINGS[coding]
        self._decoder = self._begin()
        self._receive = receive
        self._room = FREE_BYTES
        self.is_broken = False
        """Nothing more is handed on."""

    def feed(self, data: bytes) -> None:
        """Read on; *data* may begin and end anywhere."""
        self._room += MAX_RATIO * len(data)
        while (data or self._decoder.is_full) and not self.is_broken:
            if self._decoder.is_over:
                if not self._decoder.has_members:
                    return
                self._decoder = self._begin()
                self._room -= _MEMBER_BYTES
            try:
                piece = self._decoder.decode(data)
            except UndecodableError:
                self.is_broken = True
                return
            self._room -= len(piece)
            self.is_broken = self._room < 0
            data = self._decoder.rest
            self._receive(piece)

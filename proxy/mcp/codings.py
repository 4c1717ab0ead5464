"""The content codings of responses (RFC 9110 section 8.4.1), each undone piece by piece.

`br` and `zstd` need the libraries of the extra `codings`; `zstd` is a part of Python from 3.14 on.
Where a library is not installed, responses in its coding are relayed unread.
"""

import sys
import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, Protocol


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


brotli: Final = _library("brotli")
zstd: Final = _library("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

PIECE_BYTES: Final = 98_304
"""The most that one step of a decoder returns."""
_ASKED_BYTES: Final = 65_536
"""What a decoder is asked for. That of `br` fills the block which it has begun."""
_EITHER_WRAPPER: Final = 32 + zlib.MAX_WBITS
_NO_WRAPPER: Final = -zlib.MAX_WBITS
_WRAPPER_BYTES: Final = 2
"""How many bytes tell a zlib or gzip wrapper from raw deflate."""
_MAX_ZSTD_WINDOW_LOG: Final = 23
"""RFC 9659 section 3: a window in HTTP is of 8 MiB at most."""


class UndecodableError(Exception):
    """The content is not what its coding says, or needs too much memory."""


class Decoder(Protocol):
    """Undoes a coding. Holds the window of the coding, and one piece of input at most."""

    has_members: bool
    """Whether another decoder goes on where this one is over; else what follows is ignored."""
    is_over: bool
    """The coded data has ended; what follows is in `rest`."""
    is_full: bool
    """There is more to return without more input."""
    rest: bytes
    """The input that is yet to be given to the next step, or to the next decoder."""

    def decode(self, data: bytes, /) -> bytes:
        """Return what *data* adds, at most PIECE_BYTES of it. Raises UndecodableError."""


class _Zlib:
    """`gzip` (RFC 1952 section 2.2: one member or several) and `deflate`."""

    is_full = False

    def __init__(self, *, has_members: bool) -> None:
        self.has_members = has_members
        self.is_over = False
        self.rest = b""
        self._inflater = zlib.decompressobj(_EITHER_WRAPPER) if has_members else None
        self._begin = b""  # of deflate, until it is known whether it has a wrapper

    def decode(self, data: bytes, /) -> bytes:
        """See `Decoder`. Some servers send `deflate` raw, and clients read it: so does this."""
        inflater = self._inflater
        if inflater is None:
            self._begin = data = self._begin + data
            if len(data) < _WRAPPER_BYTES:
                self.rest = b""
                return b""
            wrapper = _EITHER_WRAPPER if _has_wrapper(data) else _NO_WRAPPER
            self._inflater = inflater = zlib.decompressobj(wrapper)
        try:
            piece = inflater.decompress(data, _ASKED_BYTES)
        except zlib.error as error:
            raise UndecodableError from error
        self.is_over = inflater.eof
        self.rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        return piece


class _Brotli:
    """`br` (RFC 7932). Its window is of 16 MiB at most, and it is not divided."""

    has_members = False
    rest = b""

    def __init__(self) -> None:
        self.is_over = self.is_full = False
        self._decoder = brotli.Decompressor()

    def decode(self, data: bytes, /) -> bytes:
        """See `Decoder`."""
        try:
            piece: bytes = self._decoder.process(data, output_buffer_limit=_ASKED_BYTES)
        except brotli.error as error:
            raise UndecodableError from error
        self.is_over = self._decoder.is_finished()
        # It takes all the input that it has room for, and keeps the output that was not asked for.
        is_cut = len(piece) >= _ASKED_BYTES or not self._decoder.can_accept_more_data()
        self.is_full = is_cut and not self.is_over
        return piece


class _Zstd:
    """`zstd` (RFC 8878): one frame or several, some of which are to be skipped."""

    has_members = True

    def __init__(self) -> None:
        self.is_over = self.is_full = False
        self.rest = b""
        self._decoder = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _MAX_ZSTD_WINDOW_LOG}
        )

    def decode(self, data: bytes, /) -> bytes:
        """See `Decoder`."""
        try:
            piece: bytes = self._decoder.decompress(data, _ASKED_BYTES)
        except zstd.ZstdError as error:
            raise UndecodableError from error
        self.is_over = self._decoder.eof
        self.is_full = not self.is_over and not self._decoder.needs_input
        self.rest = self._decoder.unused_data
        return piece


def _gzip() -> Decoder:
    return _Zlib(has_members=True)


def _deflate() -> Decoder:
    return _Zlib(has_members=False)


CODINGS: Final[Mapping[bytes, Callable[[], Decoder]]] = MappingProxyType(
    {b"gzip": _gzip, b"x-gzip": _gzip, b"deflate": _deflate}
    | ({} if brotli is None else {b"br": _Brotli})
    | ({} if zstd is None else {b"zstd": _Zstd})
)
"""What undoes each coding."""
MISSING: Final = tuple(coding for coding in (b"br", b"zstd") if coding not in CODINGS)
"""The codings whose library is not installed."""
WHAT_IS_MISSING: Final = (
    f"responses of the MCP server in {' and '.join(coding.decode() for coding in MISSING)}"
    " are relayed unread, and their tool calls are `unknown`;"
    " install requirements/runtime.lock, or the extra `codings`, to read them"
)


def _has_wrapper(begin: bytes) -> bool:
    """Say whether *begin* is of zlib (RFC 1950 section 2.2) or gzip (RFC 1952 section 2.3.1)."""
    is_zlib = begin[0] & 0x0F == zlib.DEFLATED and (begin[0] << 8 | begin[1]) % 31 == 0
    return is_zlib or begin.startswith(b"\x1f\x8b")

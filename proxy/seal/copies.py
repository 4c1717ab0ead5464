"""A value that is kept twice, in turns: what ends a write half-way leaves the copy before it.

Each copy takes half of the space: its turn (8 bytes), its length (4), a CRC-32 (4), and the value.
The copy with the higher turn is the newer one. The half of turn *n* is the first if *n* is even.
"""

import os
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

from audit_log.process.durability import sync_folder

HALF_BYTES: Final = 64 * 1024
SPACE_BYTES: Final = 2 * HALF_BYTES
_HEAD: Final = Struct("<QII")


class MemoryCopies:
    """The copies in mapped memory, which survives a kill."""

    def __init__(self, space: memoryview) -> None:
        """Use *space*, `SPACE_BYTES` long."""
        self._space = space
        self.turn, self.value = newest(bytes(space))
        """Of the newer copy: its turn, and the value; 0 and nothing when none is whole."""

    def again(self) -> "MemoryCopies":
        """Return the copies as they are now: another process may have written."""
        return MemoryCopies(self._space)

    def write(self, value: bytes) -> None:
        """Keep *value* instead of the older copy."""
        turn = self.turn + 1
        copy = _copy(turn, value)
        at = _place(turn)
        self._space[at : at + len(copy)] = copy
        self.turn, self.value = turn, value


class DiskCopies:
    """The copies in a file. Its room is taken once: a disk that is full then still takes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = 0

    def read(self) -> bytes:
        """Return the newer copy; nothing when there is none, or the disk fails."""
        data = b""
        with suppress(OSError):
            file = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                data = os.pread(file, SPACE_BYTES, 0)
            finally:
                os.close(file)
        self._turn, value = newest(data)
        return value

    def write(self, value: bytes) -> None:
        """Make *value* durable instead of the older copy; raise OSError when the disk fails.

        A failed write leaves the newer copy: the next one goes to the same half again.
        """
        if not self._turn:
            _ = self.read()  # it may be there, and could not be read before
        turn = self._turn + 1
        copy = _copy(turn, value)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            is_new = os.fstat(file).st_size < SPACE_BYTES
            if is_new:
                os.posix_fallocate(file, 0, SPACE_BYTES)
            if os.pwrite(file, copy, _place(turn)) != len(copy):
                raise OSError(f"no room in {self.path}")
            os.fsync(file) if is_new else os.fdatasync(file)
        finally:
            os.close(file)
        if is_new:
            sync_folder(self.path.parent)
        self._turn = turn


def newest(space: bytes) -> tuple[int, bytes]:
    """Return turn and value of the newer copy in *space*; (0, b"") when none is whole."""
    return max(_read(space[:HALF_BYTES]), _read(space[HALF_BYTES:]))


def _read(half: bytes) -> tuple[int, bytes]:
    if len(half) < _HEAD.size:
        return 0, b""
    turn, length, crc = _HEAD.unpack_from(half)
    value = half[_HEAD.size : _HEAD.size + length]
    return (turn, value) if len(value) == length and crc == _crc(turn, value) else (0, b"")


def _copy(turn: int, value: bytes) -> bytes:
    copy = _HEAD.pack(turn, len(value), _crc(turn, value)) + value
    if len(copy) > HALF_BYTES:
        raise ValueError(f"{len(value)} bytes do not fit into half of the space")
    return copy


def _crc(turn: int, value: bytes) -> int:
    return crc32(value, turn & 0xFFFF_FFFF) if turn else 1


def _place(turn: int) -> int:
    return turn % 2 * HALF_BYTES

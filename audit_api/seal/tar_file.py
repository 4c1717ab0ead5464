"""A compressed tar file, made piece by piece: no list of what is in it is kept."""

import tarfile
import zlib
from typing import Final

_GZIP: Final = 31
"""zlib's window of 32 KiB, in the format of gzip."""
_END: Final = bytes(2 * tarfile.BLOCKSIZE)


class TarFile:
    """Returns the bytes to send for each file that is added."""

    def __init__(self, folder: str, seconds: int) -> None:
        """Put all files into *folder*, as of *seconds* since 1970."""
        self._folder = folder
        self._seconds = seconds
        self._gzip = zlib.compressobj(wbits=_GZIP)

    def add(self, path: str, data: bytes) -> bytes:
        """Add a file. What is returned may be empty."""
        info = tarfile.TarInfo(f"{self._folder}/{path}")
        info.size, info.mtime, info.mode = len(data), self._seconds, 0o644
        head = info.tobuf(tarfile.PAX_FORMAT)
        rest = bytes(-len(data) % tarfile.BLOCKSIZE)
        return self._gzip.compress(head) + self._gzip.compress(data) + self._gzip.compress(rest)

    def end(self) -> bytes:
        """Return the last bytes."""
        return self._gzip.compress(_END) + self._gzip.flush()

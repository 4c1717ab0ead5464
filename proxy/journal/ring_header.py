"""The numbers in the first page of a ring's file, each an aligned 8-byte word.

Their order is the format on disk: a new sidecar recovers the ring of an older one by it.
"""

import mmap
from typing import Final

HEADER_BYTES: Final = mmap.PAGESIZE
MAGIC_NUMBER: Final = int.from_bytes(b"pwaudit1", "big")
(
    MAGIC,
    IDENTITY,
    SIZE,
    ORIGIN,
    FIRST_NUMBER,
    WRITTEN,
    MOVED,
    COMMITTED,
    COMMITTED_NUMBER,
    REFUSED,
    REFUSED_FIRST,
    REFUSED_LAST,
    GAP_HIGH,
    GAP_LOW,
) = range(14)

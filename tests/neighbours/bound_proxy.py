"""`python -m proxy`, bound by file permissions also where the tests run as root.

Root passes over them by a capability. A process that gives it up before it becomes the proxy is
bound by them.
"""

import ctypes
import os
from typing import Final

from tests.neighbours.program import become

_VERSION_3: Final = 0x2008_0522
"""Of `capset(2)`: two words each for what is effective, permitted and inheritable."""
_CAP_DAC_OVERRIDE: Final = 1


def main() -> None:
    """Give up the capability, for good, and become the proxy."""
    if os.geteuid() == 0:
        _give_up(_CAP_DAC_OVERRIDE)
    become("proxy")


def _give_up(capability: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header, words = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, words) != 0:
        raise OSError(ctypes.get_errno(), "the capabilities cannot be read")
    for effective_or_permitted in (0, 1):
        words[effective_or_permitted] &= ~(1 << capability)
    if libc.capset(header, words) != 0:
        raise OSError(ctypes.get_errno(), "the capability cannot be given up")


if __name__ == "__main__":
    main()

"""`python -m proxy`, bound by file permissions also where the tests run as root.

Root passes over them by a capability. A process that gives it up before it becomes the proxy is
bound like everybody else.
"""

import ctypes
import os
import sys
from typing import Final

_PR_CAPBSET_DROP: Final = 24
_CAP_DAC_OVERRIDE: Final = 1


def main() -> None:
    """Give up the capability, for good, and become the proxy."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "the capability cannot be given up")
    os.execv(sys.executable, [sys.executable, "-m", "proxy"])


if __name__ == "__main__":
    main()

"""`python -m deploy.local.attached MODULE`: run a service that ends when its starter does.

The starter holds the other end of our standard input and never writes. However it ends, also by
SIGKILL, the kernel closes that end. No process id is stored: ids may be re-used.
"""

import os
import runpy
import signal
import sys
import threading
import time
from typing import Final

_STOP_SECONDS: Final = 40
"""Longer than a service takes to stop in order; then it is wedged."""


def main() -> None:
    """Run the module named on the command line, attached to our starter."""
    del sys.argv[0]
    threading.Thread(target=_end_with_the_starter, name="starter-watch", daemon=True).start()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_the_starter() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()

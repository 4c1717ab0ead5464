"""`python -m tests.neighbours.forking_parent MODULE`: imports a service once, and forks it often.

A fresh interpreter takes about a second of CPU to import a service, and the tests start hundreds.
Each child has its own process id, environment, directory and standard error, is sent signals like
any other process, and runs the `main` of MODULE's `__main__`, as `python -m MODULE` does.

A request is one packet on the socket that is the standard input: JSON, and two descriptors. The
first becomes the child's standard error. To the second the parent writes the child's process id,
and later its exit code, one line each. The parent ends when the socket is closed.
"""

import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Final

_REQUEST_BYTES: Final = 2**16


class _Parent:
    """Forks a child for each request, and reports its end."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(requests, selectors.EVENT_READ)
        self._children: dict[int, tuple[int, int]] = {}
        """Process id and status descriptor of each child, by its pidfd."""

    def serve(self) -> list[str] | None:
        """Return the arguments in each child; return None in the parent, at the end."""
        while True:
            for key, _ in self._waiting.select():
                if key.fd in self._children:
                    self._report_end(key.fd)
                    continue
                packet, descriptors, _, _ = socket.recv_fds(self._requests, _REQUEST_BYTES, 2)
                if not packet:
                    return None
                errors, status = descriptors
                child = os.fork()
                if child == 0:
                    self._close()
                    os.close(status)
                    return _become(json.loads(packet), errors)
                os.close(errors)
                self._watch(child, status)

    def _watch(self, child: int, status: int) -> None:
        os.write(status, f"{child}\n".encode())
        ended = os.pidfd_open(child)
        self._children[ended] = child, status
        self._waiting.register(ended, selectors.EVENT_READ)

    def _report_end(self, ended: int) -> None:
        self._waiting.unregister(ended)
        child, status = self._children.pop(ended)
        _, code = os.waitpid(child, 0)
        with suppress(BrokenPipeError):  # a test that is cut short does not read it
            os.write(status, f"{os.waitstatus_to_exitcode(code)}\n".encode())
        os.close(status)
        os.close(ended)

    def _close(self) -> None:
        """Close in a child what belongs to the parent."""
        self._waiting.close()
        self._requests.close()
        for ended, (_, status) in self._children.items():
            os.close(ended)
            os.close(status)


def _become(request: dict[str, Any], errors: int) -> list[str]:
    """Take over what *request* says, as if started with it; return the arguments."""
    os.dup2(errors, 2)
    os.close(errors)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["directory"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return list(request["arguments"])


def _run(module: str) -> str | int | None:
    main = importlib.import_module(f"{module}.__main__").main
    requests = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # Ctrl-C is for the tests and their services; the parent ends after them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    arguments = _Parent(requests).serve()
    if arguments is None:
        return None
    sys.argv = [module, *arguments]
    code: str | int | None = main()
    return code


if __name__ == "__main__":
    sys.exit(_run(sys.argv[1]))

"""What a peer has sent and the loop has not read yet: the kernel knows of it before we do."""

import asyncio
import select
from typing import Final

TURNS_TO_READ: Final = 2
"""uvloop runs what was called soon before it polls: the sockets are read in the turn between."""


class Unread:
    """The bytes, or the end, that wait to be read from one transport."""

    __slots__ = ("_poll", "_transport", "_turns_waited")

    def __init__(self, transport: asyncio.Transport) -> None:
        """Watch the socket of *transport*."""
        self._transport = transport
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._turns_waited = 0

    def is_there(self) -> bool:
        """Say whether something waits to be read."""
        return self._transport.is_closing() or bool(self._poll.poll(0))

    def comes_first(self) -> bool:
        """Say whether to write only in the next turn of the loop, when it has read.

        What is there may be a response before the request's end, with the connection closed behind
        it. To write on would fail, and end the transport before that response was read. The loop
        has read after TURNS_TO_READ; to wait for longer would let an upstream that never stops
        sending starve the request.
        """
        if self._turns_waited < TURNS_TO_READ and self.is_there():
            self._turns_waited += 1
            return True
        self._turns_waited = 0
        return False

"""How much work the reading of one body may cost. Pure.

Theory of operation. All bodies are read in one event loop, so a body that is costly to read delays
all other calls. Work is counted in steps of about two microseconds: one turn of a reader in
Python. What the C functions of `bytes` do in one pass is not counted, because to relay a byte
costs more. A body begins with free steps, and each piece and each byte adds to what is left. A
body that needs more is relayed and read no further.
"""

from typing import Final, NamedTuple


class Allowance(NamedTuple):
    """What a body may cost, in steps."""

    free: int
    """At the begin. A piece that comes later finds no more of them, so none can cost much more."""
    per_piece: int
    """Each piece that comes from the network adds as many."""
    bytes_per_step: int


REQUEST: Final = Allowance(free=512, per_piece=4, bytes_per_step=1024)
"""A stranger may send it."""
RESPONSE: Final = Allowance(free=512, per_piece=64, bytes_per_step=2048)
"""A stream of events has a message in each piece, and lasts."""
LISTENED: Final = Allowance(free=512, per_piece=80, bytes_per_step=2048)
"""The same where notifications are read as well."""
TUNNELLED: Final = Allowance(free=1024, per_piece=4, bytes_per_step=64)
"""Of one message from a peer that the Hub has let in."""
TOOL_CALL_STEPS: Final = 64
"""What each tool call, or its response, adds: their number in a body has a limit of its own."""


class Budget:
    """What is left of an allowance. What is used up stays so until `renew`."""

    __slots__ = ("_allowance", "left")

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self.left = allowance.free

    @property
    def is_used_up(self) -> bool:
        """Say whether more was spent than there was."""
        return self.left < 0

    def grant(self, size: int) -> None:
        """Add what a piece of *size* bytes is worth."""
        if self.left >= 0:
            free, per_piece, bytes_per_step = self._allowance
            self.left = min(free, self.left) + per_piece + size // bytes_per_step

    def renew(self) -> None:
        """Begin again: what follows is another body."""
        self.left = self._allowance.free

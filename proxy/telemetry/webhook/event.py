"""Events of the webhook. Pure."""

from datetime import datetime
from enum import StrEnum

import msgspec


class EventType(StrEnum):
    """What happened."""

    REFUSED_BURST = "tokens.refused_burst"
    FIRST_USE = "token.first_use"
    GAP = "gap.found"
    BUDGET = "budget.warning"


class Event(msgspec.Struct, frozen=True):
    """One event. It is sent at least once; its id lets the receiver ignore repetitions."""

    id: str
    type: EventType
    timestamp: datetime
    data: dict[str, str | int | float | None]

    @property
    def body(self) -> bytes:
        """The JSON that is sent and signed."""
        return msgspec.json.encode(
            {"type": self.type, "timestamp": self.timestamp.isoformat(), "data": self.data}
        )

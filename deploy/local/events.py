"""What a service says on its log: one JSON object a line; anything else comes from a defect."""

import json
from collections.abc import Mapping
from typing import Any, Final

_ALARMING: Final = frozenset({"warning", "error", "critical"})
_SAID_ANYWAY: Final = frozenset({"event", "level", "timestamp"})


def parse(line: bytes) -> dict[str, Any]:
    """Return the event on *line*; a line that holds none becomes an event without a level."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"event": line.decode(errors="replace").rstrip()}


def is_alarming(event: Mapping[str, Any]) -> bool:
    """Say whether a person at a terminal should see *event*; one without a level always."""
    return event.get("level", "error") in _ALARMING


def describe(event: Mapping[str, Any]) -> str:
    """Return *event* in one line: what happened, then the details."""
    details = (f"{name}={value}" for name, value in event.items() if name not in _SAID_ANYWAY)
    return " ".join([str(event.get("event")), *details])

"""A clock that stands still until a test sets it."""

from datetime import UTC, datetime


class SetClock:
    """Tells the time `now`."""

    def __init__(self) -> None:
        self.now = datetime(2026, 2, 28, 3, 42, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

"""How far a rule has come: its mark, and what waits to be told. Kept in a file, whole."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from audit_log.process.mark_file import MarkFileError, replace_whole


class Waiting(msgspec.Struct, frozen=True):
    """One delivery to come."""

    first: dict[str, Any]
    """The call that it is told with, as an export in NDJSON tells it."""
    last_at: datetime
    count: int = 1

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Waiting":
        """Return the delivery of *told* alone."""
        return cls(told, datetime.fromisoformat(told["created_at"]))

    def with_another(self, told: dict[str, Any]) -> "Waiting":
        """Return the delivery of *told* as well."""
        last_at = max(self.last_at, datetime.fromisoformat(told["created_at"]))
        return Waiting(self.first, last_at, self.count + 1)


class RuleState(msgspec.Struct, frozen=True):
    """What is kept of a rule."""

    mark: str
    """All calls before it are judged, and told or waiting."""
    waiting: Waiting | None = None
    delivered_at: datetime | None = None

    def is_due(self, every: timedelta | None, now: datetime) -> bool:
        """Say whether what waits may be told *now*: *every* so often at most."""
        if every is None or self.delivered_at is None:
            return True
        # A clock that was set back must not silence a rule.
        return not self.delivered_at <= now < self.delivered_at + every


class RuleStateFile:
    """The file of one rule: after a kill it has the old state or the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> RuleState | None:
        """Return what is kept; None before the first time. Raises MarkFileError."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=RuleState)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise MarkFileError(
                f"{self._path} cannot be read: {error}; remove it to begin with what comes now"
            ) from None

    def keep(self, state: RuleState) -> None:
        """Replace what is kept, on disk when this returns. Raises MarkFileError."""
        replace_whole(self._path, msgspec.json.encode(state))

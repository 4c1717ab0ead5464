"""A state that is told often and logged only when it changes."""

from typing import Final

import structlog

_WORKS: Final = "works"
_UNKNOWN: Final = "unknown"


class LoggedState:
    """Logs once that something fails, and once that it works again.

    The first state is taken to be "works", so that working at the start is no news, unless
    *is_known* is false.
    """

    def __init__(
        self,
        log: structlog.stdlib.BoundLogger,
        *,
        fails: str,
        works: str | None = None,
        is_known: bool = True,
    ) -> None:
        """Log the event *fails* as a warning with the reason, and *works*, if given, as info."""
        self._log = log
        self._fails = fails
        self._works = works
        self._state = _WORKS if is_known else _UNKNOWN
        self.reason: str | None = None
        """Why it fails, as told last, or None."""

    @property
    def is_working(self) -> bool:
        """Whether it works, as told last. False before anything is known."""
        return self._state == _WORKS

    @property
    def is_failing(self) -> bool:
        """Whether it fails, as told last. False before anything is known."""
        return self.reason is not None

    def note(self, reason: str | None, *, kind: str = "", **details: object) -> None:
        """Take in the present state: *reason* says why it fails, None that it works.

        While it fails, another reason is logged only if it is of another *kind*.
        *details* go into the line that says that it works again.
        """
        state = _WORKS if reason is None else f"fails: {kind}"
        has_changed = state != self._state
        self._state, self.reason = state, reason
        if not has_changed:
            return
        if reason is not None:
            self._log.warning(self._fails, reason=reason)
        elif self._works is not None:
            self._log.info(self._works, **details)

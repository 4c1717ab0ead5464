"""What is dated in the future, as its sidecar's clock was ahead: counted, and not at the head."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from audit_api.query.cache import Cache
from audit_api.query.cursors import read_page_cursor
from audit_api.query.params import Newest
from audit_log.postgres.rows import Place

AHEAD: Final = timedelta(minutes=5)
"""What is dated this far ahead is left out of a list, unless it is asked for."""
MOST_COUNTED: Final = 1_000
FUTURE_FIELD: Final = "X-Audit-Future"
_FIRST_ID: Final = UUID(int=0)
Count = Callable[[datetime, int], Awaitable[int]]
"""Returns how many match a query from a moment on, at most so many."""


@dataclass(frozen=True, slots=True)
class Future:
    """Where lists begin, and how much is before."""

    now: Callable[[], datetime]
    _counts: Cache[int] = field(default_factory=Cache)

    async def beginning(
        self, asked: Newest, query: object, count: Count
    ) -> tuple[Place | None, dict[str, str]]:
        """Return the place before which the page of *query* begins, and the fields that say so.

        *query* is what the parameters *asked* come to. Raises InvalidParametersError if their
        cursor is not one of that query.
        """
        if asked.cursor is not None:
            return read_page_cursor(asked.cursor, query), {}
        edge = self.now() + AHEAD
        if not asked.leaves_out_from(edge):
            return None, {}
        number = await self._counts.get(repr(query), lambda: count(edge, MOST_COUNTED))
        return Place(edge, _FIRST_ID), {FUTURE_FIELD: str(number)} if number else {}

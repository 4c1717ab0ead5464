"""Views of the page: what a reader's browser asks again and again is one read.

The page asks for what it shows every 15 seconds, and for the chart and the counts beside it. A
view is the same filters, asked for by one session from one address.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

MOST_VIEWS: Final = 20_000
"""So many are remembered. A view that was forgotten is recorded again."""
_HOW_IT_IS_TOLD: Final = frozenset(
    {"expand", "format", "bucket", "zone", "by", "compare", "after"}
)
"""Parameters that do not say which calls are meant."""
_PAGE: Final = 100
"""A list as long as the page's is no other view."""


class PageViews:
    """Remembers which views were recorded."""

    def __init__(self) -> None:
        self._known: OrderedDict[object, asyncio.Future[bool]] = OrderedDict()

    async def once(self, view: object, record: Callable[[], Awaitable[None]]) -> None:
        """Await *record* unless it was for this *view*; others wait for a first one under way."""
        while (first := self._known.get(view)) is not None:
            if await asyncio.shield(first):
                return
        self._known[view] = first = asyncio.get_running_loop().create_future()
        try:
            await record()
        except BaseException:
            del self._known[view]
            first.set_result(False)
            raise
        first.set_result(True)
        while len(self._known) > MOST_VIEWS and next(iter(self._known.values())).done():
            self._known.popitem(last=False)


def filters_of(pairs: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Return those parameters that say which calls are meant."""
    return frozenset(
        (name, value)
        for name, value in pairs
        if name not in _HOW_IT_IS_TOLD and not (name == "limit" and _is_short(value))
    )


def _is_short(limit: str) -> bool:
    digits = limit.strip().lstrip("0")
    return len(digits) <= len(str(_PAGE)) and (not digits or int(digits) <= _PAGE)

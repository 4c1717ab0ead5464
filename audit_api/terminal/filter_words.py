"""Filters as an operator types them: `status=4xx`, `token_name!=ci`, `since=2h`.

Names, operators and values are passed on as they are: what the audit API can filter by, the
terminal can. Only moments are worked out here, as the operator's clock and zone are here.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

# In a URL the operator is the end of the name, and `=` separates it from the value.
_FILTER: Final = re.compile(r"([a-z][a-z0-9_]*)(!=|>=|<=|=|>|<)(.*)", re.DOTALL)
_AGO: Final = re.compile(r"([0-9]{1,6})(s|m|h|d|w)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOMENTS: Final = frozenset({"since", "until", "arrived_since", "arrived_until"})
_DAYS: Final = {"today": 0, "yesterday": 1}


class FilterError(ValueError):
    """A word is no filter. The message says what to write."""


def read_filters(words: Sequence[str], now: datetime) -> dict[str, str]:
    """Return the query parameters that *words* stand for; *now* is in the operator's zone.

    Raises FilterError.
    """
    filters: dict[str, str] = {}
    for word in words:
        found = _FILTER.fullmatch(word)
        if found is None:
            raise FilterError(
                f"`{word}` is no filter: write name=value, as in status=4xx or since=2h"
            )
        name, operator, value = found.groups()
        if name in _MOMENTS and operator == "=":
            value = _moment(value, now)
        name += operator.removesuffix("=")
        if name in filters:
            raise FilterError(f"`{name}` is given twice: write its values with commas between")
        filters[name] = value
    return filters


def in_words(since: str) -> str:
    """Return the time from *since* to now, as it was typed, in words: `7d` is the last 7 days."""
    ago = _AGO.fullmatch(since)
    if ago is None:
        return f"since {since}"
    number, unit = int(ago[1]), _UNITS[ago[2]]
    return f"in the last {unit[:-1]}" if number == 1 else f"in the last {number} {unit}"


def _moment(text: str, now: datetime) -> str:
    """Return *text* as ISO 8601: `2h` is so long ago, `today` is midnight in the zone of *now*."""
    if (ago := _AGO.fullmatch(text)) is not None:
        return _before(now, timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
    if text in _DAYS:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return _before(midnight, timedelta(days=_DAYS[text])).isoformat()
    return text


def _before(moment: datetime, length: timedelta) -> datetime:
    try:
        return moment - length
    except OverflowError:
        raise FilterError("a moment is before the year 1") from None

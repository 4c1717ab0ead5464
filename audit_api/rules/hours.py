"""Hours of the week in a time zone, as a rule has them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final, Self

from pydantic_core import PydanticCustomError

from audit_api.query.values import read_zone
from audit_api.rules.complaint import RuleError, check_names, text_of

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMES: Final = ("inside", "outside", "days", "zone")
_SPAN: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])-([01]?[0-9]|2[0-4]):([0-5][0-9])")
_DAY_MINUTES: Final = 24 * 60
_ALL: Final = "mon-sun"


@dataclass(frozen=True, slots=True)
class Hours:
    """Some minutes of some days, or all others."""

    begin: int
    """The first minute of the day; *end* is the first that is not meant any more."""
    end: int
    """Not after `begin`: on the next day."""
    days: frozenset[int]
    """On which they begin; 0 is Monday."""
    zone: tzinfo
    is_inside: bool
    """Whether these hours are meant, and not all others."""

    @classmethod
    def read(cls, given: object) -> Self:
        """Return the hours in *given*, a table of TOML. Raises RuleError."""
        if not isinstance(given, dict):
            raise RuleError('should be a table, as { outside = "08:00-18:00", days = "mon-fri" }')
        check_names(given, _NAMES, "it")
        if ("inside" in given) == ("outside" in given):
            raise RuleError("should say either `inside` or `outside` which times")
        is_inside = "inside" in given
        begin, end = _span(text_of(given, "inside" if is_inside else "outside"))
        return cls(begin, end, _days(given), _zone(given), is_inside)

    def hold(self, moment: datetime) -> bool:
        """Say whether *moment*, with a zone, is meant."""
        local = moment.astimezone(self.zone)
        minute, today = local.hour * 60 + local.minute, local.weekday()
        if self.begin < self.end:
            is_within = today in self.days and self.begin <= minute < self.end
        else:
            yesterday = (today - 1) % 7
            is_within = (today in self.days and minute >= self.begin) or (
                yesterday in self.days and minute < self.end
            )
        return is_within is self.is_inside


def _span(text: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise RuleError(f"`{text}` should be two times, such as 08:00-18:00")
    first_hour, first_minute, last_hour, last_minute = map(int, found.groups())
    begin, end = first_hour * 60 + first_minute, last_hour * 60 + last_minute
    if end > _DAY_MINUTES or begin == end:
        raise RuleError(f"`{text}` is no span of a day: a whole day is 00:00-24:00")
    return begin, end


def _days(given: Mapping[str, Any]) -> frozenset[int]:
    text = text_of(given, "days", _ALL)
    found: set[int] = set()
    for part in text.lower().split(","):
        first, separator, last = (word.strip() for word in part.partition("-"))
        if first not in DAYS or (separator and last not in DAYS):
            raise RuleError(f"`{text}` should be days such as mon-fri or sat,sun")
        begin = DAYS.index(first)
        length = (DAYS.index(last) - begin) % 7 if separator else 0
        found |= {(begin + each) % 7 for each in range(length + 1)}
    return frozenset(found)


def _zone(given: Mapping[str, Any]) -> tzinfo:
    text = text_of(given, "zone", "UTC")
    try:
        return read_zone(text)
    except PydanticCustomError:
        raise RuleError(
            f"`{text}` should be a time zone like Europe/Berlin, or an offset like +05:30"
        ) from None

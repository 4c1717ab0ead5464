"""One rule, read from a table of TOML. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, Self

from audit_api.client.asking import Filters
from audit_api.client.audit_client import TOOL_CALLS
from audit_api.rules.complaint import RuleError, check_names, reading, text_of
from audit_api.rules.hours import Hours
from audit_api.rules.rule_filter import read_filter

_NAMES: Final = ("name", "filter", "new", "hours", "every")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_EVERY: Final = re.compile(r"([1-9][0-9]{0,4})(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class New(StrEnum):
    """What a call has that its token never had before."""

    ADDRESS = "address"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What fires: what matches the filter and meets all other conditions that are given."""

    name: str
    filters: Filters
    """As the audit API takes them."""
    of: str
    """Entries, or tool calls: as the client's `of`."""
    new: New | None = None
    hours: Hours | None = None
    every: timedelta | None = None
    """The shortest time between two deliveries; without it each call has its own."""

    @property
    def is_of_tool_calls(self) -> bool:
        """Whether tool calls are judged, in place of entries."""
        return self.of == TOOL_CALLS

    @classmethod
    def read(cls, given: object) -> Self:
        """Return the rule in *given*, a table of TOML. Raises RuleError."""
        if not isinstance(given, dict):
            raise RuleError("should be a table: begin it with [[rule]]")
        check_names(given, _NAMES, "a rule")
        name = text_of(given, "name")
        if _NAME.fullmatch(name) is None:
            raise RuleError(
                f"name: `{name}` should be up to 64 of a-z, 0-9, `-` and `_`, such as night-shift",
                "name",
            )
        with reading("filter"):
            of, filters = read_filter(text_of(given, "filter", ""))
        with reading("hours"):
            hours = Hours.read(given["hours"]) if "hours" in given else None
        new = _new(given)
        if not filters and hours is None and new is None:
            raise RuleError("each call would fire it: say which by `filter`, `new` or `hours`")
        return cls(name=name, filters=filters, of=of, new=new, hours=hours, every=_every(given))


def _new(given: Mapping[str, Any]) -> New | None:
    if "new" not in given:
        return None
    text = text_of(given, "new")
    try:
        return New(text)
    except ValueError:
        known = ", ".join(f'"{each}"' for each in New)
        raise RuleError(f"new: `{text}` should be one of {known}", "new") from None


def _every(given: Mapping[str, Any]) -> timedelta | None:
    if "every" not in given:
        return None
    text = text_of(given, "every")
    found = _EVERY.fullmatch(text)
    if found is None:
        raise RuleError(f"every: `{text}` should be a time such as 15m, 1h or 1d", "every")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})

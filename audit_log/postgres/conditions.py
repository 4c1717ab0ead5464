"""A record filter as SQL conditions with numbered parameters."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Final

from audit_log.filters import WILDCARD, RecordFilter
from audit_log.record import UNKNOWN_TOKEN

OF_UNKNOWN_TOKEN: Final = f"(token_id IS NULL AND starts_with(token_name, '{UNKNOWN_TOKEN}'))"
"""The condition that a call was made with an unknown token."""
UNKNOWN_TOKEN_CONDITIONS: Final[Mapping[bool | None, Sequence[str]]] = {
    None: [],
    True: [OF_UNKNOWN_TOKEN],
    False: [f"NOT {OF_UNKNOWN_TOKEN}"],
}
"""The conditions of a filter `unknown_tokens`."""

# As in the indexes of that name (migration 0012); `audit_log.filters.CLOCK_AHEAD` is the same.
_CLOCK_AHEAD: Final = "created_at - arrived_at > interval '5 seconds'"
CLOCK_AHEAD_CONDITIONS: Final[Mapping[bool | None, Sequence[str]]] = {
    None: [],
    True: [_CLOCK_AHEAD],
    False: [f"({_CLOCK_AHEAD}) IS NOT TRUE"],
}
"""The conditions of a filter `clock_ahead`."""

# `{}` is where the parameter goes, such as `$1`. The driver sends values apart from the text.
_CONDITIONS: Final = {
    "token_name": "token_name = {}",
    "token_id": "token_id = {}::uuid",
    "method": "method = {}",
    "outcome": "outcome = {}",
    "path": "path LIKE {}",
    "tool": "tool = {}",
    "invocation_id": "invocation_id = {}::uuid",
    "client_ip": "client_ip <<= {}::cidr",
    "since": "created_at >= {}::timestamptz",
    "until": "created_at < {}::timestamptz",
    "arrived_since": "arrived_at >= {}::timestamptz",
    "arrived_until": "arrived_at < {}::timestamptz",
    "session": "invocation_id IN (SELECT id FROM mcp_tool_invocation WHERE session = {}::uuid)",
    "client_name": "invocation_id IN (SELECT id FROM mcp_tool_invocation WHERE client_name = {})",
    "principal": "invocation_id IN (SELECT id FROM mcp_tool_invocation WHERE principal = {})",
}


class Arguments(list[object]):
    """The values of a statement, in the order of their parameters."""

    def add(self, value: object) -> str:
        """Append *value*; return the parameter that stands for it in the statement."""
        self.append(value)
        return f"${len(self)}"


def conditions_of(wanted: RecordFilter, arguments: Arguments) -> list[str]:
    """Return the SQL conditions of *wanted*; append their values to *arguments*."""
    given = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
    if wanted.path is not None:
        given["path"] = like(wanted.path)
    return [
        *(
            condition.format(arguments.add(value))
            for name, condition in _CONDITIONS.items()
            if (value := given.get(name)) is not None
        ),
        *_status_conditions(wanted.status, arguments),
        *UNKNOWN_TOKEN_CONDITIONS[wanted.unknown_tokens],
        *CLOCK_AHEAD_CONDITIONS[wanted.clock_ahead],
    ]


def _status_conditions(status: range | None, arguments: Arguments) -> list[str]:
    if status is None:
        return []
    if len(status) == 1:
        return [f"status_code = {arguments.add(status.start)}"]
    first, end = arguments.add(status.start), arguments.add(status.stop)
    return [f"status_code >= {first} AND status_code < {end}"]


def like(text: str) -> str:
    """Return the LIKE pattern of *text*: a prefix, or with wildcards the whole."""
    literal = re.sub(r"([\\%_])", r"\\\1", text)
    return literal.replace(WILDCARD, "%") if WILDCARD in text else literal + "%"

"""Filters as SQL conditions with numbered parameters."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, Final

from audit_log.filters import REFUSALS, SAFE_METHODS, Among, RecordFilter, TimeFilter
from audit_log.objects import encoded, path_of
from audit_log.patterns import WILDCARD
from audit_log.record import UNKNOWN_TOKEN


class Arguments(list[object]):
    """The values of a statement, in the order of their parameters."""

    def add(self, value: object) -> str:
        """Append *value*; return the parameter that stands for it in the statement."""
        self.append(value)
        return f"${len(self)}"


OneOf = Callable[[Sequence[Any], Arguments], str]
"""Returns the condition that a row has one of some values."""

OF_UNKNOWN_TOKEN: Final = f"(token_id IS NULL AND starts_with(token_name, '{UNKNOWN_TOKEN}'))"
"""The condition that a call was made with an unknown token."""
CHANGES: Final = f"(method NOT IN {SAFE_METHODS})"
"""The condition that a call may have changed something."""
REFUSED: Final = f"(outcome = 'refused' OR status_code IN {REFUSALS})"
"""The condition that the sidecar or the API refused a call."""
# As in the indexes of that name (migration 0012); `audit_log.filters.CLOCK_AHEAD` is the same.
_CLOCK_AHEAD: Final = "(created_at - arrived_at > interval '5 seconds')"
_FLAGS: Final = {
    "unknown_tokens": OF_UNKNOWN_TOKEN,
    "clock_ahead": _CLOCK_AHEAD,
    "changes": CHANGES,
    "refused": REFUSED,
}
# `{}` is where the parameter goes, such as `$1`. The driver sends values apart from the text.
_LIMITS: Final = {
    "since": "created_at >= {}::timestamptz",
    "until": "created_at < {}::timestamptz",
    "arrived_since": "arrived_at >= {}::timestamptz",
    "arrived_until": "arrived_at < {}::timestamptz",
    "least_ms": "duration_ms >= {}::float8",
    "most_ms": "duration_ms <= {}::float8",
}
_OF_ITS_TOOL_CALL: Final = (
    "invocation_id IN (SELECT mcp_tool_invocation.id FROM mcp_tool_invocation WHERE {})"
)
_ANY_ENCODED: Final = r"path LIKE '%\%%'"
"""As in the index of the paths with an encoded character (migration 0021)."""
_OCTET: Final = re.compile("%[0-9a-fA-F]{2}")
"""RFC 3986, section 2.1."""


def conditions_of(wanted: TimeFilter, arguments: Arguments) -> list[str]:
    """Return the SQL conditions of *wanted*; append their values to *arguments*."""
    given = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
    one_of = _OF_RECORDS if isinstance(wanted, RecordFilter) else _OF_TOOL_CALLS
    return [
        *(
            condition
            for name, among in given.items()
            if isinstance(among, Among)
            for condition in _among(among, one_of[name], arguments)
        ),
        *(
            limit.format(arguments.add(value))
            for name, limit in _LIMITS.items()
            if (value := given.get(name)) is not None
        ),
        *(
            flag if value else f"{flag} IS NOT TRUE"
            for name, flag in _FLAGS.items()
            if (value := given.get(name)) is not None
        ),
    ]


def like(text: str) -> str:
    """Return the LIKE pattern of *text*: a prefix, or with wildcards the whole."""
    literal = _literal(text)
    return literal.replace(WILDCARD, "%") if WILDCARD in text else literal + "%"


def _literal(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _among(among: Among[Any], one_of: OneOf, arguments: Arguments) -> list[str]:
    conditions = []
    if among.any_of:
        conditions.append(one_of(among.any_of, arguments))
    if among.none_of:
        # A row without a value has none of them.
        conditions.append(f"({one_of(among.none_of, arguments)}) IS NOT TRUE")
    return conditions


def _equal(column: str, kind: str, values: Sequence[Any], arguments: Arguments) -> str:
    if len(values) == 1:
        return f"{column} = {arguments.add(values[0])}::{kind}"
    return f"{column} = ANY({arguments.add(list(values))}::{kind}[])"


def _either(one: Callable[[Any, Arguments], str], values: Sequence[Any], to: Arguments) -> str:
    return "({})".format(" OR ".join(one(value, to) for value in values))


def _status(codes: range, arguments: Arguments) -> str:
    if len(codes) == 1:
        return f"status_code = {arguments.add(codes.start)}"
    first, end = arguments.add(codes.start), arguments.add(codes.stop)
    return f"(status_code >= {first} AND status_code < {end})"


def _object(name: str, arguments: Arguments) -> str:
    path = path_of(name)
    in_code = f"{_ANY_ENCODED} AND path ~ {arguments.add(encoded(path))}"
    if _OCTET.search(path):
        return in_code  # in a path as it is, `%31` means `1`
    below = _literal(f"{path}/") + "%"
    return f"path = {arguments.add(path)} OR path LIKE {arguments.add(below)} OR ({in_code})"


def _of_its_tool_call(one_of: OneOf, values: Sequence[Any], arguments: Arguments) -> str:
    return _OF_ITS_TOOL_CALL.format(one_of(values, arguments))


def _pattern(column: str) -> OneOf:
    def one(text: str, arguments: Arguments) -> str:
        return f"{column} LIKE {arguments.add(like(text))}"

    return partial(_either, one)


def _network(network: Any, arguments: Arguments) -> str:
    return f"client_ip <<= {arguments.add(network)}::cidr"


def _text(column: str) -> OneOf:
    return partial(_equal, column, "text")


def _id(column: str) -> OneOf:
    return partial(_equal, column, "uuid")


_OF_BOTH: Final[Mapping[str, OneOf]] = {
    **{name: _text(name) for name in ("token_name", "outcome", "tool", "request_id", "instance")},
    "token_id": _id("token_id"),
    "status": partial(_either, _status),
    "client_ip": partial(_either, _network),
    "user_agent": _pattern("user_agent"),
}
_OF_THE_AGENT: Final[Mapping[str, OneOf]] = {
    "session": _id("session"),
    **{
        name: _text(name)
        for name in ("client_name", "client_version", "protocol_version", "principal")
    },
}
_OF_TOOL_CALLS: Final[Mapping[str, OneOf]] = {
    **_OF_BOTH,
    **_OF_THE_AGENT,
    "invocation_id": _id("id"),
}
_OF_RECORDS: Final[Mapping[str, OneOf]] = {
    **_OF_BOTH,
    "method": _text("method"),
    "path": _pattern("path"),
    "object": partial(_either, _object),
    "invocation_id": _id("invocation_id"),
    **{name: partial(_of_its_tool_call, one_of) for name, one_of in _OF_THE_AGENT.items()},
}

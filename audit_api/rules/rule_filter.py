"""The filter of a rule: the query of the page or of the audit API, as it is copied from a URL."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from audit_api.client.audit_client import TOOL_CALLS
from audit_api.errors import InvalidParametersError
from audit_api.query.filter_params import StoredFilters, ToolCallFilters
from audit_api.query.reading import read_query
from audit_api.rules.complaint import RuleError
from audit_log.record import UNFINISHED

_OF_THE_VIEW: Final = frozenset({"span", "zone", "entry", "show", "expand"})
"""How the page shows what it shows: not what is meant."""
_TIMES: Final = ("since", "until", "arrived_since", "arrived_until")


def read_filter(text: str) -> tuple[str, Mapping[str, str]]:
    """Return what *text* is about, as the client's `of`, and its filters as the API takes them.

    *text* is a query, or a URL with one; what it says of the page's view is passed over.
    Raises RuleError for what the audit API would refuse, and for what a rule cannot wait for.
    """
    query = text.partition("?")[2] if "?" in text else text
    given = parse_qsl(query.strip().partition("#")[0], keep_blank_values=True)
    is_of_tool_calls = ("show", "tools") in given
    filters = [(name, value) for name, value in given if name not in _OF_THE_VIEW]
    for name, _ in filters:
        if name in _TIMES:
            raise RuleError(f"`{name}` has no place here: a rule is about what is yet to come")
    try:
        if is_of_tool_calls:
            _check_ending(read_query(ToolCallFilters, filters))
        else:
            _check_agent(read_query(StoredFilters, filters))
    except InvalidParametersError as error:
        problem: Any = error.detail[0]
        raise RuleError(f"`{problem['loc'][-1]}`: {problem['msg']}") from None
    return TOOL_CALLS if is_of_tool_calls else "", dict(filters)


def _check_agent(wanted: StoredFilters) -> None:
    if wanted.filter().asks_for_agent:
        raise RuleError(
            "`session`, `client_name`, `client_version`, `protocol_version` and `principal`"
            " are known of tool calls: add `show=tools`"
        )


def _check_ending(wanted: ToolCallFilters) -> None:
    for outcome in wanted.outcome or ():
        if outcome in UNFINISHED:
            raise RuleError(f"`outcome={outcome}`: a tool call fires a rule when it has ended")

"""Whether a call fires a rule, of the past or of now."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from audit_api.client.asking import Filters
from audit_api.client.audit_client import AuditClient
from audit_api.rules.rule import New, Rule
from audit_log.record import UNFINISHED, UNKNOWN_TOKEN

Told = Mapping[str, Any]
"""An entry or a tool call, as an export in NDJSON tells it."""
_FIELDS: Final = {New.ADDRESS: "client_ip", New.TOOL: "tool"}
"""What is new, by its name in what is told and as a filter."""
_REMEMBERED: Final = 100_000


class Judge:
    """Holds calls against one rule, in the order in which an export tells them."""

    def __init__(self, client: AuditClient, rule: Rule) -> None:
        self._client = client
        self._rule = rule
        self._had: set[tuple[str, str]] = set()
        """Pairs of a token and what it is known to have had: the log need not be asked again."""

    async def fires(self, told: Told) -> bool:
        """Say whether *told*, which matches the filter of the rule, meets its other conditions.

        A tool call fires when it has ended. Raises AuditApiError if the log cannot be asked.
        """
        rule = self._rule
        if rule.is_of_tool_calls and told["outcome"] in UNFINISHED:
            return False
        if rule.hours is not None and not rule.hours.hold(moment_of(told)):
            return False
        return rule.new is None or await self._is_new(told, _FIELDS[rule.new])

    async def _is_new(self, told: Told, field: str) -> bool:
        """Say whether no call of the token had this *field* before."""
        value, (name, token) = told[field], _token_of(told)
        if not value or not token or (token, value) in self._had:
            return False
        is_new = not await self._has_earlier(told, {name: token, field: _one(value)})
        if len(self._had) >= _REMEMBERED:
            self._had.clear()
        self._had.add((token, value))
        return is_new

    async def _has_earlier(self, told: Told, same: Filters) -> bool:
        """Say whether the log has a call earlier than *told* that the filters *same* match.

        Earlier by its date: so of several calls one is new, also when records arrive late.
        """
        asked = {**same, "until": told["created_at"], "limit": 1}
        found = await self._client.ask(self._rule.of, asked, list[msgspec.Raw])
        return bool(found)


def moment_of(told: Told) -> datetime:
    """Return when *told* happened."""
    return datetime.fromisoformat(told["created_at"])


def _token_of(told: Told) -> tuple[str, str]:
    """Return the filter by the token of *told*, a name and a value. Unknown tokens are one."""
    if told["token_id"] is not None:
        return "token_id", told["token_id"]
    name = told["token_name"] or ""
    if name.startswith(UNKNOWN_TOKEN):
        return "unknown_tokens", "true"
    return "token_name", _one(name)


def _one(value: str) -> str:
    """Return *value* as a filter by it alone: commas would separate several."""
    return value.replace(",", "\\,")

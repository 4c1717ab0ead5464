"""Watches the log for one rule, and has what fires it delivered."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID, uuid5

import structlog
from msgspec.structs import replace

from audit_api.client.asking import Filters
from audit_api.client.audit_client import AuditClient
from audit_api.push.delivery import Delivery
from audit_api.push.items import ENTRY, RULE, TOOL_CALL, Item, items_of
from audit_api.push.rule_state import RuleState, RuleStateFile, Waiting
from audit_api.rules.judge import Judge
from audit_api.rules.rule import Rule

_PART: Final = 100
_LOOK_SECONDS: Final = 2.0
_KEEP_SECONDS: Final = 30.0
"""How often the mark is kept while nothing fires: all that a kill costs is to judge again."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
_EVENTS: Final = UUID("6f0a3c52-6f5e-4f52-9c0c-3d1d0d2f7b11")


class RuleWatch:
    """Watches until it is cancelled.

    What is to be told is on disk before it is told, and so is that it was. So after a kill it is
    told again as it was, under the same id: that of its rule and its first call.
    """

    def __init__(
        self, client: AuditClient, rule: Rule, delivery: Delivery, file: RuleStateFile, page: str
    ) -> None:
        """Judge what arrives by *rule*; links lead to the activity log at *page*."""
        self.delivery = delivery
        self._client = client
        self._rule = rule
        self._file = file
        self._page = page
        self._kind = TOOL_CALL if rule.is_of_tool_calls else ENTRY
        self._filters: Filters = {"format": "ndjson", **rule.filters}
        self._judge = Judge(client, rule)
        self._kept_at = 0.0

    async def run(self) -> None:
        """Watch for ever, from where the run before ended; the first begins with what comes."""
        kept = self._file.read()
        state = kept or RuleState(await self.delivery.patiently(self._client.end))
        await self._keep(state)
        log.info("push.rule_watched", rule=self._rule.name, is_new=kept is None)
        # First of all: what waits is told as it was kept, also if it has been told before.
        state = await self._tell_what_is_due(state)
        while True:
            read = partial(self._client.part, self._filters, state.mark, _PART, self._rule.of)
            part = await self.delivery.patiently(read)
            fired = await self._fired(part.body)
            state = await self._taken(replace(state, mark=part.mark), fired)
            state = await self._tell_what_is_due(state)
            self.delivery.note(None)
            if not part.has_more:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _fired(self, body: bytes) -> list[dict[str, Any]]:
        """Return the calls in *body*, a part of an export, that fire the rule."""
        told = [item.told for item in items_of(body, self._kind) if item.kind == self._kind]
        patiently, fires = self.delivery.patiently, self._judge.fires
        return [each for each in told if await patiently(partial(fires, each))]

    async def _taken(self, state: RuleState, fired: list[dict[str, Any]]) -> RuleState:
        """Return *state* with the calls that have *fired*, told or waiting."""
        for told in fired:
            if self._rule.every is None:
                await self._tell(Waiting.of(told))
            else:
                waiting = state.waiting
                state = replace(
                    state, waiting=waiting.with_another(told) if waiting else Waiting.of(told)
                )
        if fired or monotonic() - self._kept_at >= _KEEP_SECONDS:
            await self._keep(state)
        return state

    async def _tell_what_is_due(self, state: RuleState) -> RuleState:
        now = datetime.now(UTC)
        if state.waiting is None or not state.is_due(self._rule.every, now):
            return state
        await self._tell(state.waiting)
        state = RuleState(state.mark, None, now)
        await self._keep(state)
        return state

    async def _tell(self, waiting: Waiting) -> None:
        await self.delivery.deliver([self._item(waiting)])

    def _item(self, waiting: Waiting) -> Item:
        first = waiting.first
        view = {"show": "tools"} if self._rule.is_of_tool_calls else {}
        told = {
            "id": str(uuid5(_EVENTS, f"{self._rule.name}/{first['id']}")),
            "created_at": first["created_at"],
            "rule": self._rule.name,
            "count": waiting.count,
            "last_at": waiting.last_at.isoformat(),
            self._kind: first,
            "link": f"{self._page}?{urlencode({**view, 'entry': first['id']})}",
        }
        return Item(RULE, told)

    async def _keep(self, state: RuleState) -> None:
        await self.delivery.patiently(partial(asyncio.to_thread, self._file.keep, state))
        self._kept_at = monotonic()

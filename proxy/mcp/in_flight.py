"""Tool calls in flight, and which of them caused an API call. Does no I/O."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from audit_log.record import Attribution, new_record_id
from proxy.mcp.trace import TravelIds

HUB_KEY: Final = "hub"
"""Whose tool calls those of the Hub are. No token has this for a hash."""
MAX_IN_FLIGHT: Final = 10_000
"""Further tool calls are forwarded and recorded, but no API call is tied to them."""


@dataclass(slots=True, eq=False)
class ToolCallInFlight:
    """A tool call that was forwarded and has not been answered."""

    tool: str
    caller: str
    """The hash of its token, or a name for the Hub: whose tool call it is."""
    ours: TravelIds
    """Ids that we made and sent along. Nobody else knows them."""
    theirs: TravelIds
    """Ids that the client chose. They mean something among its own tool calls only."""
    id: UUID = field(default_factory=new_record_id)
    api_calls: int = 0


class ToolCallsInFlight:
    """All tool calls in flight in this process."""

    def __init__(self) -> None:
        self._by_caller: defaultdict[str, dict[UUID, ToolCallInFlight]] = defaultdict(dict)
        self._by_our_id: defaultdict[str, dict[UUID, ToolCallInFlight]] = defaultdict(dict)
        self._count = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def add(self, call: ToolCallInFlight) -> None:
        """Tie API calls to *call* from now on."""
        if self._count >= MAX_IN_FLIGHT:
            return
        self._count += 1
        self._by_caller[call.caller][call.id] = call
        for our_id in call.ours:
            self._by_our_id[our_id][call.id] = call

    def remove(self, call: ToolCallInFlight) -> None:
        """Tie nothing to *call* any more."""
        if _taken_out(self._by_caller, call.caller, call) is None:
            return
        self._count -= 1
        for our_id in call.ours:
            _taken_out(self._by_our_id, our_id, call)

    def cause_of(self, caller: str, ids: TravelIds) -> tuple[ToolCallInFlight, Attribution] | None:
        """Return the tool call behind an API call of *caller* that carries *ids*, if it is clear.

        Exact when the ids are those of one tool call: ours, or its client's own if that client
        is *caller* too. Inferred when *caller* has one tool call in flight. Never a guess
        between two. The Hub has no token for the API: its tool calls are looked at where *caller*
        has none of its own.
        """
        own = self._by_caller.get(caller) or self._by_caller.get(HUB_KEY, {})
        candidates = self._with_our_id(ids) or [call for call in own.values() if call.theirs & ids]
        attribution = Attribution.EXACT
        if not candidates:
            candidates = list(own.values())
            attribution = Attribution.INFERRED
        if len(candidates) != 1:
            return None
        candidates[0].api_calls += 1
        return candidates[0], attribution

    def _with_our_id(self, ids: TravelIds) -> list[ToolCallInFlight]:
        for given in ids:
            if found := self._by_our_id.get(given):
                return list(found.values())
        return []


def _taken_out(
    index: dict[str, dict[UUID, ToolCallInFlight]], key: str, call: ToolCallInFlight
) -> ToolCallInFlight | None:
    calls = index.get(key, {})
    taken = calls.pop(call.id, None)
    if not calls:
        index.pop(key, None)
    return taken

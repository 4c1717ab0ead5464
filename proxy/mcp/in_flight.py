"""Tool calls in flight, and which of them caused an API call. Does no I/O."""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

from audit_log.record import Attribution, new_record_id
from proxy.mcp.trace import TravelIds

HUB_KEY: Final = "hub"
"""Whose tool calls those of the Hub are. No token has this for a hash."""
MAX_IN_FLIGHT: Final = 10_000
"""Further tool calls are forwarded and recorded, but no API call is tied to them."""
MAX_IN_FLIGHT_PER_CALLER: Final = 1_000
"""The same for one caller, which so cannot use up what there is for all."""
MAX_ENDED: Final = 1_000
"""As many tool calls are remembered after their end, for the API calls that they still make."""


@dataclass(slots=True, eq=False)
class ToolCallInFlight:
    """A tool call that was forwarded and has not been answered."""

    tool: str
    caller: str
    """The hash of its token, or a name for the Hub: whose tool call it is."""
    ours: TravelIds
    """Ids that we made and sent along. Who else knows them was told by the MCP server."""
    theirs: TravelIds
    """Ids that the client chose. They mean something among its own tool calls only."""
    id: UUID = field(default_factory=new_record_id)
    api_calls: int = 0


Calls = dict[UUID, ToolCallInFlight]
Key = TypeVar("Key")


class ToolCallsInFlight:
    """All tool calls in flight in this process, and the last that have ended."""

    def __init__(self) -> None:
        self._by_caller: defaultdict[str, Calls] = defaultdict(dict)
        self._by_our_id: defaultdict[str, Calls] = defaultdict(dict)
        self._by_their_id: defaultdict[tuple[str, str], Calls] = defaultdict(dict)
        self._ended: deque[ToolCallInFlight] = deque()
        self._count = 0
        self._beyond = 0
        """In flight, but too many to be looked at."""

    def __len__(self) -> int:
        """Return how many are in flight."""
        return self._count + self._beyond

    @property
    def knows_any(self) -> bool:
        """Say whether an API call can be tied to anything."""
        return bool(self._by_our_id or self._count)

    def add(self, call: ToolCallInFlight) -> None:
        """Tie API calls to *call* from now on."""
        own = self._by_caller.get(call.caller, {})
        if self._count >= MAX_IN_FLIGHT or len(own) >= MAX_IN_FLIGHT_PER_CALLER:
            self._beyond += 1
            return
        self._count += 1
        self._by_caller[call.caller][call.id] = call
        for our_id in call.ours:
            self._by_our_id[our_id][call.id] = call
        for their_id in call.theirs:
            self._by_their_id[call.caller, their_id][call.id] = call

    def remove(self, call: ToolCallInFlight) -> None:
        """Learn that *call* has ended. To be said once of each that was added."""
        if call.id not in self._by_caller.get(call.caller, {}):
            self._beyond -= 1
            return
        self._count -= 1
        _take_out(self._by_caller, call.caller, call)
        for their_id in call.theirs:
            _take_out(self._by_their_id, (call.caller, their_id), call)
        self._ended.append(call)
        if len(self._ended) > MAX_ENDED:
            forgotten = self._ended.popleft()
            for our_id in forgotten.ours:
                _take_out(self._by_our_id, our_id, forgotten)

    def cause_of(self, caller: str, ids: TravelIds) -> tuple[ToolCallInFlight, Attribution] | None:
        """Return the tool call behind an API call of *caller* that carries *ids*, if it is clear.

        Exact when there is one tool call that each of the ids speaks for, as far as we know them.
        An id speaks for the tool calls of *caller* that it was sent with, whether we made it or
        the client did. Inferred when no id is known and *caller* has one tool call in flight.
        Never a guess between two. The Hub has no token for the API, so its tool calls are known
        by ids that we made, and by nothing else.
        """
        spoken_for = [found for given in ids if (found := self._spoken_for(given, caller))]
        if spoken_for:
            candidates, attribution = set.intersection(*spoken_for), Attribution.EXACT
        elif self._beyond:
            return None
        else:
            candidates = set(self._by_caller.get(caller, {}).values())
            attribution = Attribution.INFERRED
        if len(candidates) != 1:
            return None
        [call] = candidates
        call.api_calls += 1
        return call, attribution

    def _spoken_for(self, given: str, caller: str) -> set[ToolCallInFlight]:
        """Return the tool calls that were sent with the id *given*."""
        # Another token's tool call is none of this caller's business, even if it knows the id.
        ours = self._by_our_id.get(given, {}).values()
        theirs = self._by_their_id.get((caller, given), {}).values()
        return {call for call in ours if call.caller in {caller, HUB_KEY}} | set(theirs)


def _take_out(index: dict[Key, Calls], key: Key, call: ToolCallInFlight) -> None:
    index[key].pop(call.id)
    if not index[key]:
        del index[key]

"""Tool calls in flight, and which of them caused an API call. Does no I/O.

Theory of operation. An MCP server that runs a tool calls the API with the token of its caller. To
tie such an API call to the tool call, two kinds of evidence are used:

- *Ids that travel.* Each tool call is forwarded with ids that the sidecar made. A server that
  passes one of them on with its API calls names the tool call: the attribution is EXACT. These ids
  are random, so only the MCP server can know them.
- *Being the only one.* Without such an id, the API call belongs to the one tool call that its
  token has in flight, in whichever worker: INFERRED. With two, or when some tool calls of the
  token are not tracked, there is no attribution.

An id that the client chose is no evidence for a tool call, and may be evidence against one. A
client sends one trace with all tool calls of a run, and with its own API calls in between. So an
API call is not inferred when it carries

- an id that the client sent with any tool call of this token, ended ones included: the cause may
  be any of them, or the client itself;
- another trace than the one candidate, if the client chose a trace for that;
- an id that a sidecar made for a tool call that is not known, or not of this token.

A tool call is indexed by caller, by the ids that the sidecar made and by the ids that the client
chose. At its end it leaves the first index. It stays in the others for a while, because servers
may make API calls after their response.

A tool call whose request has ended and that has not ended itself *pauses*: it is found by its ids
only. If work may go on unseen, it *hides*: an API call without ids may be its own or not, so no
tool call of its token is inferred. With its next round it *resumes*, with further ids.
"""

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar
from uuid import UUID

from audit_log.record import Attribution, new_record_id
from proxy.audit.shares import Share, Shares, Standing
from proxy.mcp.agents.session_clients import SessionClients
from proxy.mcp.other_workers import OtherWorkers, OtherWorkersCall, Several
from proxy.mcp.trace import TravelIds, names_a_call, names_a_trace

HUB_KEY: Final = "hub"
"""The key of the Hub's tool calls. It cannot equal the hash of a token."""
MAX_IN_FLIGHT: Final = 10_000
"""Further tool calls are forwarded and recorded, but no API call is tied to them."""
MAX_IN_FLIGHT_PER_CALLER: Final = 1_000
"""The same for one caller, so that one caller cannot use up the limit of all."""
MAX_IN_FLIGHT_OF_STRANGERS: Final = 1_000
"""The same for all callers together that are not known."""
MAX_ENDED: Final = 1_000
"""This many tool calls are remembered after their end, for API calls that come late."""


@dataclass(slots=True, eq=False)
class ToolCallInFlight:
    """A tool call that was forwarded and has no response yet."""

    tool: str
    caller: str
    """The hash of its token, or HUB_KEY."""
    ours: TravelIds
    """Ids that the sidecar made and sent along. Only the MCP server can have passed them on."""
    theirs: TravelIds
    """Ids that the client chose. They say that nothing can be inferred."""
    standing: Standing = Standing.KNOWN
    id: UUID = field(default_factory=new_record_id)
    api_calls: int = 0
    traceparent: str | None = None
    """The client's span, where spans are sent. Other workers are not told of it."""
    is_tracked: bool = False
    """Whether API calls can be tied to it. Set when it is added."""
    is_paused: bool = False
    hides: bool = False
    """Whether it may make API calls that are not inferred to be its own."""

    @property
    def is_traced(self) -> bool:
        """Whether the client chose a trace for it."""
        return names_a_trace(self.theirs)

    @property
    def share(self) -> Share:
        """Whose share of what is kept it takes."""
        return Share(self.caller, self.standing)

    def note_api_call(self) -> None:
        """Count an API call that is tied to it."""
        self.api_calls += 1


Found = ToolCallInFlight | OtherWorkersCall
Calls = dict[UUID, ToolCallInFlight]
Key = TypeVar("Key")


class _Index:
    """Tool calls by caller while they are in flight, and by their ids for longer."""

    def __init__(self) -> None:
        self.by_caller: defaultdict[str, Calls] = defaultdict(dict)
        self.by_our_id: defaultdict[str, Calls] = defaultdict(dict)
        self.by_their_id: defaultdict[tuple[str, str], Calls] = defaultdict(dict)

    def add(self, call: ToolCallInFlight) -> None:
        """Find *call* by caller and by ids."""
        self.by_caller[call.caller][call.id] = call
        for our_id in call.ours:
            self.by_our_id[our_id][call.id] = call
        for their_id in call.theirs:
            self.by_their_id[call.caller, their_id][call.id] = call

    def end(self, call: ToolCallInFlight) -> None:
        """Find *call* by its ids alone."""
        _take_out(self.by_caller, call.caller, call)

    def forget(self, call: ToolCallInFlight) -> None:
        """Find *call*, which has ended, no more."""
        for our_id in call.ours:
            _take_out(self.by_our_id, our_id, call)
        for their_id in call.theirs:
            _take_out(self.by_their_id, (call.caller, their_id), call)


class ToolCallsInFlight:
    """All tool calls in flight in this process, and those that ended last."""

    def __init__(self, other_workers: OtherWorkers | None = None) -> None:
        """Share what is in flight with other workers by *other_workers*, if there are any."""
        self.clients = SessionClients() if other_workers is None else other_workers.clients
        """The clients of sessions, whichever worker they were opened in."""
        self._other_workers = other_workers
        self._index = _Index()
        self._ended: deque[ToolCallInFlight] = deque()
        self._shares = Shares(
            MAX_IN_FLIGHT, MAX_IN_FLIGHT_OF_STRANGERS, each=MAX_IN_FLIGHT_PER_CALLER
        )
        self._beyond: Counter[str] = Counter()
        """By caller: how many are in flight beyond its share, and not tracked."""

    def __len__(self) -> int:
        """Return how many are in flight."""
        return len(self._shares) + self._beyond.total()

    @property
    def knows_any(self) -> bool:
        """Return whether an API call can be tied to any tool call."""
        if self._index.by_our_id or self._index.by_caller:
            return True
        return self._other_workers is not None and self._other_workers.knows_any

    @property
    def is_alone(self) -> bool:
        """Whether no other worker takes calls."""
        return self._other_workers is None

    def add(self, call: ToolCallInFlight) -> None:
        """Tie API calls to *call* from now on."""
        call.is_tracked = self._takes(call)
        if not call.is_tracked:
            self._count_beyond(call.caller, 1)
            return
        self._index.add(call)

    def pause(self, call: ToolCallInFlight, *, works: bool) -> None:
        """Find *call* by its ids only, until it resumes or is removed.

        *works* says whether the MCP server may go on with it.
        """
        if not call.is_tracked:
            return
        if not call.is_paused:
            self._end_inference(call)
        call.is_paused = True
        self._hide(call, hides=works)

    def _end_inference(self, call: ToolCallInFlight) -> None:
        self._index.end(call)
        if self._other_workers is not None:
            self._other_workers.end(call)

    def _hide(self, call: ToolCallInFlight, *, hides: bool) -> None:
        if call.hides != hides:
            call.hides = hides
            self._count_beyond(call.caller, 1 if hides else -1)

    def resume(self, call: ToolCallInFlight, ours: TravelIds, theirs: TravelIds) -> None:
        """Note that a further round of *call* was sent with these ids, if it paused."""
        if not call.is_paused:
            return
        self._hide(call, hides=False)
        call.is_paused = False
        if self._other_workers is not None:
            # They see the ids of the last round: a place in the shared memory is small.
            self._other_workers.forget(call)
            if not self._other_workers.add(replace(call, ours=ours, theirs=theirs)):
                self._no_longer_track(call)
                return
        call.ours |= ours
        call.theirs |= theirs
        self._index.add(call)

    def _no_longer_track(self, call: ToolCallInFlight) -> None:
        call.is_tracked = False
        self._shares.give_back(call.share)
        self._index.forget(call)
        self._count_beyond(call.caller, 1)

    def remove(self, call: ToolCallInFlight) -> None:
        """Note that *call* has ended. Must be called once for each that was added."""
        if not call.is_tracked:
            self._count_beyond(call.caller, -1)
            return
        self._shares.give_back(call.share)
        if not call.is_paused:
            self._end_inference(call)
        elif self._other_workers is not None:
            self._other_workers.add_ties(call)
        self._hide(call, hides=False)
        self._ended.append(call)
        if len(self._ended) > MAX_ENDED:
            forgotten = self._ended.popleft()
            self._index.forget(forgotten)
            if self._other_workers is not None:
                self._other_workers.forget(forgotten)

    def cause_of(self, caller: str, ids: TravelIds) -> tuple[Found, Attribution] | None:
        """Return the tool call that caused an API call of *caller* with *ids*, or None.

        EXACT if all known ids that a sidecar made were sent with one tool call of *caller*.
        INFERRED as the theory of operation says. Between two candidates there is no choice. The
        Hub has no token for the API, so its tool calls are found only by ids that a sidecar made.
        """
        named = {given: found for given in ids if (found := self._sent_with_ours(given))}
        if any(self._sent_with_theirs(given, caller) for given in named):
            return None  # the client learned an id of ours, and sends it itself
        if named:
            # What is another caller's stays out even if this caller knows its id: it must not
            # attach its API calls to the tool call of another.
            own = [{call for call in found if _is_of(call, caller)} for found in named.values()]
            call, attribution = _the_one_in_all(own), Attribution.EXACT
        elif self._forbids_inference(caller, ids):
            return None
        else:
            call, attribution = _the_one_in_all([self._of(caller)]), Attribution.INFERRED
            if call is not None and call.is_traced and names_a_trace(ids):
                return None
        if call is None:
            return None
        call.note_api_call()
        return call, attribution

    def _forbids_inference(self, caller: str, ids: TravelIds) -> bool:
        """Return whether being the only one says nothing about an API call with *ids*."""
        if names_a_call(ids) or self._hides_some_of(caller):
            return True
        return any(self._sent_with_theirs(given, caller) for given in ids)

    def _takes(self, call: ToolCallInFlight) -> bool:
        """Return whether *call* is within its share, and shown to the other workers."""
        if not self._shares.take(call.share):
            return False
        if self._other_workers is None or self._other_workers.add(call):
            return True
        self._shares.give_back(call.share)
        return False

    def _count_beyond(self, caller: str, count: int) -> None:
        self._beyond[caller] += count
        if not self._beyond[caller]:
            del self._beyond[caller]
        if self._other_workers is not None:
            self._other_workers.add_beyond(caller, count)

    def _hides_some_of(self, caller: str) -> bool:
        """Return whether *caller* may have tool calls in flight that are not tracked."""
        if caller in self._beyond:
            return True
        return self._other_workers is not None and self._other_workers.hides_some_of(caller)

    def _of(self, caller: str) -> set[Found | Several]:
        """Return the tool calls that *caller* has in flight."""
        other_workers = (
            self._other_workers.of(caller) if self._other_workers is not None else set()
        )
        return other_workers | set(self._index.by_caller.get(caller, {}).values())

    def _sent_with_ours(self, given: str) -> set[Found | Several]:
        """Return the tool calls that were sent with the id *given*, which a sidecar made."""
        here: set[Found | Several] = set(self._index.by_our_id.get(given, {}).values())
        if self._other_workers is None:
            return here
        return here | self._other_workers.sent_with_ours(given)

    def _sent_with_theirs(self, given: str, caller: str) -> bool:
        """Return whether a tool call of *caller* was sent with *given*, which the client chose."""
        if (caller, given) in self._index.by_their_id:
            return True
        return self._other_workers is not None and self._other_workers.knows_theirs(given, caller)


def _is_of(call: Found | Several, caller: str) -> bool:
    """Return whether *call* may be one of *caller*, or of the Hub."""
    if isinstance(call, ToolCallInFlight):
        return call.caller in {caller, HUB_KEY}
    return isinstance(call, Several) or call.is_of(caller) or call.is_of(HUB_KEY)


def _the_one_in_all(found: list[set[Found | Several]]) -> Found | None:
    """Return the one tool call that is in each set of *found*; None without one, or with two."""
    several = [{each for each in calls if isinstance(each, Several)} for calls in found]
    if set.intersection(*({each.worker for each in group} for group in several)):
        return None  # some of them may be in each set
    candidates = {call for calls in found for call in calls if not isinstance(call, Several)}
    in_all = [
        call
        for call in candidates
        if all(
            call in calls or any(each.may_be(call) for each in group)
            for calls, group in zip(found, several, strict=True)
        )
    ]
    return in_all[0] if len(in_all) == 1 else None


def _take_out(index: dict[Key, Calls], key: Key, call: ToolCallInFlight) -> None:
    index[key].pop(call.id)
    if not index[key]:
        del index[key]

"""Tool calls in flight in other workers, and one's own as the others see them. Does no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol
from uuid import UUID

from proxy.mcp.shared_memory import SLOTS, Part, SharedMemory, Shown
from proxy.mcp.trace import TravelIds

_CALLER: Final = "caller"
_OURS: Final = "ours"
_THEIRS: Final = "theirs"


class Shareable(Protocol):
    """A tool call in flight, as far as other workers must know it."""

    id: UUID
    tool: str
    caller: str
    ours: TravelIds
    theirs: TravelIds
    api_calls: int

    @property
    def is_traced(self) -> bool:
        """Whether the client chose a trace for it."""


@dataclass(frozen=True, slots=True)
class OtherWorkersCall:
    """A tool call in flight in another worker."""

    id: UUID
    tool: str = field(compare=False)
    keys: tuple[int, ...] = field(compare=False)
    worker: int = field(compare=False)
    slot: int = field(compare=False)
    is_traced: bool = field(compare=False)
    memory: SharedMemory = field(compare=False)
    own: Part = field(compare=False)
    traceparent: ClassVar[None] = None

    def is_of(self, caller: str) -> bool:
        """Return whether it is a tool call of *caller*."""
        return self.keys[0] == self.memory.key(_CALLER, caller)

    def note_api_call(self) -> None:
        """Count an API call that is tied to it."""
        self.own.tie(self.worker, self.slot)


@dataclass(frozen=True, slots=True)
class Several:
    """More than one tool call of one worker, which share a key."""

    worker: int
    key: int

    def may_be(self, call: object) -> bool:
        """Return whether *call* is one of them."""
        return (
            isinstance(call, OtherWorkersCall)
            and call.worker == self.worker
            and self.key in call.keys
        )


@dataclass(slots=True)
class _Shown:
    """One's own tool call: where it is shown, and under which keys."""

    slot: int
    caller: int
    ours: list[int]
    theirs: list[int]
    ties_before: int


class OtherWorkers:
    """Shows the tool calls of this worker to the others, and finds theirs."""

    def __init__(self, memory: SharedMemory, number: int) -> None:
        """Be worker *number*; what an earlier one with this number showed is forgotten."""
        self._memory = memory
        self.clients = memory.clients
        """The clients of sessions, shared by all workers."""
        self._number = number
        self._own = memory.parts[number]
        self._others = [
            (worker, part) for worker, part in enumerate(memory.parts) if worker != number
        ]
        self._free = list(reversed(range(SLOTS)))
        self._shown: dict[UUID, _Shown] = {}
        self._slots: dict[int, dict[int, None]] = {}
        """By key: the slots that it finds."""
        self._ways: dict[int, int | None] = {}
        """By key: where it lies in the table; None if there was no place."""
        self._own.clear()

    # Its own tool calls

    def add(self, call: Shareable) -> bool:
        """Show *call*; return False if there is no room for it."""
        if not self._free:
            return False
        slot = self._free.pop()
        key = self._memory.key
        shown = _Shown(
            slot,
            key(_CALLER, call.caller),
            [key(_OURS, given) for given in call.ours],
            [key(_THEIRS, call.caller, given) for given in call.theirs],
            self._ties_to(slot),
        )
        self._shown[call.id] = shown
        keys = [shown.caller, *shown.ours, *shown.theirs]
        self._own.show(slot, Shown(call.id, call.tool, call.is_traced), keys)
        self._own.in_use += 1
        for each in keys:
            self._slots.setdefault(each, {})[slot] = None
            self._publish(each)
        return True

    def end(self, call: Shareable) -> None:
        """Note that *call* has ended: only its ids still lead to it. Add others' ties."""
        self.add_ties(call)
        self._take_out([self._shown[call.id].caller], self._shown[call.id].slot)

    def add_ties(self, call: Shareable) -> None:
        """Add to *call*, which is shown, what others have tied to it."""
        shown = self._shown[call.id]
        ties = self._ties_to(shown.slot)
        call.api_calls += max(0, ties - shown.ties_before)
        shown.ties_before = ties

    def forget(self, call: Shareable) -> None:
        """Show *call*, which has ended, no more."""
        shown = self._shown.pop(call.id)
        self._take_out([*shown.ours, *shown.theirs], shown.slot)
        self._own.hide(shown.slot)
        self._own.in_use -= 1
        self._free.append(shown.slot)

    def add_beyond(self, caller: str, count: int) -> None:
        """Count tool calls of *caller* that are not shown."""
        self._own.add_beyond(self._memory.key(_CALLER, caller), count)

    # Those of the others

    @property
    def knows_any(self) -> bool:
        """Return whether another worker shows any tool call."""
        return any(part.in_use for _, part in self._others)

    def sent_with_ours(self, given: str) -> set[OtherWorkersCall | Several]:
        """Return the tool calls that were sent with the id *given*, which a sidecar made."""
        return self._found(self._memory.key(_OURS, given))

    def knows_theirs(self, given: str, caller: str) -> bool:
        """Return whether a tool call of *caller* was sent with *given*, which it chose."""
        key = self._memory.key(_THEIRS, caller, given)
        return any(part.in_use and part.find(key) for _, part in self._others)

    def of(self, caller: str) -> set[OtherWorkersCall | Several]:
        """Return the tool calls of *caller*."""
        return self._found(self._memory.key(_CALLER, caller))

    def hides_some_of(self, caller: str) -> bool:
        """Return whether *caller* may have tool calls that are not shown."""
        key = self._memory.key(_CALLER, caller)
        return any(part.is_beyond(key) or part.is_incomplete for _, part in self._others)

    def _found(self, key: int) -> set[OtherWorkersCall | Several]:
        calls: set[OtherWorkersCall | Several] = set()
        for worker, part in self._others:
            found = part.find(key) if part.in_use else None
            if found is None:
                continue
            count, slot = found
            if count > 1:
                calls.add(Several(worker, key))
            elif (said := part.read(slot)) is not None and key in said.keys:
                shown, memory, own = said.shown, self._memory, self._own
                calls.add(
                    OtherWorkersCall(
                        shown.id, shown.tool, said.keys, worker, slot, shown.is_traced, memory, own
                    )
                )
        return calls

    def _ties_to(self, slot: int) -> int:
        return sum(part.ties(self._number, slot) for _, part in self._others)

    def _take_out(self, keys: Iterable[int], slot: int) -> None:
        for key in keys:
            slots = self._slots[key]
            del slots[slot]
            if not slots:
                del self._slots[key]
            self._publish(key)

    def _publish(self, key: int) -> None:
        """Have others find *key* as it is now."""
        own, slots = self._own, self._slots.get(key)
        if slots is None:
            way = self._ways.pop(key)
            if way is None:
                own.add_missing(-1)
            else:
                own.take_out(way)
            return
        if key not in self._ways:
            self._ways[key] = own.free_way(key)
            own.add_missing(self._ways[key] is None)
        if (way := self._ways[key]) is not None:
            own.put(way, key, len(slots), next(iter(slots)))

"""A worker's side: what it shares with the others, and that it ends with its supervisor."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from audit_log.process.background import BackgroundTasks
from proxy.mcp.other_workers import OtherWorkers
from proxy.mcp.shared_memory import SharedMemory
from proxy.workers.beats import BEAT_SECONDS, State, States


@dataclass(frozen=True, slots=True)
class Leash:
    """What a supervisor hands to a worker: its number, and the files that are open for it."""

    number: int
    workers: int
    pipe: int
    """The worker's end of a pipe, which closes when the supervisor ends, in whatever way."""
    states: int
    tool_calls: int


def _is_starting() -> State:
    return State(is_accepting=False, reasons=["is starting"])


@dataclass(slots=True)
class Member:
    """A worker among the others."""

    number: int
    states: States
    other_workers: OtherWorkers
    """The tool calls of the others."""
    state: Callable[[], State] = field(default=_is_starting)
    """Returns what the others are shown."""

    def problems(self) -> list[str]:
        """Return what is wrong with the other workers."""
        return self.states.problems_besides(self.number)

    def show(self) -> None:
        """Show the others how this worker is."""
        self.states.show(self.number, self.state())

    async def keep_showing(self) -> None:
        """Show the others how this worker is, for ever."""
        while True:
            self.show()
            await asyncio.sleep(BEAT_SECONDS)


@asynccontextmanager
async def as_member(leash: Leash | None, stop: asyncio.Event) -> AsyncIterator[Member | None]:
    """Be a worker beside the block, if a supervisor has given a *leash*; else yield None.

    *stop* is set when the supervisor ends.
    """
    if leash is None:
        yield None
        return
    asyncio.get_running_loop().add_reader(leash.pipe, _gone, leash.pipe, stop)
    member = Member(
        leash.number,
        States(leash.states, leash.workers),
        OtherWorkers(SharedMemory(leash.tool_calls, leash.workers), leash.number),
    )
    async with BackgroundTasks().running(member.keep_showing, "worker-state"):
        yield member


def _gone(pipe: int, stop: asyncio.Event) -> None:
    asyncio.get_running_loop().remove_reader(pipe)
    stop.set()

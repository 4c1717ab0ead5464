"""A worker's side: what it shares with the others, and that it ends with its supervisor."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec

from audit_log.process.background import BackgroundTasks
from proxy.mcp.other_workers import OtherWorkers
from proxy.mcp.shared_memory import SharedMemory
from proxy.workers.beats import BEAT_SECONDS, State, States

LEASH_VARIABLE: Final = "PROXY_LEASH"
"""Set for workers alone: what their supervisor hands to them, as JSON."""


class Leash(msgspec.Struct, frozen=True):
    """What a supervisor hands to a worker: its number, and the files that are open for it."""

    number: int
    workers: int
    pipe: int
    """The worker's end of a pipe, which closes when the supervisor ends, in whatever way."""
    states: int
    tool_calls: int

    @property
    def files(self) -> tuple[int, int, int]:
        """The files that the worker inherits."""
        return self.pipe, self.states, self.tool_calls


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
async def as_member(stop: asyncio.Event) -> AsyncIterator[Member | None]:
    """Be a worker beside the block, if a supervisor has started this process; else yield None.

    *stop* is set when the supervisor ends.
    """
    given = os.environ.get(LEASH_VARIABLE)
    if given is None:
        yield None
        return
    leash = msgspec.json.decode(given, type=Leash)
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

"""Our sidecar as the benchmarks place it: on one core, or with its recorder on the other."""

from typing import Final

from benchmarks.database import Database
from benchmarks.process import CLIENT_CORE, pin
from benchmarks.rounds import Contestant
from benchmarks.sidecar import Sidecar
from benchmarks.stage import AUDIT_OFF, Stage

ONE_CORE: Final = "audit on, one core"
BOTH_CORES: Final = "audit on, both cores"
OFF: Final = "audit off"
PLACES: Final = """\
*One core*: proxy and recorder share it, as every other contestant has one. *Both cores*: the proxy
has that core for itself, and the recorder is on the other one, with load, upstream and PostgreSQL.
What is left to do after a round is done before the next one begins. *CPU* counts all processes of
a sidecar until then, memory (PSS) at the end of the round. A lost record ends the run.
"""
GIVING_WAY: Final = """\
On the core of the load PostgreSQL, and the recorder that is there, give way (cgroups(7),
`cpu.idle`): they get what load and upstream leave, so that the calls' core decides how many calls
there are.
"""
HEADS: Final = """\
Heads that differ do so in path (5,000), query, request id, `traceparent` and token (50), as those
of real callers do.
"""


def ours(stage: Stage, database: Database) -> list[Contestant]:
    """Start a sidecar for each placement, and one that audits nothing."""
    on = stage.sidecar("on", database.url)
    apart = stage.sidecar("apart", database.url)
    pin(apart.keeper, CLIENT_CORE)
    stage.give_way(apart.keeper)
    off = stage.sidecar("off", database.url, **AUDIT_OFF)
    sidecars = {BOTH_CORES: apart, ONE_CORE: on, OFF: off}
    return [contestant(name, sidecar, database) for name, sidecar in sidecars.items()]


def contestant(name: str, sidecar: Sidecar, database: Database) -> Contestant:
    """Return *sidecar* as a contestant that is asked with heads that differ."""
    target = database.target(sidecar.origin)
    return Contestant(name, target, sidecar.process, settle=sidecar.settle)

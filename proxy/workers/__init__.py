"""Several sidecars on one port, one process each: the kernel distributes the connections.

Each worker is a whole sidecar with its own journal, ops port and instance name. Two things are
shared, both in memory that outlives none of them: which tool calls are in flight
(`proxy.mcp.shared_memory`), and how each worker is (`beats`).
"""

from proxy.workers.beats import State
from proxy.workers.fork_server import ForkServer, WorkerFailedError, begin_fork_server
from proxy.workers.member import Leash, Member, as_member
from proxy.workers.places import Place, known_places, place_of
from proxy.workers.supervisor import supervise, workers_of

__all__ = [
    "ForkServer",
    "Leash",
    "Member",
    "Place",
    "State",
    "WorkerFailedError",
    "as_member",
    "begin_fork_server",
    "known_places",
    "place_of",
    "supervise",
    "workers_of",
]

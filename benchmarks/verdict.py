"""A verdict: what was to be reached, what was, and by how much it is missed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from benchmarks.results import table

_MEMORY_MIB: Final = 130


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that is to be at least *wanted*, or at most."""

    name: str
    wanted: float
    reached: float | None
    """None where it could not be measured."""
    is_limit: bool = False
    """Whether *wanted* is the most that it may be."""
    unit: str = ""

    @property
    def missed_by(self) -> float:
        """By how much it is missed; not above 0 when it is reached."""
        short = self.wanted - (self.reached or 0)
        return -short if self.is_limit else short

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Its name, what is wanted, what is reached, and by how much it is missed."""
        wanted = f"{'≤' if self.is_limit else '≥'} {self.wanted:.4g}{self.unit}"
        if self.reached is None:
            return self.name, wanted, "", "not decided"
        missed = f"**{self.missed_by:.2f}{self.unit}**" if self.missed_by > 0 else "reached"
        return self.name, wanted, f"{self.reached:.2f}{self.unit}", missed


def memory_goal(name: str, reached: float) -> Goal:
    """Return the goal for the memory of a sidecar, all its processes together."""
    return Goal(name, _MEMORY_MIB, reached, is_limit=True, unit=" MiB")


def verdict(goals: Iterable[Goal]) -> str:
    """Return a table of *goals*."""
    return table(("to reach", "wanted", "reached", "missed by"), [goal.row for goal in goals])

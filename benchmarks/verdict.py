"""A verdict: what was to be reached, what was, and by how much it is missed."""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.results import table


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that is to be at least *wanted*, or at most."""

    name: str
    wanted: float
    reached: float
    is_limit: bool = False
    """Whether *wanted* is the most that it may be."""
    unit: str = ""

    @property
    def missed_by(self) -> float:
        """By how much it is missed; not above 0 when it is reached."""
        short = self.wanted - self.reached
        return -short if self.is_limit else short


def verdict(goals: Iterable[Goal]) -> str:
    """Return a table of *goals*."""
    return table(
        ("to reach (issue 6)", "wanted", "reached", "missed by"),
        [
            (
                goal.name,
                f"{'≤' if goal.is_limit else '≥'} {goal.wanted:.4g}{goal.unit}",
                f"{goal.reached:.2f}{goal.unit}",
                f"**{goal.missed_by:.2f}{goal.unit}**" if goal.missed_by > 0 else "reached",
            )
            for goal in goals
        ],
    )

"""Rounds: contestants measured in turn, repeatedly, so that the machine's noise affects all."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from benchmarks.calm import CALM_SHARE, Patience, noticing_others
from benchmarks.load import Answers, Target, closed_loop
from benchmarks.process import Process

_TRIES: Final = 3
"""How often a measurement is made when others keep disturbing it; the calmest one counts."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server that responds to requests."""

    name: str
    target: Target
    process: Process | None = None
    """Whose processor time and memory are counted."""
    disturbance: Callable[[], AbstractContextManager[object]] = nullcontext
    """What it has to bear while it is measured."""
    settle: Callable[[], object] = lambda: None
    """Waits until it has done what is left to do after being measured."""
    load: Callable[[Target], Answers] | None = None
    """How it is asked, where it is not asked as the others are."""


@dataclass(frozen=True, slots=True)
class Series:
    """One contestant, measured several times."""

    name: str
    rounds: Sequence[Answers]

    @property
    def per_second(self) -> float:
        """The median of the responses a second."""
        return median(answers.per_second for answers in self.rounds)

    @property
    def spread(self) -> float:
        """How far the slowest round is from the fastest, as a part of the median."""
        rates = [answers.per_second for answers in self.rounds]
        return (max(rates) - min(rates)) / self.per_second

    @property
    def p50_ms(self) -> float:
        """The median over the rounds of their medians."""
        return median(answers.p50_ms for answers in self.rounds)

    @property
    def p99_ms(self) -> float:
        """The median over the rounds of their 99th percentiles."""
        return median(answers.p99_ms for answers in self.rounds)

    @property
    def p999_ms(self) -> float:
        """The median over the rounds of what one response in a thousand exceeded."""
        return median(answers.p999_ms for answers in self.rounds)

    @property
    def cpu_us(self) -> float:
        """The median of the processor time of a response, in microseconds."""
        return median(answers.more.get("cpu_us", 0) for answers in self.rounds)

    @property
    def memory_mib(self) -> float:
        """The most that was ever resident in a round, in MiB."""
        return max(answers.more.get("memory_mib", 0) for answers in self.rounds)

    @property
    def calm(self) -> Sequence[Answers]:
        """The rounds that others left alone."""
        return [answers for answers in self.rounds if answers.more["others"] <= CALM_SHARE]

    def range(self, value: Callable[[Answers], float]) -> str:
        """Return the lowest and the highest *value*."""
        values = [value(answers) for answers in self.rounds]
        return f"{min(values):.2f} to {max(values):.2f}"


def warm_up(contestants: Iterable[Contestant], *, connections: int = 8) -> None:
    """Let each learn its tokens and make its connections."""
    for contestant in contestants:
        closed_loop(contestant.target, connections=connections, seconds=1)
        contestant.settle()


def repeated(contestants: Iterable[Contestant]) -> list[Contestant]:
    """Return *contestants*, to be asked with one head each time."""
    return [replace(each, target=each.target.repeated) for each in contestants]


def interleaved(
    contestants: Sequence[Contestant],
    load: Callable[[Target], Answers],
    *,
    rounds: int,
    patience: Patience,
) -> dict[str, Series]:
    """Measure each in turn, *rounds* times over."""
    found: dict[str, list[Answers]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        for contestant in contestants:
            answers = _calmest(contestant, load, patience)
            found[contestant.name].append(answers)
            print(
                f"round {number + 1}: {contestant.name}: {answers.per_second:.0f}/s,"
                f" p50 {answers.p50_ms:.2f} ms, p99 {answers.p99_ms:.2f} ms,"
                f" others {answers.more['others']:.0%}",
                flush=True,
            )
    return {name: Series(name, answers) for name, answers in found.items()}


def above(ours: Series, other: Series) -> float | None:
    """Return by how many ms the 99th percentile of *ours* is above; None without a calm round."""
    ours_ms, other_ms = ([answers.p99_ms for answers in each.calm] for each in (ours, other))
    return median(ours_ms) - median(other_ms) if ours_ms and other_ms else None


def others(series: Iterable[Series]) -> str:
    """Return a sentence on how much others disturbed what was measured."""
    shares = [answers.more["others"] for each in series for answers in each.rounds]
    return (
        f"Others (the kernel's threads included) used {median(shares):.1%} of the machine"
        f" in the median round, {max(shares):.1%} in the worst."
    )


def _calmest(
    contestant: Contestant, load: Callable[[Target], Answers], patience: Patience
) -> Answers:
    """Measure, again while others disturb it; return the measurement least disturbed."""
    tries: list[Answers] = []
    for _ in range(_TRIES):
        patience.wait_for_calm()
        began = time.monotonic()
        tries.append(_measured(contestant, load))
        if tries[-1].more["others"] <= CALM_SHARE or patience.is_at_an_end:
            break
        patience.spend(time.monotonic() - began)
    return min(tries, key=lambda answers: answers.more["others"])


def _measured(contestant: Contestant, load: Callable[[Target], Answers]) -> Answers:
    """Measure once; what is left to do afterwards counts as processor time too."""
    process = contestant.process
    before = process.cpu_seconds if process else 0.0
    with contestant.disturbance(), noticing_others() as disturbance:
        answers = (contestant.load or load)(contestant.target)
    more = {"others": disturbance.share}
    if process:
        more["memory_mib"] = process.memory_bytes / 2**20
    contestant.settle()
    if process:
        more["cpu_us"] = (process.cpu_seconds - before) / answers.requests * 1e6
    return replace(answers, more=more)

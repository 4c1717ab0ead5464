"""`python -m benchmarks.auditing`: what auditing costs a call, when all is well and when not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from benchmarks.calm import Patience
from benchmarks.load import closed_loop, open_loop
from benchmarks.options import parser
from benchmarks.ours import GIVING_WAY, HEADS, OFF, PLACES, contestant, ours
from benchmarks.process import free_port
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others, repeated, warm_up
from benchmarks.stage import Stage, open_stage

_RATE: Final = 2_000
_NOTES: Final = f"""
{PLACES}{GIVING_WAY}{HEADS}\
*Database dead*: PostgreSQL was killed with SIGKILL after the first calls, when the sidecar knew
the tokens. *Never there*: it was away when the sidecar started, which thus knows no token.
*Disk stalled*: the kernel holds up every write to the journal's file system while it is measured.
These three share one core with their recorder.
At the fixed rate times count from when a request was due, so that waiting is counted.
"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--connections", type=int, default=32)
    chosen = options.parse_args()
    rounds, seconds = (1, 1) if chosen.short else (chosen.rounds, chosen.seconds)
    patience = Patience(0 if chosen.short else chosen.patience)
    in_turn = partial(interleaved, rounds=rounds, patience=patience)
    full = partial(closed_loop, connections=chosen.connections, seconds=seconds)
    with open_stage(gives_way=not chosen.short) as stage:
        contestants = _contestants(stage)
        differ = in_turn(contestants, full)
        same = in_turn(repeated(contestants), full)
        steady = in_turn(contestants, partial(open_loop, per_second=_RATE, seconds=seconds))
    every = [each for series in (differ, same, steady) for each in series.values()]
    publish(
        "What auditing costs a call",
        f"python -m benchmarks.auditing --rounds {rounds} --seconds {seconds:g}"
        f" --connections {chosen.connections}",
        _saturated(differ, same),
        chosen.results,
        details=f"### As fast as it goes, {chosen.connections} connections\n\n"
        f"{_saturated(differ, same)}\n\n"
        f"### {_RATE:,} calls a second, heads that differ\n\n{_at_a_fixed_rate(steady)}\n{_NOTES}"
        f"{others(every)}",
    )


def _contestants(stage: Stage) -> Sequence[Contestant]:
    alive, doomed = stage.database("alive"), stage.database("doomed")
    disk = stage.disk()
    stalled = stage.sidecar("stalled", alive.url, PROXY_JOURNAL_DIR=str(disk.path))
    orphan = stage.sidecar("orphan", doomed.url)
    lonely = stage.sidecar("lonely", f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    dead = contestant("on, database dead", orphan, doomed)
    never_there = contestant("on, database never there", lonely, alive)
    contestants = [
        Contestant("upstream alone", alive.target(stage.upstream)),
        *ours(stage, alive),
        replace(dead, settle=_at_once),
        replace(never_there, settle=_at_once),
        replace(contestant("on, disk stalled", stalled, alive), disturbance=disk.stalled),
    ]
    warm_up(contestants)
    orphan.settle()
    doomed.server.kill()
    return contestants


def _at_once() -> None:
    """Wait for nothing: what is recorded cannot be written."""


def _saturated(differ: Mapping[str, Series], same: Mapping[str, Series]) -> str:
    head = ("", "calls/s, heads that differ", "of off", "CPU µs", "p50 ms", "p99 ms", "spread")
    return table(
        (*head, "calls/s, the same head", "of off", "CPU µs"),
        [
            (
                each.name,
                *(f"{each.per_second:,.0f}", f"{each.per_second / differ[OFF].per_second:.2f}"),
                *(f"{each.cpu_us:.0f}", f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}"),
                f"{each.spread:.0%}",
                *(f"{it.per_second:,.0f}", f"{it.per_second / same[OFF].per_second:.2f}"),
                f"{it.cpu_us:.0f}",
            )
            for each, it in zip(differ.values(), same.values(), strict=True)
        ],
    )


def _at_a_fixed_rate(series: Mapping[str, Series]) -> str:
    off = series[OFF]
    return table(
        ("", "p50 ms", "above off", "p99 ms", "above off", "p99, lowest to highest"),
        [
            (
                each.name,
                *(f"{each.p50_ms:.2f}", f"{each.p50_ms - off.p50_ms:.2f}"),
                *(f"{each.p99_ms:.2f}", f"{each.p99_ms - off.p99_ms:.2f}"),
                each.range(lambda answers: answers.p99_ms),
            )
            for each in series.values()
        ],
    )


if __name__ == "__main__":
    main()

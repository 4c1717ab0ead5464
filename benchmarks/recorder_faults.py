"""`python -m benchmarks.recorder_faults`: calls while the recorder is stopped, or often killed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from benchmarks.arrivals import Arrivals, Arrived
from benchmarks.calm import Patience
from benchmarks.database import Database
from benchmarks.load import open_loop
from benchmarks.options import parser
from benchmarks.ours import HEADS, contestant
from benchmarks.recorder_signals import killed_each_second, left_alone, stopped
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, above, interleaved, others, warm_up
from benchmarks.stage import Stage, open_stage
from benchmarks.verdict import Goal, verdict

_RUNS: Final = "runs"
_STOPPED: Final = "stopped"
_KILLED: Final = "killed"
_DISTURBANCES: Final = {_RUNS: left_alone, _STOPPED: stopped, _KILLED: killed_each_second}
_WITHIN_MS: Final = 0.3
_NOTES: Final = f"""
Times count from when a call was due. Each row is a sidecar of its own, on one core with its
recorder, which is stopped (SIGSTOP) from before the first call until after the last one, or killed
(SIGKILL) each second at which it runs: its keeper starts it again after a growing delay, 5 s at
most. Calls are found in PostgreSQL by their request ids, once no more of them arrive.
{HEADS}"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--rate", type=float, default=1_000)
    options.add_argument("--seconds", type=float, default=30, help="that a recorder is stopped")
    options.add_argument("--killed", type=float, default=60, help="seconds of being killed")
    chosen = options.parse_args()
    rounds, rate = (1, 100) if chosen.short else (chosen.rounds, chosen.rate)
    seconds, killed = (3, 8) if chosen.short else (chosen.seconds, chosen.killed)
    lengths = {_RUNS: seconds, _STOPPED: seconds, _KILLED: killed}
    with open_stage(gives_way=not chosen.short) as stage:
        database = stage.database("database")
        contestants, arrivals = _contestants(stage, database, rate, lengths)
        series = interleaved(
            contestants,
            partial(open_loop, per_second=rate, seconds=seconds),
            rounds=rounds,
            patience=Patience(0 if chosen.short else chosen.patience),
        )
        found = {name: arrivals.of(name) for name in series}
    publish(
        "Calls while the recorder is stopped or killed",
        f"python -m benchmarks.recorder_faults --rounds {rounds} --rate {rate:g}"
        f" --seconds {seconds:g} --killed {killed:g}",
        verdict(_goals(series, found)),
        chosen.results,
        details=f"{_table(series, found)}\n{_NOTES}{others(series.values())}",
    )


def _contestants(
    stage: Stage, database: Database, rate: float, lengths: Mapping[str, float]
) -> tuple[list[Contestant], Arrivals]:
    sidecars = {name: stage.sidecar(name, database.url, PROXY_INSTANCE=name) for name in lengths}
    calm = [contestant(name, sidecar, database) for name, sidecar in sidecars.items()]
    warm_up(calm)
    arrivals = Arrivals(database.url)
    contestants = [
        replace(
            each,
            load=arrivals.counted(
                each.name, partial(open_loop, per_second=rate, seconds=lengths[each.name])
            ),
            settle=partial(arrivals.settle, each.name),
            disturbance=partial(_DISTURBANCES[each.name], sidecars[each.name].keeper),
        )
        for each in calm
    ]
    return contestants, arrivals


def _goals(series: Mapping[str, Series], found: Mapping[str, Arrived]) -> Iterator[Goal]:
    for name in (_STOPPED, _KILLED):
        more = above(series[name], series[_RUNS])
        yield Goal(
            f"p99, recorder {name}: above one that runs",
            _WITHIN_MS,
            more,
            is_limit=True,
            unit=" ms",
        )
        yield Goal(f"calls missing, recorder {name}", 0, found[name].missing, is_limit=True)
        yield Goal(f"calls there twice, recorder {name}", 0, found[name].twice, is_limit=True)


def _table(series: Mapping[str, Series], found: Mapping[str, Arrived]) -> str:
    head = ("the recorder", "calls/s", "p50 ms", "p99 ms", "p99, lowest to highest", "longest ms")
    return table(
        (*head, "calls", "missing", "twice"),
        [
            (
                each.name,
                f"{each.per_second:,.0f}",
                *(f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}"),
                each.range(lambda answers: answers.p99_ms),
                f"{max(answers.max_ms for answers in each.rounds):.1f}",
                f"{found[each.name].calls:,}",
                *(f"{found[each.name].missing:,}", f"{found[each.name].twice:,}"),
            )
            for each in series.values()
        ],
    )


if __name__ == "__main__":
    main()
